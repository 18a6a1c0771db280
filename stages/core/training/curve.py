"""Training curves: means of the loss terms over even stretches of iterations, as CSV files that DVC draws."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from stages.core.run.atomic import replacing_file

POINTS = 100  # stretches of a training; more would only make the commits larger


class TrainingCurve:
    """Gathers the terms of each iteration where they are computed: nothing is copied from the device until the end.

    A stretch ends every ceil(iterations / POINTS) iterations, with the last iteration, and where terms join or leave,
    so that no mean mixes two phases of a training. Its state belongs in the checkpoint: a training that continues after
    a kill then has the curve of an uninterrupted one.
    """

    def __init__(self, weights: Mapping[str, float], *, iterations: int) -> None:
        """Begin an empty curve.

        Args:
            weights: of all terms that may occur, by name.
            iterations: of the whole training.
        """
        self.weights = dict(weights)
        self.iterations = iterations
        self.stretch = max(1, math.ceil(iterations / POINTS))
        self.steps: list[int] = []
        self.means: list[dict[str, Tensor]] = []
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.last = 0

    def add(self, step: int, terms: Mapping[str, Float[Tensor, ""]]) -> None:
        """Take the terms of iteration `step`, counted from 1."""
        if terms.keys() != self.sums.keys():
            self.close()
        for name, term in terms.items():
            value = term.detach().float()
            self.sums[name] = self.sums[name].to(value.device) + value if name in self.sums else value
        self.count, self.last = self.count + 1, step
        if step % self.stretch == 0 or step == self.iterations:
            self.close()

    def close(self) -> None:
        """End the stretch; an empty one leaves nothing."""
        if self.count:
            self.steps.append(self.last)
            self.means.append({name: total / self.count for name, total in self.sums.items()})
        self.sums, self.count = {}, 0

    def table(self) -> pd.DataFrame:
        """Return one row a stretch: step (its last iteration), loss (the weighted sum), and every term.

        A term is NaN where it did not occur.
        """
        rows = [{name: float(value) for name, value in means.items()} for means in self.means]
        table = pd.DataFrame(rows, columns=list(self.weights), dtype="float64")
        weighted = [sum(self.weights[name] * value for name, value in row.items()) for row in rows]
        table.insert(0, "step", pd.Series(self.steps, dtype="int64"))
        table.insert(1, "loss", pd.Series(weighted, dtype="float64"))
        return table

    def state_dict(self) -> dict[str, Any]:
        """Return all that was gathered, for the checkpoint."""
        open_stretch = {"sums": dict(self.sums), "count": self.count, "last": self.last}
        return {"steps": list(self.steps), "means": list(self.means), **open_stretch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.steps, self.means = list(state["steps"]), list(state["means"])
        self.sums, self.count, self.last = dict(state["sums"]), int(state["count"]), int(state["last"])


def write_training_curve(path: Path, curve: pd.DataFrame) -> None:
    """Write a table of `stages.core.training.curve` with 6 significant digits, an empty cell for NaN.

    Where nothing was trained the file has only its header.
    """
    with replacing_file(path) as temporary:
        curve.to_csv(temporary, index=False, lineterminator="\n", float_format="%.6g")
