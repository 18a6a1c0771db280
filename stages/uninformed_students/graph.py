"""Teachers and students with all that makes score and map of what they describe, as one network for bundles."""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stages.core.encoder.encoder import FrozenEncoder
from stages.core.encoder.scorer import write_scorer
from stages.core.runtime.graphs import IMAGE, LEVEL, MAP, SCORE
from stages.core.runtime.reading import Window
from stages.uninformed_students.params import UninformedStudentsParams
from stages.uninformed_students.scoring import CellRange, RawMaps, Reader, ScoreRange, scores_of


class StudentsGraph(nn.Module):
    """From one image, and the encoder's features of it where the teacher is made of them, to score, map and parts."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        read: Reader,
        ranges: Mapping[str, ScoreRange | CellRange],
        params: UninformedStudentsParams,
        encoder: FrozenEncoder,
    ) -> None:
        """Keep the networks, which are modules of this one, so that a graph has each weight once.

        Args:
            read: of the stage.
            ranges: of `stages.uninformed_students.scoring.normal_ranges`.
            params: of the stage.
            encoder: by which images come normalised.
        """
        super().__init__()
        self.read, self.ranges, self.params = read, ranges, params
        self.networks = nn.ModuleList(network for ensemble in read.ensembles for network in ensemble.networks)
        for name in ("mean", "std"):
            self.register_buffer(name, getattr(encoder, name).clone())
        needed = any(ensemble.by_features is not None for ensemble in read.ensembles)
        levels = range(len(encoder.stages)) if needed else ()
        self.inputs = (IMAGE, *(f"{LEVEL}{level}" for level in levels))
        suffixes = [f"_{name}" if len(read.dims) > 1 else "" for name in read.dims]
        self.outputs = (SCORE, MAP, *(f"{part}{suffix}" for suffix in suffixes for part in ("error", "variance")))

    @torch.no_grad()
    def forward(self, image: Float[Tensor, "1 3 S S"], *features: Float[Tensor, "1 _C _h _w"]) -> tuple[Tensor, ...]:
        """Return what `outputs` names.

        Args:
            image: normalised for the encoder; its 8-bit values are restored, of which students have their own view.
            features: of the encoder.
        """
        pixels = ((image * self.std + self.mean) * 255.0).round().clamp(0, 255).to(torch.uint8)
        raw: dict[str, RawMaps] = {}
        for one in self.read.ensembles:
            raw |= one.maps(pixels) if one.by_features is None else one.by_features(pixels, features)
        found, shown = scores_of(raw, self.ranges, self.read.dims, self.params)
        score = found.pop(SCORE)
        return (score, shown, *found.values())


def write_graph_of(
    folder: Path,
    read: Reader,
    ranges: Mapping[str, ScoreRange | CellRange],
    params: UninformedStudentsParams,
    *,
    grey_range: Window | None,
) -> None:
    """Write the graph next to the scores, see `stages.core.encoder.scorer.write_scorer`.

    Args:
        folder: of the result.
        read: of the stage.
        ranges: of `stages.uninformed_students.scoring.normal_ranges`.
        params: of the stage.
        grey_range: of the product.
    """
    encoder = FrozenEncoder(params.backbone.name, stages=params.backbone.stages)
    for ensemble in read.ensembles:
        ensemble.teacher.cpu()
    network = StudentsGraph(read, ranges, params, encoder)
    settings = params.model_dump(mode="json")
    write_scorer(folder, network, encoder, size=(read.size, read.size), grey_range=grey_range, settings=settings)
