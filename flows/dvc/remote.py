"""Pull and push between the clone and its DVC remote, tried again while the remote does not answer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.dvc.batch import Fault, fault_of
from flows.process.commands import RetryPolicy, checked, dvc, run
from stages.core.run.errors import UserError

LIMIT_HOURS = 12.0  # of one transfer: DVC says nothing while it works, so one that hangs looks like a large one


class RemoteFailed(UserError):
    """A transfer failed for good."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def may_recover(task: Any, task_run: Any, state: Any) -> bool:
    """Answer Prefect whether a failed transfer is worth a retry: not if the disk is full or all time was used."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, RemoteFailed) and error.fault.kind not in ("disk_full", "timeout")


def has_remote(clone: Path, remote: str | None) -> bool:
    """Return whether a DVC remote is configured; a named one must be.

    Raises:
        UserError: the named remote is not there.
    """
    listed = checked(dvc("remote", "list"), folder=clone, doing="listing DVC remotes").splitlines()
    names = [line.split()[0] for line in listed if line.strip()]
    if remote is not None and remote not in names:
        raise UserError(f"there is no DVC remote {remote!r} in {clone}/.dvc/config: add it with `dvc remote add`")
    return bool(names)


def pull(clone: Path, remote: str | None, targets: Sequence[str] = (), *, retry: RetryPolicy) -> None:
    """Fetch what dvc.lock names, and known results of stages; what the remote lacks is made again later.

    Raises:
        RemoteFailed: the remote did not answer.
    """
    _transfer(clone, "pull", ["--run-cache", "--allow-missing", *_remote(remote), *targets], retry)


def push(clone: Path, remote: str | None, targets: Sequence[str] = (), *, retry: RetryPolicy) -> None:
    """Send outputs and known results of stages; also those of runs before whose push failed.

    Raises:
        RemoteFailed: the remote did not answer; nothing is lost, the next push sends it.
    """
    _transfer(clone, "push", ["--run-cache", *_remote(remote), *targets], retry)


def _remote(remote: str | None) -> list[str]:
    return [] if remote is None else [f"--remote={remote}"]


def _transfer(clone: Path, verb: str, arguments: Sequence[str], retry: RetryPolicy) -> None:
    task_of_flow = _transfer_once.with_options(retries=retry.retries, retry_delay_seconds=retry.delay_seconds)
    task_of_flow(clone, verb, arguments)


@task(task_run_name="dvc {verb}", cache_policy=NO_CACHE, persist_result=False, retry_condition_fn=may_recover)
def _transfer_once(clone: Path, verb: str, arguments: Sequence[str]) -> None:
    finished = run(dvc(verb, *arguments), folder=clone, on_line=get_run_logger().info, timeout=3600 * LIMIT_HOURS)
    if finished.timed_out:
        raise RemoteFailed(Fault("timeout", f"dvc {verb}: stopped after {LIMIT_HOURS:g} hours: the remote hangs"))
    if finished.code != 0:
        raise RemoteFailed(fault_of(finished, doing=f"dvc {verb}"))
