"""InCTRL's loss: focal loss of the final and of the image-level score."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stages.inctrl.heads import InContextScores

GAMMA = 2.0


def focal_loss(values: Float[Tensor, " B"], labels: Float[Tensor, " B"], *, are_logits: bool) -> Float[Tensor, ""]:
    """Mean of (1 - p_y)^2 times the cross entropy, p_y being the probability of the true label.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, with alpha 1 and gamma 2.

    Args:
        values: scores; with `are_logits` a sigmoid is applied first.
        labels: 0 normal, 1 anomalous.
    """
    if are_logits:
        entropy = F.binary_cross_entropy_with_logits(values, labels, reduction="none")
        probability = values.sigmoid()
    else:
        entropy = F.binary_cross_entropy(values, labels, reduction="none")
        probability = values
    missed = labels * (1.0 - probability) + (1.0 - labels) * probability
    return (missed**GAMMA * entropy).mean()


def loss_terms(
    scores: InContextScores, labels: Float[Tensor, " B"], *, double_sigmoid: bool
) -> dict[str, Float[Tensor, ""]]:
    """The two terms by name.

    Args:
        double_sigmoid: the published code: scores that went through a sigmoid are taken for logits, so that the
            loss sees probabilities from 0.5 to 0.73 only.
    """
    return {
        "final": focal_loss(scores.final, labels, are_logits=double_sigmoid),
        "image": focal_loss(scores.image, labels, are_logits=double_sigmoid),
    }
