"""Train the decoder with five losses, on labelled images first and then on all.

p = softmax of the logits, y = one-hot labels, c = class with 0 the background. CSAD's code is followed where it is
sound; each docstring says where it is not, and `csad_exact` gives the published form there.
"""

import itertools
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from stages.aecsad.model.segmentor import Segmentor
from stages.aecsad.segmentation.data import TrainingSet
from stages.aecsad.segmentation.params import Epochs, LossWeights, SegmentationParams
from stages.core.encoder.device import mixed_precision
from stages.core.training.checkpoints import checkpoint_file
from stages.core.training.curve import TrainingCurve
from stages.core.training.optimisation import Terms, optimise

EPSILON = 1e-5
FOCAL_GAMMA = 2
Logits = Float[Tensor, "B K H W"]
Labels = Int64[Tensor, "B H W"]
Probability = Float[Tensor, "B K H W"]
Target = Float[Tensor, "B K H W"]
LOG = logging.getLogger(__name__)


def cross_entropy_loss(logits: Logits, labels: Labels, *, csad_exact: bool = False) -> Float[Tensor, ""]:
    """Return the mean cross entropy over all pixels, with one softmax as in thesis 4.1.

    CSAD's code applies softmax twice (`csad_exact`): its minimum is not 0, and its gradient fades where it should not.
    """
    return F.cross_entropy(logits.softmax(dim=1) if csad_exact else logits, labels)


def one_hot(labels: Labels, classes: int) -> Float[Tensor, "B K H W"]:
    """Return y: 1 for the class of each pixel, 0 for the others."""
    return (labels[:, None] == torch.arange(classes, device=labels.device).view(1, -1, 1, 1)).float()


def focal_loss(probability: Probability, target: Target) -> Float[Tensor, ""]:
    """Return the mean of -(1 - p_t)² log p_t over pixels, the right class's probability clamped as in CSAD's code.

    Lin et al., "Focal loss for dense object detection", ICCV 2017, equation 4 with gamma = 2.
    """
    target = target.clamp(EPSILON / (target.shape[1] - 1), 1 - EPSILON)
    right = (target * probability).sum(dim=1) + EPSILON
    return (-((1 - right) ** FOCAL_GAMMA) * right.log()).mean()


def balanced_dice_loss(probability: Probability, target: Target, *, csad_exact: bool = False) -> Float[Tensor, ""]:
    """Return the mean of w_c (1 - dice_bc) over images and classes, w_c the class's share of inverse pixel counts.

    Classes without a pixel in the batch weigh nothing; in CSAD's code (`csad_exact`) such a class takes practically
    all the weight.
    """
    count = target.sum(dim=(0, 2, 3))
    weight = 1 / (count + EPSILON)
    if not csad_exact:
        weight = torch.where(count > 0, weight, torch.zeros_like(count))
    weight = weight / weight.sum()
    overlap = (probability * target).sum(dim=(2, 3))
    total = probability.sum(dim=(2, 3)) + target.sum(dim=(2, 3))
    dice = (2 * overlap + EPSILON) / (total + 2 * EPSILON)
    return (weight * (1 - dice)).mean()


def histogram_loss(probability: Probability, target: Target) -> Float[Tensor, ""]:
    """Return the sum over component classes of the difference in area share, mean over the batch.

        L = (1/B) sum_b sum_{c != 0} | mean_hw p_bc - mean_hw y_bc |

    `probability` is of unlabelled images and `target` of other, labelled ones: normal images of one product share how
    much of each component they show. CSAD's code; the thesis (4.4) squares and includes the background.
    """
    return (probability.mean(dim=(2, 3)) - target.mean(dim=(2, 3))).abs()[:, 1:].sum(dim=1).mean()


def entropy_loss(probability: Probability) -> Float[Tensor, ""]:
    """Return the mean of -p log(p + 1e-5) over images, classes and pixels (CSAD's code; a sum in thesis 4.5)."""
    return -(probability * (probability + EPSILON).log()).mean()


def train_segmentor(
    segmentor: Segmentor,
    data: TrainingSet,
    params: SegmentationParams,
    *,
    device: torch.device,
    generator: torch.Generator,
) -> pd.DataFrame:
    """Train in place; the last iteration's weights are kept.

    Supervised terms are cross entropy, focal and dice; after `supervised_share` of the iterations the histogram loss
    of unlabelled images against random labelled maps and the entropy of both join (CSAD's schedule: 50 of 120 epochs).
    Without unlabelled images the supervised terms continue alone, which is logged.

    Returns:
        The course of the terms, see `named_phases`.
    """
    if data.unlabelled is None:
        LOG.warning("every training image is labelled: no semi-supervised phase")
    labels = shrink_labels(data.labels, params.loss_size)
    iterations = count_iterations(params.iterations, labelled=len(data.labelled), batch_size=params.batch_size)
    draws = draw_batches(
        len(data.labelled), 0 if data.unlabelled is None else len(data.unlabelled), params.batch_size,
        supervised_steps=math.floor(params.supervised_share * iterations), generator=generator,
    )  # fmt: skip

    def terms_of(draw: Draw) -> Terms:
        unlabelled = None
        features, truth = labelled_batch(data, labels, draw, device=device)
        with mixed_precision(device):
            logits = segmentor(*features, size=params.loss_size).float()
            if data.unlabelled is not None and draw.unlabelled is not None:
                unlabelled = segmentor(*data.unlabelled.batch(draw.unlabelled, device), size=params.loss_size).float()
        truth, random_truth = (maps.to(device).long() for maps in (truth, labels[draw.random]))
        return loss_terms(logits, truth, unlabelled, random_truth, csad_exact=params.csad_exact)

    segmentor.train().to(memory_format=torch.channels_last)
    settings = {**params.model_dump(), "seed": generator.initial_seed()}
    rest = [] if data.unlabelled is None else [data.unlabelled.low, data.unlabelled.high]
    tensors = [*segmentor.state_dict().values(), data.labelled.low, data.labelled.high, labels, *rest]
    curve = optimise(
        segmentor, draws, terms_of, weights=params.loss_weights.model_dump(), iterations=iterations,
        optimizer=params.optimizer, schedule=params.schedule, learning_rate=params.learning_rate,
        weight_decay=params.weight_decay, label="segmentation",
        checkpoint=checkpoint_file("segmentation", tensors=tensors, settings=settings),
    )  # fmt: skip
    segmentor.eval()
    return named_phases(curve)


def named_phases(curve: pd.DataFrame) -> pd.DataFrame:
    """Insert the column phase after a curve's steps: "supervised", or "all images" once others join."""
    phases = curve["histogram"].isna().map({True: "supervised", False: "all images"})
    named = curve.copy()
    named.insert(1, "phase", phases)
    return named


def untrained_curve() -> pd.DataFrame:
    """Return the columns of `named_phases` without a row."""
    return named_phases(TrainingCurve(dict.fromkeys(LossWeights.model_fields, 1.0), iterations=0).table())


def labelled_batch(
    data: TrainingSet, labels: UInt8[Tensor, "N s s"], draw: "Draw", *, device: torch.device
) -> tuple[tuple[Tensor, Tensor], UInt8[Tensor, "B s s"]]:
    """Return features and labels of a draw, from the cache or freshly augmented."""
    if data.fresh is None:
        return data.labelled.batch(draw.labelled, device), labels[draw.labelled]
    features, fresh_labels = data.fresh.batch(draw.labelled, step=draw.step)
    return features, shrink_labels(fresh_labels, labels.shape[-1])


def loss_terms(
    logits: Float[Tensor, "B K S S"],
    labels: Int64[Tensor, "B S S"],
    unlabelled: Float[Tensor, "U K S S"] | None,
    random_labels: Int64[Tensor, "R S S"],
    *,
    csad_exact: bool,
) -> Terms:
    """Return the loss terms by name, unweighted; the last two only with unlabelled logits.

    Args:
        random_labels: of labelled images, at least as many as there are unlabelled ones; more are ignored.
    """
    classes, logits = logits.shape[1], logits.contiguous()  # class by class, as they are summed: half of the time
    probability, target = logits.softmax(dim=1), one_hot(labels, classes)
    terms = {
        "cross_entropy": cross_entropy_loss(logits, labels, csad_exact=csad_exact),
        "focal": focal_loss(probability, target),
        "dice": balanced_dice_loss(probability, target, csad_exact=csad_exact),
    }
    if unlabelled is not None:
        found = unlabelled.contiguous().softmax(dim=1)
        terms["histogram"] = histogram_loss(found, one_hot(random_labels[: len(unlabelled)], classes))
        terms["entropy"] = entropy_loss(found) + entropy_loss(probability)
    return terms


def shrink_labels(labels: UInt8[Tensor, "N S S"], size: int) -> UInt8[Tensor, "N s s"]:
    """Resize label maps to `size` pixels by nearest neighbour."""
    return F.interpolate(labels[:, None].float(), (size, size), mode="nearest-exact")[:, 0].to(torch.uint8)


@dataclass(frozen=True)
class Draw:
    """Row numbers of iteration `step`: labelled images, unlabelled ones or None, labelled maps for the histogram.

    There are at least as many of those maps as of unlabelled images.
    """

    step: int
    labelled: Int64[Tensor, " B"]
    unlabelled: Int64[Tensor, " U"] | None
    random: Int64[Tensor, " R"]


def draw_batches(
    labelled: int, unlabelled: int, batch_size: int, *, supervised_steps: int, generator: torch.Generator
) -> Iterator[Draw]:
    """Yield what each iteration works on; unlabelled images join after `supervised_steps`, if there are any."""
    rows = draw_rows(labelled, batch_size, generator)
    others = draw_rows(unlabelled or labelled, batch_size, generator)
    for step in itertools.count(1):
        batch = next(rows)
        rest = next(others) if unlabelled and step > supervised_steps else None
        maps = max(len(batch), 0 if rest is None else len(rest))
        yield Draw(step, batch, rest, torch.randint(labelled, (maps,), generator=generator))


def count_iterations(wanted: int | Epochs, *, labelled: int, batch_size: int) -> int:
    """Return a number of iterations as it is, or that of so many passes over the labelled images."""
    if isinstance(wanted, Epochs):
        return wanted.epochs * max(1, labelled // rows_of_batch(labelled, batch_size))
    return wanted


def rows_of_batch(count: int, batch_size: int) -> int:
    """Return the size of a batch: all rows where there are fewer, and two for the pooled branch's BatchNorm."""
    return max(2, min(count, batch_size))


def draw_rows(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Int64[Tensor, " B"]]:
    """Yield row numbers of endless batches: every epoch a new order, its short rest excluded."""
    size = rows_of_batch(count, batch_size)
    while True:
        order = torch.randperm(count, generator=generator)
        order = order.repeat(2) if count < size else order
        yield from (order[start : start + size] for start in range(0, len(order) - size + 1, size))
