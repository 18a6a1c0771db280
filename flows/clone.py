"""Which clone a flow works in."""

import os
from pathlib import Path

from stages.core.run.errors import UserError

VARIABLE = "ODDPART_CLONE"


def clone_folder() -> Path:
    """The folder that ODDPART_CLONE names, else the current one; resolved.

    Raises:
        UserError: it is no clone of this repository.
    """
    clone = Path(os.environ.get(VARIABLE, ".")).resolve()
    for needed in ("dvc.yaml", "params.yaml", ".dvc", ".git"):
        if not (clone / needed).exists():
            raise UserError(f"{clone} has no {needed}: start in a clone of the repository, or name one in {VARIABLE}")
    return clone
