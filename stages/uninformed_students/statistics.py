"""Mean and variance of values that come in batches and are never in memory together."""

from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Float64
from torch import Tensor


@dataclass
class RunningStatistics:
    """Per channel, over all pixels of all images seen so far (population variance).

    Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979: exact
    whatever the batches, and without the difference of two large sums. In float64.
    """

    count: int
    mean: Float64[Tensor, " C"]
    squares: Float64[Tensor, " C"]

    @classmethod
    def empty(cls, channels: int) -> Self:
        """Before the first batch."""
        return cls(0, torch.zeros(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64))

    def add(self, values: Tensor) -> None:
        """Take in values with the channels in the second axis: B C h w, or B C."""
        columns = values.detach().transpose(0, 1).flatten(1).to("cpu", torch.float64)
        count = columns.shape[1]
        if count == 0:
            return
        mean = columns.mean(dim=1)
        squares = (columns - mean[:, None]).square().sum(dim=1)
        total = self.count + count
        shift = mean - self.mean
        self.squares = self.squares + squares + shift.square() * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    @property
    def variance(self) -> Float64[Tensor, " C"]:
        """Mean squared deviation.

        Raises:
            ValueError: nothing was added.
        """
        if self.count == 0:
            raise ValueError("no values to take a variance of")
        return self.squares / self.count
