"""What dvc.lock still leaves to do, told by DVC without the data being here."""

import re
from pathlib import Path

from flows.commands import checked, dvc

WOULD_RUN = re.compile(r"Running stage '([^']+)'")


def left_to_do(clone: Path) -> list[str]:
    """Stages that `dvc repro` would run if all that dvc.lock names were pulled; [] proves a run complete.

    To be asked at the end of a run: DVC's dry run stops with an error at a stage to run whose inputs are missing.

    Raises:
        UserError: DVC cannot read the pipeline.
    """
    told = checked(dvc("repro", "--allow-missing", "--dry"), folder=clone, doing="asking DVC what is left to do")
    return WOULD_RUN.findall(told)
