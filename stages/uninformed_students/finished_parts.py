"""Networks of this stage that are trained already when the stage is killed while it trains the next one."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from stages.core.checkpoints import checkpoint_file, load_checkpoint, save_checkpoint

Train = Callable[[Path], object]  # what it gives is not used


class FinishedParts:
    """Keeps the trained weights in the scratch folder of the checkpoints until the stage is done.

    `stages.core.optimisation` deletes its checkpoint at the end of a training. A stage that trains several networks one
    after the other would else train the first ones again.
    """

    def __init__(self) -> None:
        self.files: list[Path] = []

    def train(
        self,
        network: nn.Module,
        train: Train,
        *,
        label: str,
        tensors: Iterable[Tensor],
        settings: Mapping[str, Any],
    ) -> None:
        """Train the network in place, or give it the weights that a killed run left.

        Args:
            train: gets the file for its own checkpoints.
            label, tensors, settings: as of `checkpoint_file`; the network's initial weights are added.
        """
        checkpoint = checkpoint_file(label, tensors=[*network.state_dict().values(), *tensors], settings=settings)
        finished = checkpoint.with_suffix(".finished.pt")
        self.files.append(finished)
        state = load_checkpoint(finished)
        if state is not None:
            network.load_state_dict(state)
            return
        train(checkpoint)
        save_checkpoint(finished, dict(network.state_dict()))

    def forget(self) -> None:
        """Delete what was kept: the stage is done."""
        for file in self.files:
            file.unlink(missing_ok=True)
