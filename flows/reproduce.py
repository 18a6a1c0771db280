"""Flow `reproduce`: bring the clone up to date, independent stages next to each other.

python -m flows.reproduce                       # the same from a terminal
python -m flows.reproduce segmentation report   # only these, and what they need
"""

import argparse
import sys
from collections.abc import Sequence

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows.publish.report import headline, publish_stages, raise_for_faults
from flows.schedule.run_stages import TASK_RUNNER, Settings, reproduce_clone, slots_of
from flows.site.clone import clone_folder, hold_clone
from flows.site.recovery import mark_crashed
from stages.core.run.errors import UserError
from stages.core.run.parent import die_with_worker


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
        retry_delay_seconds: between two tries.

    Raises:
        UserError: another run holds the clone, a stage failed, or an argument makes no sense.
    """
    logger, clone = get_run_logger(), clone_folder()
    slots = slots_of(cpu_slots, gpu_slots)
    settings = Settings(clone, slots, stage_timeout_minutes, retries, retry_delay_seconds)
    die_with_worker()
    with hold_clone(clone, flow_run_id=str(flow_run.id)) as dead:
        mark_crashed(dead, logger)
        report = reproduce_clone(settings, targets or [], logger)
    publish_stages(report)
    raise_for_faults(report)
    return headline(report)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the flow from a terminal."""
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
