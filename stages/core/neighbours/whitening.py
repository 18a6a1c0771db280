"""Whitened patches, and the distances that are usual at each place: two corrections of nearest neighbours.

Channels of a frozen network differ in spread and repeat each other: a few loud ones decide the plain distance. After
whitening every direction in which normal patches vary counts the same, as in a Mahalanobis distance.

Where normal images vary by nature (an edge, a print, a reflex) their patches lie far from all others, and the largest
distance of a normal image is found there. What is usual at a place is therefore subtracted; both come from training
images alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from torch import Tensor

RIDGE = 1e-3  # of the mean variance, added to each direction's: one in which normal patches do not vary is no signal
SMOOTHING = 1.5  # cells, deviation of a Gaussian: products are placed and cut to about that


@dataclass(frozen=True)
class Whitening:
    """A linear map after which normal patches have unit variance in every direction.

    Attributes:
        mean: of the patches.
        matrix: (covariance + ridge)^(-1/2), symmetric.
    """

    mean: Float[Tensor, " C"]
    matrix: Float[Tensor, "C C"]

    def __call__(self, patches: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
        """Map patches."""
        return (patches - self.mean) @ self.matrix

    def to(self, device: torch.device) -> "Whitening":
        """Return it on a device."""
        return Whitening(self.mean.to(device), self.matrix.to(device))


def fit_whitening(patches: Float[Tensor, "P C"]) -> Whitening:
    """Fit on normal patches.

        x' = (x - m) (S + r tr(S) / C I)^(-1/2),  S the covariance, r = RIDGE

    The symmetric root does not depend on the signs that a linear algebra library gives to eigenvectors. Where patches
    do not vary at all they are only centred.

    Raises:
        ValueError: no patch.
    """
    if len(patches) == 0:
        raise ValueError("no patches to fit a whitening on")
    centred = patches - patches.mean(dim=0)
    covariance = (centred.T @ centred).double() / len(patches)
    values, directions = torch.linalg.eigh(covariance)
    values = values.clamp_min(0.0)
    if float(values.mean()) == 0.0:
        return Whitening(patches.mean(dim=0), torch.eye(patches.shape[1]).to(patches))
    scales = (values + RIDGE * values.mean()).rsqrt()
    return Whitening(patches.mean(dim=0), ((directions * scales) @ directions.T).to(patches))


def usual_distances(maps: Sequence[Float[Tensor, "h w"]]) -> Float[Tensor, "h w"] | None:
    """Return how much farther than elsewhere normal patches are at each place; its mean over the cells is 0.

        u = f (m - mean(m)),  m the mean of the smoothed maps, each less its own mean,
        f = max(0, 1 - e / v),  e the mean variance over the images divided by their number, v the variance of m

    f shrinks what so few images cannot tell from chance (the positive-part estimator of James and Stein, 1961): with
    few images, or where the product lies anywhere, nothing is usual at a place, and nothing is subtracted.

    Args:
        maps: distances of normal images that did not give the patches they are compared with.

    Returns:
        None with less than two maps: they show nothing of chance.
    """
    if len(maps) < 2:
        return None
    smooth = torch.stack([torch.from_numpy(gaussian_filter(one.cpu().double().numpy(), SMOOTHING)) for one in maps])
    smooth = smooth - smooth.mean(dim=(1, 2), keepdim=True)
    usual = smooth.mean(dim=0)
    chance = float(smooth.var(dim=0).mean()) / len(maps)
    spread = float(usual.square().mean())
    share = max(0.0, 1.0 - chance / spread) if spread > 0 else 0.0
    return (share * usual).to(maps[0])
