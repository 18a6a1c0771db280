"""The options and steps that `nightly` and `distribute` share: update, pull, record, send, judge, show."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from flows.dvc import remote as dvc_remote
from flows.dvc.batch_size import params_file_of
from flows.dvc.pipeline import LOCK, read_pipeline
from flows.git import branch, repository
from flows.git import remote as git_remote
from flows.process.commands import Logger, RetryPolicy
from flows.publish.report import (
    commit_message,
    emit,
    headline,
    pictures_of,
    publish_links,
    publish_metrics,
    publish_pictures,
    publish_stages,
)
from flows.publish.verdict import Comparison, Verdict, compare, judge_run
from flows.schedule.loop import Report
from flows.site.packages import refuse_other_packages
from stages.core.run.errors import UserError

PASSED, REJECTED = "nightly.passed", "nightly.rejected"


class RunRejected(UserError):
    """The run is recorded, but not passed: the baseline stays where it was."""


class RunOptions(BaseModel):
    """The options of one scheduled run.

    Attributes:
        clone: the folder in which it works.
        branch: is brought up to date and committed to.
        git_remote: where the branch comes from; None leaves it as it is in the clone.
        push_git: whether to push the branch and the tag there.
        dvc_remote: by name; None for the clone's default one.
        baseline: the tag that marks the last run that passed; the first complete run sets it.
        tolerance: percentage points that a metric may lose even significantly.
        files_address: where this repository's files are served, for pictures too large for the page; None for nowhere.
        retries: how often a stage or a transfer is tried again after a transient fault.
        retry_delay_seconds: between two tries.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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

    def retry(self, logger: Logger) -> RetryPolicy:
        """Return how often remotes are asked again."""
        return RetryPolicy(self.retries, self.retry_delay_seconds, logger.warning)


@contextmanager
def emit_rejected_on_error(clone: Path) -> Iterator[None]:
    """Emit the event of a rejected run also for one that ends before it can be judged: somebody waits for it."""
    try:
        yield
    except Exception as error:
        emit(REJECTED, clone, commit=None, reasons=[str(error) or repr(error)], ran=[])
        raise


def update(options: RunOptions, logger: Logger) -> None:
    """Bring the branch up to date, and the tag, if it is shared."""
    repository.refuse_dirty(options.clone)
    branch.update(options.clone, options.branch, options.git_remote, retry=options.retry(logger))
    refuse_other_packages(options.clone)
    if options.pushes_to is not None:
        git_remote.fetch_tag(options.clone, options.pushes_to, options.baseline, retry=options.retry(logger))


def pull(options: RunOptions, logger: Logger) -> bool:
    """Pull data, if there is a DVC remote; return whether there is."""
    if not dvc_remote.has_remote(options.clone, options.dvc_remote):
        logger.warning("no DVC remote is configured (`dvc remote add`): nothing is pulled, and nothing pushed")
        return False
    dvc_remote.pull(options.clone, options.dvc_remote, retry=options.retry(logger))
    return True


def record(options: RunOptions, report: Report) -> None:
    """Commit dvc.lock, metrics and costs of finished stages; put back those that failed stages deleted or changed."""
    stages = read_pipeline(options.clone).stages
    finished = [name for name, result in report.results.items() if result.state != "failed"]
    others = [path for name in stages.keys() - finished for path in stages[name].recorded]
    repository.restore(options.clone, others)
    # When a batch size was halved, dvc.lock would lie without it.
    halved = {params_file_of(stage.batch_size) for stage in stages.values() if stage.batch_size and report.remarks}
    paths = [LOCK, *sorted(halved), *(path for name in finished for path in stages[name].recorded)]
    repository.commit(options.clone, paths, commit_message(report))


def close(options: RunOptions, report: Report, *, has_remote: bool, logger: Logger) -> Verdict:
    """Record, send, judge, move the tag if the run passes, and show all of it."""
    record(options, report)
    problems = send(options, has_remote, logger)
    comparison, verdict = compare_and_judge(options, report, problems)
    if verdict.passed:
        verdict = move_baseline(options, report, logger)
    show(options, report, comparison, verdict)
    return verdict


def send(options: RunOptions, has_remote: bool, logger: Logger) -> list[str]:
    """Push; return what went wrong. The run continues, so that its results are shown and recorded all the same."""
    try:
        if has_remote:
            dvc_remote.push(options.clone, options.dvc_remote, retry=options.retry(logger))
        if options.pushes_to is not None:
            branch.push(options.clone, options.branch, options.pushes_to, retry=options.retry(logger))
    except UserError as error:
        logger.error("%s", error)
        return [f"the results are committed here but not pushed; the next run pushes them. {error}"]
    return []


def compare_and_judge(options: RunOptions, report: Report, problems: list[str]) -> tuple[Comparison, Verdict]:
    """Compare with the baseline, or without one with the commit itself: then only missing metrics can be seen.

    A comparison that is not possible, as a revision has no evaluation, is a reason against the run like any other.
    """
    old = options.baseline if repository.has_tag(options.clone, options.baseline) else "HEAD"
    try:
        comparison = compare(options.clone, old, "HEAD", tolerance=options.tolerance)
    except UserError as error:
        problems = [*problems, str(error)]
        comparison = Comparison(old, "HEAD", rows=(), markdown="There is no comparison.")
    return comparison, judge_run(comparison.rows, report, problems=problems)


def move_baseline(options: RunOptions, report: Report, logger: Logger) -> Verdict:
    """Move the tag here, and where the branch is pushed to; a tag that others cannot see is no pass."""
    repository.move_tag(options.clone, options.baseline, f"passed: {headline(report)}")
    try:
        if options.pushes_to is not None:
            tag = f"+refs/tags/{options.baseline}"
            git_remote.push(options.clone, options.pushes_to, tag, retry=options.retry(logger))
    except UserError as error:
        return Verdict((f"the metrics pass, but the tag was not pushed; the next run that passes moves it. {error}",))
    return Verdict(())


def show(options: RunOptions, report: Report, comparison: Comparison, verdict: Verdict) -> None:
    """Publish the run in Prefect."""
    reasons = "\n".join(["**not passed**", *(f"- {reason}" for reason in verdict.reasons)])
    publish_stages(report)
    publish_metrics(comparison, "passed" if verdict.passed else reasons)
    recorded = [path for stage in read_pipeline(options.clone).stages.values() for path in stage.recorded]
    publish_pictures(options.clone, pictures_of(options.clone, recorded), address=options.files_address)
    commit = repository.revision(options.clone, "HEAD")
    publish_links(options.clone, commit, address=options.files_address)
    event = PASSED if verdict.passed else REJECTED
    emit(event, options.clone, commit=commit, reasons=list(verdict.reasons), ran=report.ran)


def raise_if_rejected(verdict: Verdict) -> None:
    """Fail a run that did not pass.

    Raises:
        RunRejected: with every reason.
    """
    if not verdict.passed:
        raise RunRejected("\n".join(["recorded, but not passed:", *verdict.reasons]))
