"""Kinds of parts: what a linear classifier sees in each cell of the encoder's features, and their areas in an image."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn import functional

from stages.aecsad.model.part_numbers import KindClassifier, PartModel
from stages.core.runtime.graphs import AREAS, LEVEL, SCORE

PART_MAPS = "part_maps.npz"  # in the folder of the stage pseudo_label: small parts of some training images
CELLS = 64  # a side: the finest features of the encoder at 256 pixels
Features = Sequence[Float[Tensor, "1 _C _h _w"]]


@torch.no_grad()
def kind_probabilities(classifier: KindClassifier, features: Features) -> Float[Tensor, "K+1 c c"]:
    """Return p = softmax(f W + b) for each cell of one image; f are the features of all strides.

    A linear map and a bilinear resize may change places: the few discriminants are resized, not the many features.
    """
    device = features[0].device
    matrices = torch.from_numpy(classifier.matrix).to(device).split([level.shape[1] for level in features])
    resized = [
        functional.interpolate(
            torch.einsum("bchw,ck->bkhw", level.float(), matrix), size=(CELLS, CELLS), mode="bilinear"
        )
        for level, matrix in zip(features, matrices, strict=True)
    ]
    bias = torch.from_numpy(classifier.bias).to(device)
    return (torch.stack(resized).sum(dim=0)[0] + bias[:, None, None]).softmax(dim=0)


class PartsGraph(nn.Module):
    """The branch of numbers of parts as a network, which can be exported: from features to distance and areas.

    Areas and what follows are in float64, as the pipeline has them: the whitening enlarges what rounding leaves.
    """

    inputs = tuple(f"{LEVEL}{level}" for level in range(3))
    outputs = (SCORE, AREAS)

    def __init__(self, model: PartModel) -> None:
        """Keep the model."""
        super().__init__()
        self.classifier = model.classifier
        self.mean = torch.from_numpy(model.mean)
        self.matrix = torch.from_numpy(model.root @ model.whitening)

    def forward(self, *features: Float[Tensor, "1 _C _h _w"]) -> tuple[Float64[Tensor, ""], Float64[Tensor, " K"]]:
        """Return what `stages.aecsad.model.part_numbers.part_distances` does, and what `kind_areas` does."""
        areas = kind_probabilities(self.classifier, features)[:-1].double().mean(dim=(1, 2))
        moved = self.matrix @ (areas - self.mean)
        return moved.square().sum().sqrt(), areas


def kind_areas(classifier: KindClassifier, features: Features) -> Float64[np.ndarray, " K"]:
    """Return the share of one image that each kind covers, as the mean of p over all cells."""
    areas: Float64[np.ndarray, " K"] = (
        kind_probabilities(classifier, features)[:-1].double().mean(dim=(1, 2)).cpu().numpy()
    )
    return areas
