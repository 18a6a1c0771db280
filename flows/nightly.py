"""Flow `nightly`: update, pull, reproduce, record, push, compare with the baseline, publish, judge."""

from dataclasses import dataclass
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows import dvc_remote, git
from flows.clone import clone_folder
from flows.clone_lock import hold_clone
from flows.comparison import Comparison, compare
from flows.janitor import bury
from flows.judge import Verdict, judge
from flows.pipeline import read_pipeline
from flows.publish import pictures_of, publish_links, publish_metrics, publish_pictures, publish_stages, tell
from flows.reproduce import TASK_RUNNER, slots_of
from flows.run_stages import Logger, Settings, reproduce_clone
from flows.schedule import Report
from flows.summary import commit_message, headline
from stages.core.errors import UserError


class RunRejected(UserError):
    """The run is recorded, but not passed: the baseline stays where it was."""


@dataclass(frozen=True)
class Night:
    """The options of one run."""

    clone: Path
    branch: str
    git_remote: str | None
    push_git: bool
    dvc_remote: str | None
    baseline: str
    tolerance: float
    files_address: str | None
    retries: int
    retry_delay_seconds: float

    @property
    def pushes_to(self) -> str | None:
        """The git remote to push to, if any."""
        return self.git_remote if self.push_git else None


@flow(name="nightly", task_runner=TASK_RUNNER, persist_result=False)
def nightly(
    branch: str = "main",
    git_remote: str | None = None,
    push_git: bool = False,
    dvc_remote: str | None = None,
    baseline: str = "baseline",
    tolerance: float = 2.0,
    files_address: str | None = None,
    cpu_slots: int | None = None,
    gpu_slots: int | None = None,
    stage_timeout_minutes: float = 720,
    retries: int = 2,
    retry_delay_seconds: float = 60,
) -> str:
    """A scheduled run. What it made is committed and pushed even if it does not pass; the tag moves only if it does.

    Args:
        branch: is brought up to date and committed to.
        git_remote: where the branch comes from; None leaves it as it is in the clone.
        push_git: whether to push the branch and the tag there.
        dvc_remote: by name; None for the clone's default one.
        baseline: the tag that marks the last run that passed; the first complete run sets it.
        tolerance: percentage points that a metric may lose even significantly.
        files_address: where this repository's files are served, for pictures too large for the page.

    Raises:
        UserError: the clone is held, dirty or cannot be updated.
        RunRejected: a stage or the push failed, or metrics dropped or are missing.
    """
    logger, clone = get_run_logger(), clone_folder()
    night = Night(
        clone, branch, git_remote, push_git, dvc_remote, baseline, tolerance, files_address, retries,
        retry_delay_seconds,
    )  # fmt: skip
    settings = Settings(clone, slots_of(cpu_slots, gpu_slots), stage_timeout_minutes, retries, retry_delay_seconds)
    with hold_clone(clone, flow_run_id=str(flow_run.id)) as dead:
        bury(dead, logger)
        git.refuse_dirty(clone)
        has_remote = fetch(night, logger)
        report = reproduce_clone(settings, [], logger)
        record(night, report)
        problems = send(night, has_remote, logger)
        comparison, verdict = compare_and_judge(night, report, problems)
        if verdict.passed:
            pass_baseline(night, report)
        show(night, report, comparison, verdict)
    if not verdict.passed:
        raise RunRejected("\n".join(["recorded, but not passed:", *verdict.reasons]))
    return headline(report)


def fetch(night: Night, logger: Logger) -> bool:
    """Bring branch and data up to date; tells whether there is a DVC remote."""
    git.update(night.clone, night.branch, night.git_remote)
    if night.pushes_to is not None:
        git.fetch_tag(night.clone, night.pushes_to, night.baseline)
    if not dvc_remote.has_remote(night.clone, night.dvc_remote):
        logger.warning("no DVC remote is configured (`dvc remote add`): nothing is pulled, and nothing pushed")
        return False
    retrying = dvc_remote.pull.with_options(retries=night.retries, retry_delay_seconds=night.retry_delay_seconds)
    retrying(night.clone, night.dvc_remote)
    return True


def record(night: Night, report: Report) -> None:
    """Commit dvc.lock and the small outputs of finished stages; put back what failed stages had deleted."""
    stages = read_pipeline(night.clone).stages
    finished = [name for name, result in report.results.items() if result.state != "failed"]
    others = [path for name in stages.keys() - finished for path in stages[name].recorded]
    git.restore(night.clone, others)
    params = ["params.yaml"] if report.remarks else []  # a batch size was halved: without it dvc.lock would lie
    paths = ["dvc.lock", *params, *(path for name in finished for path in stages[name].recorded)]
    git.commit(night.clone, paths, commit_message(report))


def send(night: Night, has_remote: bool, logger: Logger) -> list[str]:
    """Push; gives what went wrong. The run goes on, so that its results are shown and recorded all the same."""
    retrying = dvc_remote.push.with_options(retries=night.retries, retry_delay_seconds=night.retry_delay_seconds)
    try:
        if has_remote:
            retrying(night.clone, night.dvc_remote)
        if night.pushes_to is not None:
            git.push(night.clone, night.pushes_to, f"refs/heads/{night.branch}")
    except UserError as error:
        logger.error("%s", error)
        return [f"the results are committed here but not pushed; the next run pushes them. {error}"]
    return []


def pass_baseline(night: Night, report: Report) -> None:
    """Move the tag here, and where the branch is pushed to."""
    git.move_tag(night.clone, night.baseline, f"passed: {headline(report)}")
    if night.pushes_to is not None:
        git.push(night.clone, night.pushes_to, f"+refs/tags/{night.baseline}")


def compare_and_judge(night: Night, report: Report, problems: list[str]) -> tuple[Comparison, Verdict]:
    """Compare with the baseline, or without one with the commit itself: then only missing metrics can be seen."""
    old = night.baseline if git.has_tag(night.clone, night.baseline) else "HEAD"
    comparison = compare(night.clone, old, "HEAD", tolerance=night.tolerance)
    return comparison, judge(comparison.rows, report, problems=problems)


def show(night: Night, report: Report, comparison: Comparison, verdict: Verdict) -> None:
    """Publish the run in Prefect."""
    told = "passed" if verdict.passed else "\n".join(["**not passed**", *(f"- {reason}" for reason in verdict.reasons)])
    publish_stages(report)
    publish_metrics(comparison, told)
    recorded = [path for stage in read_pipeline(night.clone).stages.values() for path in stage.recorded]
    publish_pictures(night.clone, pictures_of(recorded), address=night.files_address)
    commit = git.revision(night.clone, "HEAD")
    publish_links(night.clone, commit, address=night.files_address)
    event = "nightly.passed" if verdict.passed else "nightly.rejected"
    tell(event, night.clone, commit=commit, reasons=list(verdict.reasons), ran=report.ran)
