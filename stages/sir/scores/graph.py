"""The trained decoder with all that makes score and map of its output, as one network, which can be exported."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn

from stages.core.encoder.encoder import FrozenEncoder
from stages.core.encoder.scorer import write_scorer
from stages.core.runtime.graphs import LEVEL, MAP, SCORE
from stages.core.runtime.reading import Window
from stages.sir.model.model import SirModel
from stages.sir.scores.scoring import MapsParams, fuse


class SirGraph(nn.Module):
    """From the teacher's features of one image to score and map, as `stages.sir.scores.scoring` makes them.

    Attributes:
        inputs: the teacher's stages, fine to coarse.
    """

    outputs = (SCORE, MAP)
    blur: Tensor

    def __init__(self, model: SirModel, params: MapsParams, *, size: int) -> None:
        """Keep a model.

        Args:
            model: of the first repetition, which decides.
            params: how maps and scores are made.
            size: of the teacher's input, in pixels a side.
        """
        super().__init__()
        self.model, self.params, self.size = model, params, size
        self.inputs = tuple(f"{LEVEL}{number}" for number in range(len(model.channels)))
        weights = np.eye(size)
        if params.sigma:
            weights = gaussian_filter1d(weights, params.sigma, axis=0)
        self.register_buffer("blur", torch.from_numpy(weights))

    def forward(self, *features: Float[Tensor, "1 _C _h _w"]) -> tuple[Tensor, Float[Tensor, "h w"]]:
        """Return score and map."""
        return self.finish(*self.model([stage.half().float() for stage in features]), side=features[0].shape[-1])

    def finish(
        self, targets: Sequence[Tensor], loops: Sequence[Sequence[Tensor]], *, side: int
    ) -> tuple[Tensor, Float[Tensor, "h w"]]:
        """Fuse, blur and pool, in float64 from the blur on."""
        used = loops[-1:] if self.params.loops == "last" else loops
        maps = [fuse(targets, loop, size=self.size, fusion=self.params.fusion) for loop in used]
        fused = torch.stack(maps).mean(dim=0)[0].double()
        blurred = self.blur @ fused @ self.blur.T
        count = max(1, round(self.params.pooled_share * self.size**2))
        score = blurred.flatten().topk(count).values.mean()
        factor = self.size // side
        return score, blurred.reshape(side, factor, side, factor).mean(dim=(1, 3))


def write_graph_of(
    folder: Path, model: SirModel, teacher: Mapping[str, Any], params: MapsParams, *, grey_range: Window | None
) -> None:
    """Write the graph next to the scores, see `stages.core.encoder.scorer.write_scorer`.

    Args:
        folder: of the result.
        model: of the first repetition, which decides.
        teacher: name, stages and image_size.
        params: how maps and scores are made.
        grey_range: of the product.
    """
    size = int(teacher["image_size"])
    encoder = FrozenEncoder(teacher["name"], stages=teacher["stages"])
    network = SirGraph(model, params, size=size)
    settings = {"teacher": dict(teacher), "decoder": model.decoder.arguments, "maps": params.model_dump(mode="json")}
    write_scorer(folder, network, encoder, size=(size, size), grey_range=grey_range, settings=settings)
