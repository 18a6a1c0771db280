"""What a killed run leaves in a clone, and what a person does."""

import logging

import pytest

from flows.dvc.pipeline import read_stages
from flows.site.recovery import clean_up
from stages.core.run.errors import UserError
from tests.flows.toy import Toy

LOGGER = logging.getLogger(__name__)
PROFILE = "net: {batch_size: 8}\n"


def interrupt(toy: Toy) -> None:
    """As if a run was killed in train@a, with prepare@a finished."""
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
    toy.dvc("repro", "-q", "--single-item", "prepare@a")
    (toy.root / "metrics/cost/a/train.json").write_text("{")
    (toy.root / "artifacts/train@a.txt").write_text("4")
    (toy.root / "metrics/method/a.json").write_text("{}")
    (toy.root / "metrics/overview/a/new.svg").touch()
    toy.git("add", "metrics/method")
    toy.started()


@pytest.mark.parametrize("cut", ["", "between lines"])
def test_what_a_killed_run_finished_is_committed_the_rest_put_back(toy: Toy, cut: str) -> None:
    interrupt(toy)
    (toy.root / "profiles/toy.yaml").write_text(PROFILE.replace("8", "2"))  # halved twice
    if cut:  # DVC was writing dvc.lock
        lock = (toy.root / "dvc.lock").read_text()
        (toy.root / "dvc.lock").write_text(lock[: lock.index("      size:", lock.index("train@b:"))])
    clean_up(toy.root, LOGGER)
    assert toy.git("status", "--porcelain") == ""
    assert toy.git("log", "-1", "--format=%B").split("\n\n")[1].split("\n") == [
        "prepare@a: ran", "profiles/toy.yaml: halved",
    ]  # fmt: skip
    assert toy.git("show", "--name-only", "--format=", "HEAD").split() == [
        "dvc.lock", "metrics/cost/a/prepare.json", "profiles/toy.yaml",
    ]  # fmt: skip
    assert not (toy.root / "artifacts/train@a.txt").exists()
    (toy.root / "profiles/toy.yaml").write_text(PROFILE)
    toy.dvc("repro", "-q", "train")
    assert toy.started() == {"train@a"}
    assert toy.value("train@a") == 40


def test_half_a_lock_is_given_up_but_not_what_was_finished(toy: Toy) -> None:
    interrupt(toy)
    lock = (toy.root / "dvc.lock").read_text()
    (toy.root / "dvc.lock").write_text(lock[: lock.index("md5:", len(lock) // 2) + 2])
    with pytest.raises(UserError, match="cannot read the pipeline"):
        read_stages(toy.root)
    clean_up(toy.root, LOGGER)
    assert toy.git("status", "--porcelain") == ""
    assert toy.git("log", "-1", "--format=%s").strip() == "params"
    assert {path.name for path in (toy.root / "artifacts").iterdir()} >= {"train@b.txt", "report.txt"}
    assert not (toy.root / "artifacts/train@a.txt").exists()
    toy.dvc("repro", "-q")
    assert toy.started() == {"train@a", "score@a", "report"}  # prepare@a comes from DVC's run-cache
    assert toy.value("report") == 71


def test_a_first_run_is_kept_though_git_has_nothing_of_it_yet(toy: Toy) -> None:
    toy.git("rm", "-q", "--cached", "dvc.lock", "metrics/method/a.json")
    toy.git("commit", "-qm", "as before the first run")
    toy.git("add", "metrics/method/a.json")
    clean_up(toy.root, LOGGER)
    assert toy.git("status", "--porcelain") == ""
    assert toy.git("log", "-1", "--format=%s").strip() == "nightly: stages that an interrupted run had finished"
    assert toy.git("ls-files", "dvc.lock", "metrics/method").split() == [
        "dvc.lock", "metrics/method/a.json", "metrics/method/b.json",
    ]  # fmt: skip


@pytest.mark.parametrize("text", [PROFILE.replace("8", "3"), PROFILE.replace("8", "4") + "# less\n", "net: {}\n", None])
def test_a_persons_change_is_refused_and_nothing_is_touched(toy: Toy, text: str | None) -> None:
    profile = toy.root / "profiles/toy.yaml"
    profile.unlink() if text is None else profile.write_text(text)
    (toy.root / "metrics/method/a.json").write_text("{}")
    before = toy.git("diff")
    with pytest.raises(UserError, match=r"not committed \([MD] profiles/toy.yaml\): commit, stash or delete"):
        clean_up(toy.root, LOGGER)
    assert toy.git("diff") == before
