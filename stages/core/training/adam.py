"""Adam and schedules of its learning rate.

What `torch.optim.Adam` and torch's schedulers compute, without them: the first step of theirs imports torch's compiler,
which takes one and a half seconds of each stage that trains.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

STEP_AT, STEP_FACTOR = 0.95, 0.1  # CSAD's only step of the learning rate
COSINE_FLOOR = 0.01  # of the peak: 1e-4 down to 1e-6 in the AeCSAD thesis, section 5.3
MOMENTUM, SQUARES, EPSILON = 0.9, 0.999, 1e-8  # beta1, beta2 and eps of torch and of the paper
RISING, FIRST, LAST = 0.3, 1 / 25, 1e-4  # of one cycle: share of the iterations, of the peak, and of the first rate
CYCLED = (0.95, 0.85)  # beta1 of one cycle: at the first rate and the last one, and at the peak

OptimizerName = Literal["adamw", "adam"]
ScheduleName = Literal["one_cycle", "constant", "step", "cosine"]


class Adam:
    """Adam (Kingma and Ba, ICLR 2015) in one kernel for all parameters.

    Of a small network's step, a tenth goes into an update tensor by tensor.

    Attributes:
        rate: the learning rate of the next step.
        momentum: beta1 of the next step.
    """

    def __init__(self, parameters: Iterable[Tensor], *, rate: float, weight_decay: float, decoupled: bool) -> None:
        """Begin with no gradient seen.

        Args:
            parameters: that are trained; those without a gradient stay as they are.
            rate: the learning rate.
            weight_decay: share of a weight, in units of the rate, that it loses in a step.
            decoupled: apart from the gradient (AdamW, Loshchilov and Hutter, ICLR 2019), or as a part of it.
        """
        self.parameters = [one for one in parameters if one.requires_grad]
        self.rate, self.momentum, self.weight_decay = rate, MOMENTUM, weight_decay
        self.update = torch._fused_adamw_ if decoupled else torch._fused_adam_
        self.means = [torch.zeros_like(one) for one in self.parameters]
        self.squares = [torch.zeros_like(one) for one in self.parameters]
        self.counts = [torch.zeros((), device=one.device) for one in self.parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters by their gradients."""
        seen = [row for row, one in enumerate(self.parameters) if one.grad is not None]
        parameters, means, squares, counts = (
            [tensors[row] for row in seen] for tensors in (self.parameters, self.means, self.squares, self.counts)
        )
        gradients = [one.grad for one in parameters if one.grad is not None]
        if not seen:
            return
        torch._foreach_add_(counts, 1)
        self.update(
            parameters, gradients, means, squares, [], counts, lr=self.rate, beta1=self.momentum, beta2=SQUARES,
            weight_decay=self.weight_decay, eps=EPSILON, amsgrad=False, maximize=False,
        )  # fmt: skip

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for one in self.parameters:
            one.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return what the steps have gathered."""
        return {"means": self.means, "squares": self.squares, "counts": self.counts}

    def load_state_dict(self, state_dict: Mapping[str, Sequence[Tensor]]) -> None:
        """Continue from `state_dict` of the same parameters; rate and momentum are the schedule's."""
        for name in ("means", "squares", "counts"):
            for own, other in zip(getattr(self, name), state_dict[name], strict=True):
                own.copy_(other)


class Schedule:
    """The course of an optimiser's learning rate from the first to the last iteration.

    "one_cycle" reaches as low a loss as the publications' schedules in a fraction of the iterations: rate and momentum
    run against each other, from a 25th of the peak to it and almost to 0 (Smith and Topin, "Super-Convergence", 2019).
    "constant" is CSAD's for the segmentation; "step" is CSAD's for the students, a tenth of the rate in the last
    twentieth; "cosine" falls to a hundredth (AeCSAD thesis, 5.3).
    """

    def __init__(self, name: ScheduleName, optimizer: Adam, *, peak: float, iterations: int) -> None:
        """Set the rate of the first iteration.

        Args:
            name: of the course.
            optimizer: whose rate it is.
            peak: the largest rate.
            iterations: of the whole training.
        """
        self.name, self.optimizer, self.peak, self.iterations = name, optimizer, peak, iterations
        self.done = 0
        self.apply()

    def step(self) -> None:
        """Set the rate of the next iteration."""
        self.done += 1
        self.apply()

    def apply(self) -> None:
        """Set the optimiser's rate and momentum by the iterations that are done."""
        if self.name == "one_cycle":
            self.optimizer.rate, self.optimizer.momentum = one_cycle(self.done, self.iterations, peak=self.peak)
        elif self.name == "cosine":
            self.optimizer.rate = cosine(self.peak, COSINE_FLOOR * self.peak, self.done / self.iterations)
        else:
            late = self.name == "step" and self.done >= max(1, int(STEP_AT * self.iterations))
            self.optimizer.rate = self.peak * (STEP_FACTOR if late else 1)

    def state_dict(self) -> dict[str, Any]:
        """Return how far it is."""
        return {"done": self.done}

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Continue from there."""
        self.done = state_dict["done"]
        self.apply()


def one_cycle(done: int, iterations: int, *, peak: float) -> tuple[float, float]:
    """Return learning rate and momentum after `done` iterations, as torch's OneCycleLR does with its defaults."""
    (calm, low), first, top = CYCLED, peak * FIRST, RISING * iterations - 1
    if done <= top:
        return cosine(first, peak, done / top), cosine(calm, low, done / top)
    share = (done - top) / (iterations - 1 - top)
    return cosine(peak, first * LAST, share), cosine(low, calm, share)


def cosine(start: float, end: float, share: float) -> float:
    """Return the value on half a wave from `start`, at share 0, to `end`, at share 1."""
    return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)


def build_optimizer(
    name: OptimizerName, parameters: Iterable[Tensor], *, learning_rate: float, weight_decay: float
) -> Adam:
    """Build AdamW, or the publications' Adam, in which the weight decay is part of the gradient."""
    return Adam(parameters, rate=learning_rate, weight_decay=weight_decay, decoupled=name == "adamw")


def build_schedule(name: ScheduleName, optimizer: Adam, *, learning_rate: float, iterations: int) -> Schedule:
    """Build the course of the learning rate, see `Schedule`."""
    return Schedule(name, optimizer, peak=learning_rate, iterations=iterations)
