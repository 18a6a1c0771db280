"""The training loop that all networks of the embedded profile share."""

import logging
from collections.abc import Callable, Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from stages.core.console import progress

LOG = logging.getLogger(__name__)
REPORTS = 4  # log lines of a training

Terms = dict[str, Float[Tensor, ""]]


def optimise(
    parameters: Iterable[torch.nn.Parameter],
    terms_of_step: Callable[[int], Terms],
    *,
    weights: Mapping[str, float],
    iterations: int,
    learning_rate: float,
    weight_decay: float,
    label: str,
) -> None:
    """Minimise the weighted sum of the loss terms with AdamW and a one-cycle learning rate.

    The last iteration's weights stay; none is chosen by any score. The publications use Adam with a step or constant
    rate; one cycle reaches as low a loss in a fraction of the iterations.

    Args:
        terms_of_step: the loss terms by name, with graph, of iteration 1, 2, ...
        weights: of the terms.
        learning_rate: the peak.
        label: of the progress bar and the log lines.
    """
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=iterations)
    for step in progress(range(1, iterations + 1), total=iterations, label=label):
        terms = terms_of_step(step)
        optimizer.zero_grad(set_to_none=True)
        torch.stack([weights[name] * term for name, term in terms.items()]).sum().backward()
        optimizer.step()
        schedule.step()
        if step % max(1, iterations // REPORTS) == 0:
            values = ", ".join(f"{name} {float(term.detach()):.4f}" for name, term in terms.items())
            LOG.info("%s, iteration %d: %s", label, step, values)
