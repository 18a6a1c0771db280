"""Pull and push between the clone and its DVC remote, tried again while the remote does not answer."""

from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.commands import checked, dvc, run
from flows.faults import Fault, fault_of
from stages.core.run.errors import UserError

LIMIT_HOURS = 12.0  # of one transfer: DVC says nothing while it works, so one that hangs looks like a large one


class RemoteFailed(UserError):
    """A transfer failed for good."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def may_recover(task: Any, task_run: Any, state: Any) -> bool:
    """Prefect's question whether a failed transfer is worth a retry: not if the disk is full or all time was used."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, RemoteFailed) and error.fault.kind not in ("disk_full", "timeout")


def has_remote(clone: Path, remote: str | None) -> bool:
    """Whether a DVC remote is configured; a named one must be.

    Raises:
        UserError: the named remote is not there.
    """
    listed = checked(dvc("remote", "list"), folder=clone, doing="listing DVC remotes").splitlines()
    names = [line.split()[0] for line in listed if line.strip()]
    if remote is not None and remote not in names:
        raise UserError(f"there is no DVC remote {remote!r} in {clone}/.dvc/config: add it with `dvc remote add`")
    return bool(names)


@task(task_run_name="dvc pull", cache_policy=NO_CACHE, persist_result=False, retry_condition_fn=may_recover)
def pull(clone: Path, remote: str | None, targets: list[str] | None = None) -> None:
    """Fetch what dvc.lock names, and known results of stages; what the remote lacks is made anew later.

    Raises:
        RemoteFailed: the remote did not answer.
    """
    _transfer(clone, "pull", ["--run-cache", "--allow-missing", *_remote(remote), *(targets or [])])


@task(task_run_name="dvc push", cache_policy=NO_CACHE, persist_result=False, retry_condition_fn=may_recover)
def push(clone: Path, remote: str | None, targets: list[str] | None = None) -> None:
    """Send outputs and known results of stages; also those of runs before whose push failed.

    Raises:
        RemoteFailed: the remote did not answer; nothing is lost, the next push sends it.
    """
    _transfer(clone, "push", ["--run-cache", *_remote(remote), *(targets or [])])


def _remote(remote: str | None) -> list[str]:
    return [] if remote is None else ["--remote", remote]


def _transfer(clone: Path, what: str, arguments: list[str]) -> None:
    finished = run(dvc(what, *arguments), folder=clone, on_line=get_run_logger().info, timeout=3600 * LIMIT_HOURS)
    if finished.timed_out:
        raise RemoteFailed(Fault("timeout", f"dvc {what}: stopped after {LIMIT_HOURS:g} hours: the remote hangs"))
    if finished.code != 0:
        raise RemoteFailed(fault_of(finished, doing=f"dvc {what}"))
