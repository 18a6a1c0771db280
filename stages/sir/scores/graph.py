"""The trained decoder with all that makes score and map of its output, as one network, which can be exported."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn

from stages.core.encoder.scorer import write_scorer
from stages.core.runtime.graphs import LEVEL, MAP, SCORE
from stages.core.runtime.reading import Window
from stages.sir.scores.scoring import Mapper, fuse


class SirGraph(nn.Module):
    """From the teacher's features of one image to score and map, as `stages.sir.scores.scoring` makes them.

    Attributes:
        inputs: the teacher's stages, fine to coarse.
    """

    outputs = (SCORE, MAP)
    blur: Tensor
    normal_mean: Tensor
    normal_deviation: Tensor

    def __init__(self, mapper: Mapper) -> None:
        """Keep the model of the first repetition, which decides, and how its maps are made.

        Args:
            mapper: fitted.
        """
        super().__init__()
        self.model, self.params, self.size = mapper.models[0], mapper.params, mapper.size
        self.inputs = tuple(f"{LEVEL}{number}" for number in range(len(self.model.channels)))
        weights = np.eye(self.size)
        if mapper.sigma:
            weights = gaussian_filter1d(weights, mapper.sigma, axis=0)
        self.register_buffer("blur", torch.from_numpy(weights))
        self.standardised = bool(mapper.normals)
        if mapper.normals:
            self.register_buffer("normal_mean", torch.from_numpy(mapper.normals[0].mean))
            self.register_buffer("normal_deviation", torch.from_numpy(mapper.normals[0].deviation))

    def forward(self, *features: Float[Tensor, "1 _C _h _w"]) -> tuple[Tensor, Float[Tensor, "h w"]]:
        """Return score and map."""
        return self.finish(*self.model([stage.half().float() for stage in features]), side=features[0].shape[-1])

    def finish(
        self, targets: Sequence[Tensor], loops: Sequence[Sequence[Tensor]], *, side: int
    ) -> tuple[Tensor, Float[Tensor, "h w"]]:
        """Fuse, blur, standardise and pool, in float64 from the blur on."""
        used = loops[-1:] if self.params.loops == "last" else loops
        maps = [fuse(targets, loop, size=self.size, fusion=self.params.fusion) for loop in used]
        fused = torch.stack(maps).mean(dim=0)[0].double()
        final = self.blur @ fused @ self.blur.T
        if self.standardised:
            final = (final - self.normal_mean) / self.normal_deviation
        count = max(1, round(self.params.pooled_share * self.size**2))
        score = final.flatten().topk(count).values.mean()
        factor = self.size // side
        return score, final.reshape(side, factor, side, factor).mean(dim=(1, 3))


def write_graph_of(folder: Path, mapper: Mapper, teacher: Mapping[str, Any], *, grey_range: Window | None) -> None:
    """Write the graph next to the scores, see `stages.core.encoder.scorer.write_scorer`.

    Args:
        folder: of the result.
        mapper: fitted.
        teacher: name, stages and image_size.
        grey_range: of the product.
    """
    model, size = mapper.models[0], mapper.size
    network = SirGraph(mapper)
    settings = {
        "teacher": dict(teacher), "decoder": model.decoder.arguments, "maps": mapper.params.model_dump(mode="json"),
    }  # fmt: skip
    write_scorer(folder, network, mapper.encoder, size=(size, size), grey_range=grey_range, settings=settings)
