"""The grey range of a product whose images have more than 8 bits: kept with its split, read by those who need it."""

import json
from pathlib import Path

from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError
from stages.core.runtime.reading import Window

GREY_RANGE = "grey_range.json"  # in a split's `inputs/`; only where the product has such images


def between(black: float, white: float) -> Window:
    """Return the window in which two values, `black` below `white`, become black and white."""
    return Window(level=(black + white) / 2 + 0.5, width=white - black + 1.0)


def ends(window: Window) -> tuple[float, float]:
    """Return the values that become black and white."""
    half = (window.width - 1.0) / 2
    return window.level - 0.5 - half, window.level - 0.5 + half


def write_grey_range(inputs: Path, grey_range: Window | None) -> None:
    """Write `inputs`/grey_range.json; no file where there is no range."""
    if grey_range is None:
        return
    black, white = ends(grey_range)
    with replacing_file(inputs / GREY_RANGE) as temporary:
        temporary.write_text(json.dumps({"black": black, "white": white}, indent=2) + "\n", encoding="utf-8")


def read_grey_range(inputs: Path) -> Window | None:
    """Read the range of a split's `inputs/`; None where the product has no image of more than 8 bits.

    Raises:
        UserError: the file is damaged.
    """
    path = inputs / GREY_RANGE
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return between(float(content["black"]), float(content["white"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no readable grey range ({error}): delete it and run `dvc repro`") from None
