"""Train the decoder on labelled images first, then on all."""

import contextlib
import logging
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from stages.aecsad.segmentation.losses import (
    balanced_dice_loss,
    cross_entropy_loss,
    entropy_loss,
    focal_loss,
    histogram_loss,
)
from stages.aecsad.segmentation.training_set import TrainingSet
from stages.core.console import progress
from stages.core.device import has_fast_bfloat16
from stages.core.networks.segmentor import Segmentor

LOG = logging.getLogger(__name__)
REPORTS = 4


def train_segmentor(
    segmentor: Segmentor,
    data: TrainingSet,
    *,
    iterations: int,
    supervised_share: float,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    loss_size: int,
    loss_weights: Mapping[str, float],
    device: torch.device,
    generator: torch.Generator,
) -> None:
    """Train in place; the last iteration's weights stay.

    Supervised terms are cross entropy, focal and dice; after `supervised_share` of the iterations the histogram loss
    of unlabelled images against random labelled maps and the entropy of both join (CSAD's schedule: 50 of 120 epochs).
    Without unlabelled images the supervised terms go on alone, and the log says so.
    """
    segmentor.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(segmentor.parameters(), lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=iterations)
    labels = shrink_labels(data.labels, loss_size)
    rows = draw_rows(len(data.labelled), batch_size, generator)
    if data.unlabelled is None:
        LOG.warning("every training image is labelled: no semi-supervised phase")
    others = draw_rows(len(data.unlabelled), batch_size, generator) if data.unlabelled else None
    mixed = has_fast_bfloat16(device)
    for step in progress(range(1, iterations + 1), total=iterations, label="segmentation"):
        semi_supervised = data.unlabelled is not None and step > supervised_share * iterations
        batch = next(rows)
        with torch.autocast(device.type, torch.bfloat16) if mixed else contextlib.nullcontext():
            logits = segmentor(*data.labelled.batch(batch, device), size=loss_size).float()
            unlabelled = None
            if semi_supervised and data.unlabelled is not None and others is not None:
                unlabelled = segmentor(*data.unlabelled.batch(next(others), device), size=loss_size).float()
        random_labels = labels[torch.randint(len(labels), (batch_size,), generator=generator)].to(device).long()
        terms = loss_terms(logits, labels[batch].to(device).long(), unlabelled, random_labels)
        optimizer.zero_grad(set_to_none=True)
        torch.stack([loss_weights[name] * term for name, term in terms.items()]).sum().backward()
        optimizer.step()
        schedule.step()
        if step % max(1, iterations // REPORTS) == 0:
            LOG.info("iteration %d: %s", step, ", ".join(f"{n} {float(t.detach()):.4f}" for n, t in terms.items()))
    segmentor.eval()


def loss_terms(
    logits: Float[Tensor, "B K S S"],
    labels: Int64[Tensor, "B S S"],
    unlabelled: Float[Tensor, "U K S S"] | None,
    random_labels: Int64[Tensor, "U S S"],
) -> dict[str, Float[Tensor, ""]]:
    """The loss terms by name, unweighted; the last two only with unlabelled logits."""
    terms = {
        "cross_entropy": cross_entropy_loss(logits, labels),
        "focal": focal_loss(logits, labels),
        "dice": balanced_dice_loss(logits, labels),
    }
    if unlabelled is not None:
        terms["histogram"] = histogram_loss(unlabelled, random_labels[: len(unlabelled)])
        terms["entropy"] = entropy_loss(unlabelled) + entropy_loss(logits)
    return terms


def shrink_labels(labels: UInt8[Tensor, "N S S"], size: int) -> UInt8[Tensor, "N s s"]:
    """Nearest-neighbour label maps of `size` pixels."""
    return F.interpolate(labels[:, None].float(), (size, size), mode="nearest-exact")[:, 0].to(torch.uint8)


def draw_rows(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Int64[Tensor, " B"]]:
    """Row numbers of endless batches; at least two rows each, because the pooled branch's BatchNorm needs them."""
    size = max(2, min(count, batch_size))
    while True:
        order = torch.randperm(count, generator=generator)
        order = order.repeat(2) if count < size else order
        yield from (order[start : start + size] for start in range(0, len(order) - size + 1, size))
