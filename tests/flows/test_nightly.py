"""Flow `nightly` on the toy pipeline: what is recorded, pushed, published, and let through."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowFilter, FlowFilterName
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import FlowRunSort

from flows.nightly import nightly
from flows.schedule.scheduled_run import RunRejected
from stages.core.run.errors import UserError
from tests.flows.task_runs import runs_of
from tests.flows.toy import Toy

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(300)]
QUICK: dict[str, Any] = {"cpu_slots": 2, "gpu_slots": 2, "retry_delay_seconds": 0}


@pytest.fixture
def remotes(toy: Toy, tmp_path: Path) -> Path:
    """A DVC remote and a git remote, both folders; the clone has pushed to both."""
    (tmp_path / "dvc").mkdir()
    subprocess.run(["git", "clone", "-q", "--bare", str(toy.root), str(tmp_path / "git")], check=True)
    toy.git("remote", "add", "origin", str(tmp_path / "git"))
    toy.dvc("remote", "add", "-q", "--default", "store", str(tmp_path / "dvc"))
    toy.git("commit", "-qam", "remote")
    toy.git("push", "-q", "origin", "main")
    return tmp_path


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The events that automations would have received: names and payloads."""
    emitted: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        "flows.publish.report.emit_event", lambda event, resource, payload: emitted.append((event, payload))
    )
    return emitted


def developer_at(remotes: Path) -> Toy:
    """A developer's clone of the git remote."""
    developer = Toy(remotes / "developer")
    subprocess.run(["git", "clone", "-q", str(remotes / "git"), str(developer.root)], check=True)
    for key in ("user.name", "user.email"):
        developer.git("config", key, "dev@localhost")
    return developer


def artifacts() -> dict[str, Artifact]:
    """What the newest run of `nightly` shows; runs of other flows may have shown something since."""
    flow = FlowFilter(name=FlowFilterName(any_=["nightly"]))
    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(flow_filter=flow, sort=FlowRunSort.START_TIME_DESC, limit=1)
        of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
        return {str(found.key): found for found in client.read_artifacts(artifact_filter=of_run)}


def test_a_night_records_pushes_publishes_and_moves_the_tag(
    toy: Toy, remotes: Path, events: list[tuple[str, dict[str, Any]]]
) -> None:
    developer = developer_at(remotes)
    developer.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
    developer.git("push", "-q", "origin", "main")

    page = toy.root / "artifacts/report/index.html"
    page.parent.mkdir()
    page.touch()
    assert nightly(git_remote="origin", push_git=True, **QUICK) == "4 stages ran"

    files = toy.git("show", "--name-only", "--format=%s", "HEAD").split("\n")
    assert files[0] == "nightly: 4 stages ran"
    assert {"dvc.lock", "metrics/method/a.json", "metrics/cost/a/train.json"} <= set(files[1:])
    assert not [file for file in files[1:] if file.startswith("artifacts")]
    assert json.loads((toy.root / "metrics/method/a.json").read_text()) == {"auroc": 0.4}
    assert toy.git("status", "--porcelain") == ""
    head = toy.git("rev-parse", "HEAD")
    assert toy.git("rev-parse", "baseline^{commit}") == head
    assert toy.git("ls-remote", "origin", "refs/heads/main", "refs/tags/baseline^{}").split()[::2] == [head.strip()] * 2
    shown = artifacts()
    metrics = json.loads(str(shown["metrics"].data))
    assert [(line["category"], line["old"], line["new"]) for line in metrics] == [("a", 40.0, 40.0), ("b", 31.0, 31.0)]
    assert str(shown["comparison"].data).startswith("passed\n\n| category | markdown |")
    assert [line["stage"] for line in json.loads(str(shown["stages"].data))][:1] == ["prepare@a"]
    assert str(shown["metrics-overview-a-method"].data).startswith("data:image/svg+xml;base64,")

    assert str(shown["report"].data).startswith(f"[{page} on ")
    (event,) = events
    assert event[0] == "oddpart.nightly.passed"
    assert (event[1]["commit"], event[1]["reasons"], len(event[1]["ran"])) == (head.strip(), [], 4)

    developer.started()
    developer.dvc("repro", "-q", "--pull")  # dvc.lock is the one before the run
    assert developer.started() == {"score@a"}  # the rest comes from the run-cache that the run pushed
    developer.git("checkout", "-q", ".")
    developer.git("pull", "-q")
    developer.dvc("pull", "-q")
    assert developer.value("report") == 71


@pytest.mark.faults
def test_a_drop_is_recorded_but_not_passed_and_not_forgotten(
    toy: Toy, events: list[tuple[str, dict[str, Any]]]
) -> None:
    nightly(**QUICK)  # sets the tag
    passed = toy.git("rev-parse", "baseline^{commit}")
    toy.set_params(categories={"a": {"value": 20}, "b": {"value": 31}})
    for ran in (4, 0):  # the next night has nothing to run, and must not pass the commit of this one
        with pytest.raises(
            RunRejected, match=r"1 metrics dropped significantly: a method image_auroc all 30.0 -> 20.0"
        ):
            nightly(**QUICK)
        assert len(toy.started()) == ran
        assert events[-1][0] == "oddpart.nightly.rejected"
        assert "1 metrics dropped significantly" in events[-1][1]["reasons"][0]
    assert toy.git("rev-parse", "baseline^{commit}") == passed
    assert toy.git("log", "-1", "--format=%s").strip() == "nightly: 4 stages ran"
    toy.set_params(categories={"a": {"value": 29}, "b": {"value": 31}})
    assert nightly(tolerance=2.0, **QUICK) == "4 stages ran"
    assert toy.git("rev-parse", "baseline^{commit}") == toy.git("rev-parse", "HEAD")


@pytest.mark.faults
def test_a_failed_stage_leaves_the_finished_ones_committed(toy: Toy) -> None:
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 50}})
    fault = toy.control("score@a.print", "ValueError: a bug")
    with pytest.raises(RunRejected, match=r"(?s)stage score@a failed.*ValueError: a bug.*report"):
        nightly(**QUICK)
    assert toy.git("log", "-1", "--format=%s").strip() == "nightly: 5 stages ran, 1 failed (score@a), 1 skipped"
    assert toy.git("status", "--porcelain") == ""
    assert json.loads((toy.root / "metrics/method/a.json").read_text()) == {"auroc": 0.3}  # as before
    assert toy.git("tag", "--list").strip() == ""
    toy.started()
    fault.unlink()
    assert nightly(**QUICK) == "2 stages ran"
    assert toy.started() == {"score@a", "report"}


@pytest.mark.faults
def test_missing_metrics_are_judged_though_all_stages_are_fine(toy: Toy) -> None:
    nightly(**QUICK)
    passed = toy.git("rev-parse", "baseline^{commit}")
    pipeline = yaml.safe_load((toy.root / "dvc.yaml").read_text())
    del pipeline["stages"]["score"]["do"]["metrics"]
    pipeline["stages"]["score"]["do"]["outs"].pop()  # the picture
    (toy.root / "dvc.yaml").write_text(yaml.safe_dump(pipeline))
    toy.control("no metrics")
    toy.git("rm", "-q", "-r", "metrics/method")
    toy.git("commit", "-qam", "forget to write metrics")
    with pytest.raises(RunRejected, match=r"(?s)HEAD: no evaluation below metrics/.*no metric that could be judged"):
        nightly(**QUICK)
    assert toy.git("rev-parse", "baseline^{commit}") == passed


@pytest.mark.faults
def test_a_stage_that_does_not_write_its_metrics_fails(toy: Toy) -> None:
    toy.control("no metrics")
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
    with pytest.raises(
        RunRejected, match=r"stage score@a failed.*output 'metrics/(method/a\.json|overview/a)' does not exist"
    ):
        nightly(**QUICK)
    assert (toy.root / "metrics/method/a.json").exists()  # that of the commit before


def test_a_dirty_tree_is_refused(toy: Toy, events: list[tuple[str, dict[str, Any]]]) -> None:
    (toy.root / "stages/new.py").touch()
    with pytest.raises(
        UserError, match=r"changes that are not committed \(\?\? stages/new.py\): commit, stash or delete"
    ):
        nightly(**QUICK)
    assert toy.started() == set()
    assert [(name, payload["commit"]) for name, payload in events] == [("oddpart.nightly.rejected", None)]


@pytest.mark.faults
def test_a_remote_that_does_not_answer_loses_nothing(toy: Toy, remotes: Path) -> None:
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
    store = remotes / "dvc"
    store.rmdir()
    store.write_text("no folder any more")
    with pytest.raises(RunRejected, match="committed here but not pushed; the next run pushes them. dvc push failed"):
        nightly(retries=1, **QUICK)
    assert runs_of("dvc push", flow="nightly") == 2
    assert toy.git("log", "-1", "--format=%s").strip() == "nightly: 4 stages ran"
    assert toy.git("tag", "--list").strip() == ""
    store.unlink()
    store.mkdir()
    assert nightly(**QUICK) == "0 stages ran"
    assert runs_of("dvc push", flow="nightly") == 1
    assert toy.git("tag", "--list").strip() == "baseline"
    assert list(store.rglob("*"))


def test_own_commits_that_do_not_fit_onto_the_branch_are_an_error(toy: Toy, remotes: Path) -> None:
    before = toy.git("rev-parse", "HEAD")
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
    toy.git("push", "-q", "origin", "main")
    toy.git("reset", "-q", "--hard", before.strip())
    toy.set_params(categories={"a": {"value": 41}, "b": {"value": 31}})
    with pytest.raises(UserError, match=r"do not fit onto origin/main: merge them by hand"):
        nightly(git_remote="origin", **QUICK)
    assert toy.git("status", "--porcelain") == ""
    assert not (toy.root / ".git/rebase-merge").exists()


@pytest.mark.faults
def test_results_of_a_developer_are_joined_with_those_of_earlier_nights(toy: Toy, remotes: Path) -> None:
    developer = developer_at(remotes)
    developer.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
    developer.git("push", "-q", "origin", "main")
    assert nightly(git_remote="origin", **QUICK) == "4 stages ran"  # committed in the clone only
    developer.set_params(categories={"a": {"value": 40}, "b": {"value": 50}})
    developer.dvc("repro", "-q", "score@b")
    developer.git("commit", "-qam", "score of b")
    developer.git("push", "-q", "origin", "main")
    developer.dvc("push", "-q", "score@b", "--with-deps")
    toy.started()
    assert nightly(git_remote="origin", **QUICK) == "1 stage ran"
    assert toy.started() == {"report"}
    assert toy.value("report") == 90
    assert toy.git("log", "-3", "--format=%s").splitlines()[::2] == ["nightly: 1 stage ran", "score of b"]
    assert toy.git("rev-parse", "baseline^{commit}") == toy.git("rev-parse", "HEAD")
