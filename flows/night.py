"""The steps of a scheduled run, which `nightly` and `distribute` share: fetch, record, send, judge, show."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows import branch, dvc_remote, git, git_transfer
from flows.batch_size import params_file_of
from flows.comparison import Comparison, compare
from flows.judge import Verdict, judge
from flows.packages import refuse_other_packages
from flows.pipeline import read_pipeline
from flows.publish import pictures_of, publish_links, publish_metrics, publish_pictures, publish_stages, tell
from flows.run_stages import Logger
from flows.schedule import Report
from flows.summary import commit_message, headline
from stages.core.run.errors import UserError

PASSED, REJECTED = "nightly.passed", "nightly.rejected"


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

    def trying(self, logger: Logger) -> git_transfer.Trying:
        """How often the git remote is asked again."""
        return git_transfer.Trying(self.retries, self.retry_delay_seconds, logger.warning)


@contextmanager
def telling_of_errors(clone: Path) -> Iterator[None]:
    """Emit the event of a rejected run also for one that ends before it can be judged: who waits for it shall know."""
    try:
        yield
    except Exception as error:
        tell(REJECTED, clone, commit=None, reasons=[str(error) or repr(error)], ran=[])
        raise


def update(night: Night, logger: Logger) -> None:
    """Bring the branch up to date, and the tag, if it is shared."""
    git.refuse_dirty(night.clone)
    branch.update(night.clone, night.branch, night.git_remote, trying=night.trying(logger))
    refuse_other_packages(night.clone)
    if night.pushes_to is not None:
        git_transfer.fetch_tag(night.clone, night.pushes_to, night.baseline, trying=night.trying(logger))


def pull(night: Night, logger: Logger) -> bool:
    """Pull data, if there is a DVC remote; tells whether there is."""
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
    # When a batch size was halved, dvc.lock would lie without it.
    halved = {params_file_of(stage.batch_size) for stage in stages.values() if stage.batch_size and report.remarks}
    paths = ["dvc.lock", *sorted(halved), *(path for name in finished for path in stages[name].recorded)]
    git.commit(night.clone, paths, commit_message(report))


def send(night: Night, has_remote: bool, logger: Logger) -> list[str]:
    """Push; gives what went wrong. The run goes on, so that its results are shown and recorded all the same."""
    retrying = dvc_remote.push.with_options(retries=night.retries, retry_delay_seconds=night.retry_delay_seconds)
    try:
        if has_remote:
            retrying(night.clone, night.dvc_remote)
        if night.pushes_to is not None:
            branch.push(night.clone, night.branch, night.pushes_to, trying=night.trying(logger))
    except UserError as error:
        logger.error("%s", error)
        return [f"the results are committed here but not pushed; the next run pushes them. {error}"]
    return []


def pass_baseline(night: Night, report: Report, logger: Logger) -> Verdict:
    """Move the tag here, and where the branch is pushed to; a tag that others cannot see is no pass."""
    git.move_tag(night.clone, night.baseline, f"passed: {headline(report)}")
    try:
        if night.pushes_to is not None:
            tag = f"+refs/tags/{night.baseline}"
            git_transfer.push(night.clone, night.pushes_to, tag, trying=night.trying(logger))
    except UserError as error:
        return Verdict((f"the metrics pass, but the tag was not pushed; the next run that passes moves it. {error}",))
    return Verdict(())


def compare_and_judge(night: Night, report: Report, problems: list[str]) -> tuple[Comparison, Verdict]:
    """Compare with the baseline, or without one with the commit itself: then only missing metrics can be seen.

    A comparison that is not possible, as a revision has no evaluation, is a reason against the run like any other.
    """
    old = night.baseline if git.has_tag(night.clone, night.baseline) else "HEAD"
    try:
        comparison = compare(night.clone, old, "HEAD", tolerance=night.tolerance)
    except UserError as error:
        problems = [*problems, str(error)]
        comparison = Comparison(old, "HEAD", rows=(), markdown="There is no comparison.")
    return comparison, judge(comparison.rows, report, problems=problems)


def close(night: Night, report: Report, *, has_remote: bool, logger: Logger) -> Verdict:
    """Record, send, judge, move the tag if the run passes, and show all of it."""
    record(night, report)
    problems = send(night, has_remote, logger)
    comparison, verdict = compare_and_judge(night, report, problems)
    if verdict.passed:
        verdict = pass_baseline(night, report, logger)
    show(night, report, comparison, verdict)
    return verdict


def raise_if_rejected(verdict: Verdict) -> None:
    """Raises:
    RunRejected: with every reason.
    """
    if not verdict.passed:
        raise RunRejected("\n".join(["recorded, but not passed:", *verdict.reasons]))


def show(night: Night, report: Report, comparison: Comparison, verdict: Verdict) -> None:
    """Publish the run in Prefect."""
    told = "passed" if verdict.passed else "\n".join(["**not passed**", *(f"- {reason}" for reason in verdict.reasons)])
    publish_stages(report)
    publish_metrics(comparison, told)
    recorded = [path for stage in read_pipeline(night.clone).stages.values() for path in stage.recorded]
    publish_pictures(night.clone, pictures_of(recorded), address=night.files_address)
    commit = git.revision(night.clone, "HEAD")
    publish_links(night.clone, commit, address=night.files_address)
    event = PASSED if verdict.passed else REJECTED
    tell(event, night.clone, commit=commit, reasons=list(verdict.reasons), ran=report.ran)
