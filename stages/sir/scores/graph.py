"""The trained decoder with all that makes score and map of its output, as one network, which can be exported."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn

from stages.core.encoder.scorer import write_scorer
from stages.core.runtime.graphs import LEVEL, MAP, SCORE
from stages.core.runtime.reading import Window
from stages.sir.scores.scoring import Mapper, PixelRange, fuse


class SirGraph(nn.Module):
    """From the teacher's features of one image to score and map, as `stages.sir.scores.scoring` makes them.

    Attributes:
        inputs: the teacher's stages, fine to coarse.
    """

    outputs = (SCORE, MAP)
    blur: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, mapper: Mapper, standardise: PixelRange | None) -> None:
        """Keep the model of the first repetition, which decides.

        Args:
            mapper: of the stage.
            standardise: see `stages.sir.scores.scoring.normal_range`.
        """
        super().__init__()
        self.model, self.params = mapper.models[0], mapper.params
        self.size, self.cells = mapper.size, mapper.cells
        self.inputs = tuple(f"{LEVEL}{number}" for number in range(len(self.model.channels)))
        blur = np.eye(self.size)
        if mapper.sigma:
            blur = gaussian_filter1d(blur, mapper.sigma, axis=0)
        same = PixelRange(np.zeros((1, 1)), np.ones((1, 1)))
        arrays = {"blur": blur, **vars(same if standardise is None else standardise)}
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(array))

    def forward(self, *features: Float[Tensor, "1 _C _h _w"]) -> tuple[Tensor, Float[Tensor, "h w"]]:
        """Return score and map; as there, in float64 from the blur on."""
        targets, loops = self.model([stage.half().float() for stage in features])
        used = loops[-1:] if self.params.loops == "last" else loops
        maps = [fuse(targets, loop, size=self.size, fusion=self.params.fusion) for loop in used]
        fused = torch.stack(maps).mean(dim=0)[0].double()
        found = (self.blur @ fused @ self.blur.T - self.mean) / self.deviation
        count = max(1, round(self.params.pooled_share * self.size**2))
        factor = self.size // self.cells
        shrunk = found.reshape(self.cells, factor, self.cells, factor).mean(dim=(1, 3))
        return found.flatten().topk(count).values.mean(), shrunk


def write_graph_of(folder: Path, mapper: Mapper, standardise: PixelRange | None, *, grey_range: Window | None) -> None:
    """Write the graph next to the scores, see `stages.core.encoder.scorer.write_scorer`.

    Args:
        folder: of the result.
        mapper: of the stage.
        standardise: see `stages.sir.scores.scoring.normal_range`.
        grey_range: of the product.
    """
    settings = {
        "decoder": mapper.models[0].decoder.arguments, "maps": mapper.params.model_dump(mode="json"),
        "standardised": standardise is not None,
    }  # fmt: skip
    size = (mapper.size, mapper.size)
    network = SirGraph(mapper, standardise)
    write_scorer(folder, network, mapper.encoder, size=size, grey_range=grey_range, settings=settings)
