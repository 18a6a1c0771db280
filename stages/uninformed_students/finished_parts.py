"""Networks of this stage that are trained already when the stage is killed while it trains the next one."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor, nn

from stages.core.training.checkpoints import checkpoint_file, load_checkpoint, save_checkpoint

Train = Callable[[Path], pd.DataFrame]


class FinishedParts:
    """Keeps the trained weights in the scratch folder of the checkpoints until the stage is done.

    `stages.core.training.optimisation` deletes its checkpoint at the end of a training. A stage that trains several
    networks one after the other would else train the first ones again.
    """

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.curves: list[pd.DataFrame] = []

    def train(
        self,
        network: nn.Module,
        train: Train,
        *,
        phase: str,
        label: str,
        tensors: Iterable[Tensor],
        settings: Mapping[str, Any],
    ) -> None:
        """Train the network in place, or give it the weights that a killed run left.

        Args:
            train: gets the file for its own checkpoints, and gives the table of `TrainingCurve`.
            phase: the training's name in the curve.
            label, tensors, settings: as of `checkpoint_file`; the network's initial weights are added.
        """
        checkpoint = checkpoint_file(label, tensors=[*network.state_dict().values(), *tensors], settings=settings)
        finished = checkpoint.with_suffix(".finished.pt")
        self.files.append(finished)
        state = load_checkpoint(finished)
        if state is None:
            curve = train(checkpoint)
            save_checkpoint(finished, {"network": dict(network.state_dict()), "curve": curve.to_dict("list")})
        else:
            network.load_state_dict(state["network"])
            curve = pd.DataFrame(state["curve"])
        self.curves.append(curve.assign(phase=phase))

    def curve(self) -> pd.DataFrame:
        """How the losses of all parts ran, one part after the other: columns step, phase, loss and each term."""
        together, before = [], 0
        for curve in self.curves:
            together.append(curve.assign(step=curve["step"] + before))
            before = int(together[-1]["step"].iloc[-1])
        joined = pd.concat(together, ignore_index=True)
        return joined[["step", "phase", *(name for name in joined.columns if name not in ("step", "phase"))]]

    def forget(self) -> None:
        """Delete what was kept: the stage is done."""
        for file in self.files:
            file.unlink(missing_ok=True)
