"""The file of a calibration (`stages.core.runtime.calibration`)."""

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stages.core.io.lineage import MADE_FROM, Lineage
from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import Calibration


def write_calibration(path: Path, calibration: Calibration, *, made_from: Lineage) -> None:
    """Write the numbers in full precision, and the result they were fitted on; the metrics file rounds them."""
    content = asdict(calibration) | {"threshold": calibration.threshold.as_json(), MADE_FROM: dict(made_from)}
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_calibration(path: Path) -> Calibration:
    """Read the numbers, bit for bit as they were written.

    Raises:
        UserError: the file is missing, not JSON, or lacks a number.
    """
    try:
        return TypeAdapter(Calibration).validate_python(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (OSError, ValueError) as error:
        problem = str(error)
    raise UserError(f"{path}: no readable calibration ({problem}): delete it and run `dvc repro`")
