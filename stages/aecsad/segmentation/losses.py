"""The five losses of the component segmentation.

p = softmax of the logits, y = one-hot labels, c = class with 0 the background. CSAD's code is followed where it is
sound; each docstring says where it is not, and `csad_exact` gives the published form there.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

EPSILON = 1e-5
FOCAL_GAMMA = 2

Logits = Float[Tensor, "B K H W"]
Labels = Int64[Tensor, "B H W"]


def cross_entropy_loss(logits: Logits, labels: Labels, *, csad_exact: bool = False) -> Float[Tensor, ""]:
    """Mean cross entropy over all pixels, with one softmax as in thesis 4.1.

    CSAD's code applies softmax twice (`csad_exact`): its minimum is not 0, and its gradient fades where it should not.
    """
    return F.cross_entropy(logits.softmax(dim=1) if csad_exact else logits, labels)


def focal_loss(logits: Logits, labels: Labels) -> Float[Tensor, ""]:
    """Mean over pixels of -(1 - p_t)² log p_t, the probability of the right class clamped as in CSAD's code.

    Lin et al., "Focal loss for dense object detection", ICCV 2017, equation 4 with gamma = 2.
    """
    classes = logits.shape[1]
    probability = logits.softmax(dim=1)
    target = F.one_hot(labels, classes).movedim(-1, 1).to(probability.dtype)
    target = target.clamp(EPSILON / (classes - 1), 1 - EPSILON)
    right = (target * probability).sum(dim=1) + EPSILON
    return (-((1 - right) ** FOCAL_GAMMA) * right.log()).mean()


def balanced_dice_loss(logits: Logits, labels: Labels, *, csad_exact: bool = False) -> Float[Tensor, ""]:
    """Mean over images and classes of w_c (1 - dice_bc), w_c = the class's share of the inverse pixel counts.

    Classes without a pixel in the batch weigh nothing; in CSAD's code (`csad_exact`) such a class takes practically
    all the weight.
    """
    probability = logits.softmax(dim=1)
    target = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(probability.dtype)
    count = target.sum(dim=(0, 2, 3))
    weight = 1 / (count + EPSILON)
    if not csad_exact:
        weight = torch.where(count > 0, weight, torch.zeros_like(count))
    weight = weight / weight.sum()
    overlap = (probability * target).sum(dim=(2, 3))
    total = probability.sum(dim=(2, 3)) + target.sum(dim=(2, 3))
    dice = (2 * overlap + EPSILON) / (total + 2 * EPSILON)
    return (weight * (1 - dice)).mean()


def histogram_loss(logits: Logits, labels: Labels) -> Float[Tensor, ""]:
    """Sum over component classes of the difference in area share, mean over the batch.

        L = (1/B) sum_b sum_{c != 0} | mean_hw p_bc - mean_hw y_bc |

    `logits` are of unlabelled images and `labels` of other, labelled ones: normal images of one product share how much
    of each component they show. CSAD's code; the thesis (4.4) squares and includes the background.
    """
    predicted = logits.softmax(dim=1).mean(dim=(2, 3))
    expected = F.one_hot(labels, logits.shape[1]).to(predicted.dtype).mean(dim=(1, 2))
    return (predicted - expected).abs()[:, 1:].sum(dim=1).mean()


def entropy_loss(logits: Logits) -> Float[Tensor, ""]:
    """Mean of -p log(p + 1e-5) over images, classes and pixels (CSAD's code; a sum in thesis 4.5)."""
    probability = logits.softmax(dim=1)
    return -(probability * (probability + EPSILON).log()).mean()
