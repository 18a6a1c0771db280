"""Run a plan with Prefect: one task per batch of stages, in threads of the flow's process."""

import os
import queue
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from flows.dvc.batch import Fault, Outcome, run_batch
from flows.dvc.batch_size import halve
from flows.dvc.pipeline import read_pipeline
from flows.process.cancel import CancelToken
from flows.process.commands import Logger
from flows.schedule.loop import Batch, Executor, Report, run_schedule
from flows.schedule.plan import Plan, make_plan
from flows.site.slots import Slots, make_slots, occupied_device, slots_folder, visible_gpus
from stages.core.run.errors import UserError

MAX_THREADS = 64  # of the task runner; the scheduling loop never starts more batches than there are slots
TASK_RUNNER: Any = ThreadPoolTaskRunner(max_workers=MAX_THREADS)


def label_of(batch: Batch) -> str:
    """Name a batch for Prefect's page: "split@pin_tray", or "split@pin_tray and 3 more"."""
    others = len(batch.stages) - 1
    return batch.stages[0] if not others else f"{batch.stages[0]} and {others} more"


class StageFailed(Exception):
    """A stage of a batch failed."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True)
class Settings:
    """The settings by which stages run.

    Attributes:
        stage_timeout_minutes: of each stage, unless it has its own.
        retries: for transient faults only.
        halving: whether a batch size may be halved when the GPU's memory does not suffice.
    """

    clone: Path
    slots: Slots
    stage_timeout_minutes: float
    retries: int
    retry_delay_seconds: float
    halving: bool = True


def slots_of(cpu_slots: int | None, gpu_slots: int | None) -> Slots:
    """Return the slots of this machine.

    Raises:
        UserError: they are fewer than one, or more than the task runner has threads.
    """
    slots = make_slots(cpu=cpu_slots, gpu=gpu_slots, gpus=visible_gpus(), cores=len(os.sched_getaffinity(0)))
    if slots.total > MAX_THREADS:
        raise UserError(f"{slots.total} slots are more than {MAX_THREADS}: give smaller cpu_slots and gpu_slots")
    return slots


def is_transient(task: Any, task_run: Any, state: Any) -> bool:
    """Answer Prefect whether a failed task is worth a retry."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, StageFailed) and error.fault.transient


@task(task_run_name="{label}", cache_policy=NO_CACHE, persist_result=False, retry_condition_fn=is_transient)
def run_stages(
    label: str, batch: Batch, limits: dict[str, float], settings: Settings, token: CancelToken,
    collect: Callable[[Outcome], None],
) -> None:  # fmt: skip
    """Run one batch in its slot. Prefect's result cache is off: DVC is the cache.

    Args:
        collect: called with what became of the stages, also after an attempt that is followed by another.

    Raises:
        StageFailed: a stage of the batch failed.
        Cancelled: the run was interrupted.
    """
    logger = get_run_logger()
    arguments: dict[str, Any] = {"clone": settings.clone, "limits": limits, "on_line": logger.info, "token": token}
    if batch.resource == "gpu":
        with occupied_device(slots_folder(), settings.slots.devices, token) as device:
            logger.info("slot %s", device.name)
            outcome = run_batch(batch.stages, environment=device.environment, **arguments)
    else:
        hidden = {"CUDA_VISIBLE_DEVICES": ""} if settings.slots.devices[0].gpu is not None else {}
        outcome = run_batch(batch.stages, environment=hidden, **arguments)
    collect(outcome)
    if outcome.fault is not None:
        raise StageFailed(outcome.fault)


def run_plan(plan: Plan, settings: Settings, logger: Logger) -> Report:
    """Run a plan within a flow whose task runner has a thread per slot. Left early, it leaves no stage running."""
    finished: queue.SimpleQueue[tuple[Batch, list[Outcome], PrefectFuture[None]]] = queue.SimpleQueue()
    futures: list[PrefectFuture[None]] = []
    token = CancelToken()

    def start(batch: Batch) -> None:
        stages, default = plan.stages, settings.stage_timeout_minutes
        limits = {name: 60 * (stages[name].timeout_minutes or default) for name in batch.stages}
        retrying = run_stages.with_options(retries=settings.retries, retry_delay_seconds=settings.retry_delay_seconds)
        attempts: list[Outcome] = []
        future = retrying.submit(label_of(batch), batch, limits, settings, token, attempts.append)
        futures.append(future)
        future.add_done_callback(lambda done: finished.put((batch, attempts, done)))

    def wait() -> tuple[Batch, Outcome]:
        batch, attempts, future = finished.get()
        future.wait()  # the callback can come before the state is final
        error: object = future.result(raise_on_failure=False)
        if isinstance(error, BaseException) and not isinstance(error, StageFailed):
            raise error
        return batch, reduce(Outcome.followed_by, attempts)

    def halve_and_warn(param: str) -> str | None:
        remark = halve(settings.clone, param)
        logger.warning("out of GPU memory: %s", remark or f"{param} is too small already")
        return remark

    try:
        return run_schedule(plan, settings.slots, Executor(start, wait, halve_and_warn))
    except BaseException:  # also Ctrl-C and a cancel: stages are deaf to these, and whoever called frees the clone now
        token.cancel()
        for future in futures:
            with suppress(Exception):
                future.wait()
        raise


def reproduce_clone(settings: Settings, targets: Sequence[str], logger: Logger, *, needs: bool = True) -> Report:
    """Bring the clone up to date; once more if a batch size was halved, which other stages also read.

    Args:
        targets: stages; none means all.
        needs: also run what the targets need; False where their inputs come from elsewhere.
    """
    whole = Report()
    while True:
        pipeline = read_pipeline(settings.clone)
        stages = pipeline.stages
        if not settings.halving:
            stages = {name: replace(stage, batch_size=None) for name, stage in stages.items()}
        plan = make_plan(stages, pipeline.changed, targets, needs=needs)
        logger.info("%d of %d stages to run", len(plan.stages), len(stages))
        report = run_plan(plan, settings, logger)
        whole = whole.followed_by(report)
        if not report.remarks or report.faults:
            return whole
