"""A trained SIR model: for each repetition a decoder, and the scale of the features that it rebuilds."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stages.core.io.weights import read_weights, write_weights
from stages.core.run.errors import UserError
from stages.sir.model.decoder import Features, RefinementDecoder

Shots = Literal["one_shot", "full_shot"]
SMALLEST_DEVIATION = 1e-6  # of a channel, as a share of its stage's largest; smaller ones count as constant


class SirModel(nn.Module):
    """A decoder behind a scale for each channel of the teacher; scale 1 and shift 0 leave the features as they are."""

    def __init__(self, decoder: RefinementDecoder) -> None:
        """Put scale 1 and shift 0 before a decoder."""
        super().__init__()
        self.decoder = decoder
        self.channels: list[int] = list(decoder.arguments["channels"])
        for stage, count in enumerate(self.channels):
            self.register_buffer(f"mean_{stage}", torch.zeros(count))
            self.register_buffer(f"std_{stage}", torch.ones(count))

    def forward(self, features: Features) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Return the targets F_l and their reconstructions R_l^t of teacher features."""
        targets = [
            (stage - getattr(self, f"mean_{n}").view(1, -1, 1, 1)) / getattr(self, f"std_{n}").view(1, -1, 1, 1)
            for n, stage in enumerate(features)
        ]
        return targets, self.decoder(targets)

    def standardise(self, samples: Iterator[list[Float[Tensor, "C h w"]]]) -> None:
        """Give every channel mean 0 and deviation 1 over the samples' cells, in place; each sample weighs the same.

        A channel that is the same everywhere keeps deviation 1. EfficientNet's channels differ in scale by orders of
        magnitude, and a cosine would see the loudest ones only.
        """
        count, sums = 0, [torch.zeros(2, channels, dtype=torch.float64) for channels in self.channels]
        for sample in samples:
            count += 1
            for total, stage in zip(sums, sample, strict=True):
                cells = stage.double().flatten(1)
                total += torch.stack([cells.mean(dim=1), cells.square().mean(dim=1)])
        for number, (mean, square) in enumerate(total / count for total in sums):
            std = (square - mean.square()).clamp_min(0).sqrt()
            constant = std <= SMALLEST_DEVIATION * max(float(std.max()), math.sqrt(float(square.max())))
            getattr(self, f"mean_{number}").copy_(mean)
            getattr(self, f"std_{number}").copy_(torch.where(constant, torch.ones_like(std), std))


@dataclass(frozen=True)
class Repetitions:
    """The trained model of every repetition, and what is known of them.

    Attributes:
        models: in eval mode, all of the same architecture.
        teacher: name, stages and image_size of the network whose features they rebuild.
        shots: whether each learned from one image of a category or from all.
        drawn: for each repetition the one image_id of every category; empty where all images were learned from.
    """

    models: list[SirModel]
    teacher: dict[str, Any]
    shots: Shots
    drawn: list[dict[str, str]]


def write_models(
    path: Path,
    models: Sequence[SirModel],
    teacher: dict[str, Any],
    *,
    shots: Shots,
    drawn: Sequence[dict[str, str]],
) -> None:
    """Write the model of every repetition into one file; see `Repetitions`."""
    state = {
        f"repetition_{number}.{key}": value
        for number, model in enumerate(models)
        for key, value in model.state_dict().items()
    }
    known = {
        "teacher": teacher, "shots": shots, "repetitions": len(models), "decoder": models[0].decoder.arguments,
        "drawn": list(drawn),
    }  # fmt: skip
    write_weights(path, state, known)


def read_models(path: Path) -> Repetitions:
    """Read the model of every repetition.

    Raises:
        UserError: the file is damaged, or no model of this kind.
    """
    state, arguments = read_weights(path)
    try:
        models = [SirModel(RefinementDecoder(**arguments["decoder"])) for _ in range(arguments["repetitions"])]
        for number, model in enumerate(models):
            prefix = f"repetition_{number}."
            own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            model.load_state_dict(own)
        teacher, shots, drawn = dict(arguments["teacher"]), arguments["shots"], list(arguments["drawn"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"{path}: is not a model of SIR ({error}): delete it and run `dvc repro`") from None
    return Repetitions([model.eval().requires_grad_(False) for model in models], teacher, shots, drawn)
