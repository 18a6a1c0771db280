"""Is my run normal? Words for time and memory next to the reference machine's."""

from stages.report.run_cost import Cost, Reference, compare_costs, judge, read_reference
from tests.table import violations

REFERENCE = Reference("2 cores", "embedded", {"tray": 10, "cell": 5}, {
    "tray/split": Cost(2.0, 3.0, 200.0), "tray/cluster": Cost(10.0, 20.0, 1000.0), "cell/split": Cost(2.0, 3.0, 200.0),
})  # fmt: skip


def test_costs_in_words() -> None:
    def check(own: Cost, usual: Cost, expected: str, normal: bool) -> None:
        assert judge(own, usual) == expected
        run = compare_costs(
            {"p/s": {"seconds": own.seconds, "processor_seconds": own.processor_seconds, "peak_mb": own.peak_mb}},  # type: ignore[dict-item]
            Reference("m", "x", {"p": 1}, {"p/s": usual}), profile="x", images={"p": 1},
        )  # fmt: skip
        assert run.comparisons[0].normal == normal

    usual = Cost(10.0, 20.0, 1000.0)
    rows = [
        (Cost(19.0, 38.0, 1400.0), usual, "as expected", True),
        (Cost(31.0, 60.0, 1000.0), usual, "slower (3.1 x)", False),
        (Cost(31.0, 21.0, 1000.0), usual,
         "slower (3.1 x), it waited: the machine had other work, or its disk is slow", False),
        (Cost(31.0, None, None), usual, "slower (3.1 x)", False),
        (Cost(4.0, 8.0, 900.0), usual, "faster", True),
        (Cost(1.0, 1.0, 75.0), Cost(0.2, 0.5, 75.0), "as expected", True),  # five times as long, and under a second
        (Cost(9.0, 9.0, 75.0), Cost(0.0, 0.5, 75.0), "slower", False),
        (Cost(10.0, 20.0, 1800.0), usual, "as expected, more memory (1.8 x)", False),
        (Cost(10.0, 20.0, 300.0), Cost(10.0, 20.0, 100.0), "as expected", True),  # three times as much of next to none
        (Cost(4.0, 8.0, 1800.0), usual, "faster, more memory (1.8 x)", False),
    ]  # fmt: skip
    assert violations(check, rows) == []


def test_only_the_same_data_and_profile_are_compared() -> None:
    costs = {"tray/split": {"seconds": 1.0}, "tray/own": {"seconds": 1.0}, "cell/split": {"seconds": 1.0}}

    def check(profile: str, images: dict[str, int], expected: list[tuple[str, str]], summary: str) -> None:
        run = compare_costs(costs, REFERENCE, profile=profile, images=images)
        assert [(one.product, one.stage) for one in run.comparisons] == expected
        assert run.summary == summary

    rows = [
        ("embedded", {"tray": 10, "cell": 5}, [("tray", "split"), ("cell", "split")],
         "2 of 2 stages are, or are faster"),
        ("embedded", {"tray": 10, "cell": 6}, [("tray", "split")], "1 of 1 stages are, or are faster"),
        ("embedded", {"other": 10}, [], "nothing to compare"),
        ("paper", {"tray": 10, "cell": 5}, [], "nothing to compare"),
    ]  # fmt: skip
    assert violations(check, rows) == []


def test_the_reference_is_whole() -> None:
    found = read_reference()
    products = {key.split("/")[0] for key in found.costs}
    assert products == set(found.images) == {"pin_tray", "juice_bottle", "elpv_mono"}
    assert {"pin_tray/hybrid_fusion", "elpv_mono/evaluation"} < set(found.costs)
    assert all(cost.processor_seconds and cost.peak_mb for cost in found.costs.values())
