"""Train the decoder on labelled images first, then on all."""

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
from stages.core.device import mixed_precision
from stages.core.networks.segmentor import Segmentor
from stages.core.optimisation import Terms, optimise

LOG = logging.getLogger(__name__)


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
    csad_exact: bool,
    device: torch.device,
    generator: torch.Generator,
) -> None:
    """Train in place; the last iteration's weights stay.

    Supervised terms are cross entropy, focal and dice; after `supervised_share` of the iterations the histogram loss
    of unlabelled images against random labelled maps and the entropy of both join (CSAD's schedule: 50 of 120 epochs).
    Without unlabelled images the supervised terms go on alone, and the log says so.

    Args:
        csad_exact: the losses of the published code, faults included (stages.aecsad.segmentation.losses).
    """
    if data.unlabelled is None:
        LOG.warning("every training image is labelled: no semi-supervised phase")
    labels = shrink_labels(data.labels, loss_size)
    rows = draw_rows(len(data.labelled), batch_size, generator)
    others = draw_rows(len(data.unlabelled or data.labelled), batch_size, generator)

    def terms_of_step(step: int) -> Terms:
        batch, unlabelled = next(rows), None
        with mixed_precision(device):
            logits = segmentor(*data.labelled.batch(batch, device), size=loss_size).float()
            if data.unlabelled is not None and step > supervised_share * iterations:
                unlabelled = segmentor(*data.unlabelled.batch(next(others), device), size=loss_size).float()
        random_labels = labels[torch.randint(len(labels), (len(batch),), generator=generator)]
        truth, random_truth = (maps.to(device).long() for maps in (labels[batch], random_labels))
        return loss_terms(logits, truth, unlabelled, random_truth, csad_exact=csad_exact)

    segmentor.train().to(memory_format=torch.channels_last)
    optimise(
        segmentor.parameters(), terms_of_step, weights=loss_weights,
        iterations=iterations, learning_rate=learning_rate, weight_decay=weight_decay, label="segmentation",
    )  # fmt: skip
    segmentor.eval()


def loss_terms(
    logits: Float[Tensor, "B K S S"],
    labels: Int64[Tensor, "B S S"],
    unlabelled: Float[Tensor, "U K S S"] | None,
    random_labels: Int64[Tensor, "U S S"],
    *,
    csad_exact: bool,
) -> Terms:
    """The loss terms by name, unweighted; the last two only with unlabelled logits."""
    terms = {
        "cross_entropy": cross_entropy_loss(logits, labels, csad_exact=csad_exact),
        "focal": focal_loss(logits, labels),
        "dice": balanced_dice_loss(logits, labels, csad_exact=csad_exact),
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
