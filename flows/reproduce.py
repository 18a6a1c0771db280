"""Flow `reproduce`: bring the clone up to date, independent stages beside each other.

python -m flows.reproduce                       # the same from a terminal
python -m flows.reproduce segmentation report   # only these, and what they need
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from flows.clone import clone_folder
from flows.clone_lock import hold_clone
from flows.janitor import bury
from flows.run_stages import Settings, reproduce_clone
from flows.slots import Slots, make_slots, visible_gpus
from flows.summary import headline, raise_for_faults, rows_of
from flows.worker_bond import die_with_worker
from stages.core.run.errors import UserError

MOST_THREADS = 64  # of the task runner; the scheduling loop never starts more batches than there are slots
TASK_RUNNER: Any = ThreadPoolTaskRunner(max_workers=MOST_THREADS)


@flow(name="reproduce", task_runner=TASK_RUNNER, persist_result=False)
def reproduce(
    targets: list[str] | None = None,
    cpu_slots: int | None = None,
    gpu_slots: int | None = None,
    stage_timeout_minutes: float = 720,
    retries: int = 2,
    retry_delay_seconds: float = 30,
) -> str:
    """Run every stage that is not up to date, each as soon as its inputs and a slot are there.

    Args:
        targets: stages, or groups of them ("segmentation"); None for all.
        cpu_slots: stages on the CPU at once; None for one per core.
        gpu_slots: stages on GPUs at once; None for one per GPU, and a single one where there is no GPU.
        stage_timeout_minutes: after which a stage is stopped, unless dvc.yaml says otherwise (meta.timeout_minutes).
        retries: how often a stage is tried again after a transient fault (network, locks).

    Raises:
        UserError: another run holds the clone, a stage failed, or an argument makes no sense.
    """
    logger, clone = get_run_logger(), clone_folder()
    slots = slots_of(cpu_slots, gpu_slots)
    settings = Settings(clone, slots, stage_timeout_minutes, retries, retry_delay_seconds)
    die_with_worker()
    with hold_clone(clone, flow_run_id=str(flow_run.id)) as dead:
        bury(dead, logger)
        report = reproduce_clone(settings, targets or [], logger)
    create_table_artifact(rows_of(report), key="stages", description=headline(report))
    raise_for_faults(report)
    return headline(report)


def slots_of(cpu_slots: int | None, gpu_slots: int | None) -> Slots:
    """The slots of this machine."""
    slots = make_slots(cpu=cpu_slots, gpu=gpu_slots, gpus=visible_gpus(), cores=len(os.sched_getaffinity(0)))
    if slots.total > MOST_THREADS:
        raise UserError(f"{slots.total} slots are more than {MOST_THREADS}: give smaller cpu_slots and gpu_slots")
    return slots


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="STAGE")
    parser.add_argument("--cpu-slots", type=int)
    parser.add_argument("--gpu-slots", type=int)
    arguments = parser.parse_args(argv)
    try:
        reproduce(arguments.targets, arguments.cpu_slots, arguments.gpu_slots)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
