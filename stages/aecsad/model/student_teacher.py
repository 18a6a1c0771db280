"""Teacher, local and global student together: from an image to anomaly maps and one score."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stages.aecsad.model.networks import GlobalStudent, LocalStudent, StemStudent
from stages.aecsad.model.teacher import TeacherHead
from stages.core.runtime.graphs import IMAGE, LEVEL, MAP, SCORE

Maps = dict[str, Float[Tensor, "B M M"]]


class StudentTeacher(nn.Module):
    """The trained parts of the student-teacher branch, without the encoder, whose weights are published ones.

    Attributes:
        arguments: rebuild the module; plain JSON values.
        map_range: for each map of `maps`, the quantiles of normal cells that normalisation sends to 0 and 0.1.
    """

    map_range: Tensor

    def __init__(
        self,
        *,
        channels: Sequence[int],
        dim: int,
        map_size: int,
        local_student: Mapping[str, Any],
        global_student: Mapping[str, Any],
        maps: Sequence[str],
        pooled_cells: int,
        distance: str = "mean_square",
        score_size: int | None = None,
    ) -> None:
        """Build the untrained networks.

        Args:
            channels: of the encoder's stages at stride 4, 8 and 16.
            local_student: "network" ("patch" for LocalStudent, "stem" for StemStudent) and its further arguments.
            global_student: further arguments of that network.
            maps: names out of local, global, global_local.
            pooled_cells: the image score is the mean of that many highest cells of the summed map; 1 is the maximum.
            distance: "mean_square" over the channels, or "norm", the root of their sum of squares.
            score_size: height and width that the summed map is upsampled to for the image score; None: its own.
        """
        super().__init__()
        self.arguments = {
            "channels": list(channels),
            "dim": dim,
            "map_size": map_size,
            "local_student": dict(local_student),
            "global_student": dict(global_student),
            "maps": list(maps),
            "pooled_cells": pooled_cells,
            "distance": distance,
            "score_size": score_size,
        }
        self.maps = tuple(maps)
        self.pooled_cells = pooled_cells
        self.distance = distance
        self.score_size = score_size
        self.teacher = TeacherHead(channels[1:], dim=dim, map_size=map_size)
        self.local_student = build_local_student(local_student, stem_channels=channels[0], dim=dim, map_size=map_size)
        self.global_student = GlobalStudent(dim=dim, map_size=map_size, **global_student)
        self.register_buffer("map_range", torch.tensor([[0.0, 1.0]]).repeat(len(maps), 1))

    @torch.no_grad()
    def raw_maps(self, inputs: Float[Tensor, "B 3 H W"], features: Sequence[Float[Tensor, "B C h w"]]) -> Maps:
        """Return the anomaly maps before normalisation, for normalised images and the encoder's features of them.

            local = mean_c (T - S_T)²,  global = mean_c (T - G)²,  global_local = mean_c (G - S_G)²

        T teacher, G global student, S_T and S_G the local student's two heads. The first and the last are
        CSAD's code, all three AeCSAD's (thesis 4.8-4.10), there as norms: (sum_c (T - S_T)²)^(1/2) and so on.
        """
        stem, *stages = features
        teacher = self.teacher(stages)
        shared = self.local_student(inputs if self.local_student.reads == "image" else stem)
        predicted = self.global_student(inputs)
        pairs = {
            "local": (teacher, self.local_student.teacher_head(shared)),
            "global": (teacher, predicted),
            "global_local": (predicted, self.local_student.global_head(shared)),
        }
        squares = {name: (pairs[name][0] - pairs[name][1]) ** 2 for name in self.maps}
        if self.distance == "norm":
            return {name: values.sum(dim=1).sqrt() for name, values in squares.items()}
        return {name: values.mean(dim=1) for name, values in squares.items()}

    def combine(self, raw: Maps) -> Float[Tensor, "B M M"]:
        """Return the sum of the normalised maps."""
        return torch.stack(list(self.normalised(raw).values())).sum(dim=0)

    def normalised(self, raw: Maps) -> Maps:
        """Scale each map by normal images: 0 at the lower quantile of their cells, 0.1 at the upper one."""
        ranges = zip(self.maps, self.map_range, strict=True)
        return {name: 0.1 * (raw[name] - low) / (high - low) for name, (low, high) in ranges}

    def pool(self, anomaly_map: Float[Tensor, "B M M"]) -> Float[Tensor, " B"]:
        """Return the image score: the mean of the `pooled_cells` highest cells, after upsampling to `score_size`."""
        if self.score_size is not None:
            size = (self.score_size, self.score_size)
            anomaly_map = F.interpolate(anomaly_map[:, None], size, mode="bilinear")[:, 0]
        return anomaly_map.flatten(1).topk(self.pooled_cells, dim=1).values.mean(dim=1)


class StudentsGraph(nn.Module):
    """The branch as a network, which can be exported: from one image and its features to score and anomaly map."""

    inputs = (IMAGE, *(f"{LEVEL}{level}" for level in range(3)))
    outputs = (SCORE, MAP)

    def __init__(self, network: StudentTeacher) -> None:
        """Keep the trained networks."""
        super().__init__()
        self.network = network

    def forward(
        self, image: Float[Tensor, "1 3 H W"], *features: Float[Tensor, "1 _C _h _w"]
    ) -> tuple[Float[Tensor, " 1"], Float[Tensor, "M M"]]:
        """Return the image score and the summed map.

        Args:
            image: normalised.
            features: of the encoder.
        """
        anomaly_map = self.network.combine(self.network.raw_maps(image, features))
        return self.network.pool(anomaly_map), anomaly_map[0]


def build_local_student(
    arguments: Mapping[str, Any], *, stem_channels: int, dim: int, map_size: int
) -> LocalStudent | StemStudent:
    """Build the untrained local student that `arguments["network"]` names."""
    rest = {name: value for name, value in arguments.items() if name != "network"}
    if arguments["network"] == "stem":
        return StemStudent(channels=stem_channels, dim=dim, map_size=map_size, **rest)
    return LocalStudent(dim=dim, map_size=map_size, **rest)


def rebuild(state: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> StudentTeacher:
    """Build the trained module, in eval mode, from what `stages.core.io.weights.read_weights` returns."""
    module = StudentTeacher(**arguments)
    module.load_state_dict(dict(state), strict=True)
    return module.eval().requires_grad_(False)
