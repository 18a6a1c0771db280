"""`oddpart enough`: measure, and print a table and a verdict."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from io import StringIO
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from commands.enough.curve import Curve, learning_curve
from commands.enough.pictures import Normals, find_normals
from commands.enough.verdict import Gain, Row, in_words, last_gain, tabulate
from stages.core.run.console import printable
from stages.core.run.params import EncoderParams, load_params, load_seed, load_value, validate
from stages.core.runtime.calibration import counted
from stages.evaluation.params import EvaluationParams
from stages.patchcore.params import PatchcoreParams

NOTE = (
    "Found: by nearest neighbours, at the threshold of normal pictures that were held out; no test picture is used. "
    "Synthetic defects are small scratches, patches and stains: real ones may be easier or harder, and a wrong "
    "assembly is none of them."
)


def show_enough(name: str, *, as_json: bool) -> str:
    """Print the learning curve of a product or folder and return the closing counts.

    Args:
        name: a key of `categories`, or a folder.
        as_json: print JSON, with shares from 0 to 1, in place of the table.

    Raises:
        UserError: see `find_normals`; or a picture cannot be read.
    """
    budget = validate(EvaluationParams, load_value("evaluation"), where="evaluation").false_alarm_budget
    seed = load_seed()
    encoder = load_params(EncoderParams, section="encoder")
    params = load_params(PatchcoreParams, section="patchcore")
    normals = find_normals(name, budget=budget, seed=seed)
    curve = learning_curve(normals, encoder, params, seed=seed)
    split = {"training": normals.training, "validation": normals.validation,
             "rotate_up_to": load_value("split.rotate_up_to")}  # fmt: skip
    rows = tabulate(curve, budget=budget, **split)
    gain = last_gain(curve, budget=budget, seed=seed)
    verdict = in_words(rows, gain, budget=budget, **split)
    layout = json_text if as_json else table_text
    sys.stdout.write(layout(name, measured(normals, curve), rows, gain, verdict))
    return f"{counted(len(normals.files), 'picture')}, {counted(sum(map(len, curve.values())), 'repetition')}"


def measured(normals: Normals, curve: Curve) -> dict[str, Any]:
    """Return what was measured on: pictures held out, whether in turns, and synthetic defects."""
    scores = next(iter(curve.values()))[0]
    return {"held_out": len(scores.normal), "in_turns": normals.rotated, "defects": scores.defect.size}


def json_text(name: str, facts: dict[str, Any], rows: Sequence[Row], gain: Gain, verdict: Sequence[str]) -> str:
    """Lay out everything as JSON."""
    content = {
        "product": name,
        **facts,
        "rows": [asdict(row) for row in rows],
        "gain": asdict(gain),
        "more_pictures": gain.answer,
        "verdict": " ".join(verdict),
    }
    return json.dumps(content, indent=2) + "\n"


def table_text(name: str, facts: dict[str, Any], rows: Sequence[Row], gain: Gain, verdict: Sequence[str]) -> str:
    """Lay out a table for a terminal, the verdict below it."""
    turns = ", each in its turn" if facts["in_turns"] else ""
    held_out, defects = counted(facts["held_out"], "picture"), counted(facts["defects"], "synthetic defect")
    title = f"{printable(name)}: {held_out} held out{turns}, {defects}"
    table = Table(title=title, title_justify="left", caption=NOTE, caption_justify="left", box=SIMPLE_HEAD)
    for heading in ("pictures to learn from", "synthetic defects found", "false alarms, at best"):
        table.add_column(heading, justify="right")
    for row in rows:
        spread = "" if row.half_range is None else f" ± {100 * row.half_range:.0f}"
        rate = "–" if row.attainable_false_alarm_rate is None else f"{100 * row.attainable_false_alarm_rate:.0f} %"
        table.add_row(str(row.pictures), f"{100 * row.found:.0f}{spread} %", rate)
    file = StringIO()
    Console(file=file, width=100, markup=False).print(table)
    return file.getvalue() + "\n" + "\n".join(verdict) + "\n"
