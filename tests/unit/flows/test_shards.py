"""A pipeline is divided by products."""

from flows.schedule.plan import Stage
from flows.schedule.shards import divide, products_of


def stage(name: str, needs: str = "", params: str = "") -> Stage:
    return Stage(name, needs=frozenset(needs.split()), params=frozenset(params.split()))


STAGES = {
    item.name: item
    for item in (
        stage("weights"),
        stage("split@a", "weights", "categories.a seed"),
        stage("split@b", "weights", "categories.b.path"),
        stage("train@a", "split@a", "profiles/a.yaml:x"),
        stage("train@b", "split@b"),
        stage("universal", "split@a split@b"),
        stage("test@b", "universal split@b", "categories.b"),
        stage("report", "train@a train@b"),
        stage("listing", "", "categories"),
    )
}


def test_a_product_follows_its_stages_through_the_graph() -> None:
    assert products_of(STAGES) == {
        "weights": set(), "split@a": {"a"}, "split@b": {"b"}, "train@a": {"a"}, "train@b": {"b"},
        "universal": {"a", "b"}, "test@b": {"a", "b"}, "report": {"a", "b"}, "listing": {"a", "b"},
    }  # fmt: skip


def test_stages_of_one_product_make_a_shard_and_others_run_before_or_after() -> None:
    division = divide(STAGES, STAGES)
    assert division.first == ("weights",)
    assert division.shards == {"a": ("split@a", "train@a"), "b": ("split@b", "train@b")}
    assert set(division.last) == {"universal", "test@b", "report", "listing"}


def test_only_what_changed_is_divided() -> None:
    division = divide(STAGES, ["train@a"])
    assert (division.first, dict(division.shards), division.last) == ((), {"a": ("train@a",)}, ("report",))
