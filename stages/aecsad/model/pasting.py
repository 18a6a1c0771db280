"""Paste a component a second time, image and labels alike: the logical synthetic anomalies of CSAD."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from stages.core.images.regions import Region, connected_regions

SMALLEST_SHARE = 0.001  # of the image; smaller components are noise
POSITION_TRIES = 50
PLACES_A_TRY = 4  # drawn for each try, of which the free ones count
BOUNDARY = 0.1  # pasted centres keep that share of the image from its rim
VISIBLE = 0.9  # more than that share of a paste must be inside the image
ALREADY_LABELLED = 0.5  # a paste may cover other components by less than that share of its area

Image = UInt8[np.ndarray, "H W 3"]
LabelMap = UInt8[np.ndarray, "H W"]


def paste_components(
    image: Image,
    labels: LabelMap,
    *,
    min_distance: float,
    min_pastes: int,
    max_pastes: int,
    random: np.random.Generator,
    csad_exact: bool = False,
) -> tuple[Image, LabelMap]:
    """Duplicate random components at other places, rotated at random.

    CSAD's `labeled_lsa` with three repairs: labels are warped by nearest neighbour (bilinear ones get a rim of wrong
    classes; `csad_exact` keeps that), every search is bounded, and a component without a free place is skipped, where
    the published code crashes or pastes anyway. There is no background mask: a place is refused when half of the paste
    would cover other components. Copies stay on their own image and nothing is removed, as in the code.

    Args:
        min_distance: of the pasted centre from the original's, as a share of the image's width and height.
        min_pastes, max_pastes: between them lies the number of components that are tried. Fewer are pasted where the
            image has fewer, or no free place for one.

    Returns:
        New arrays; equal to the inputs when there is no component or no place.
    """
    image, labels = image.copy(), labels.copy()
    candidates = find_components(labels)
    random.shuffle(candidates)
    wanted = int(random.integers(min_pastes, max_pastes + 1))
    for component in candidates[:wanted]:
        warp = find_place(component, labels > 0, min_distance=min_distance, random=random)
        if warp is not None:
            paste(image, labels, component, warp, csad_exact=csad_exact)
    return image, labels


def find_components(labels: LabelMap) -> list[Region]:
    """Find the connected regions of component classes that cover more than SMALLEST_SHARE of the image."""
    return [region for region in connected_regions(labels) if region.area > SMALLEST_SHARE * labels.size]


def find_place(
    component: Region, occupied: Bool[np.ndarray, "H W"], *, min_distance: float, random: np.random.Generator
) -> Float[np.ndarray, "2 3"] | None:
    """Return an affine map to a free place, or None after a bounded number of tries.

    Places are drawn with a probability that grows with the squared distance from the component, as in CSAD.
    """
    height, width = occupied.shape
    mask, area = component.mask, component.area
    points = random.uniform(BOUNDARY, 1 - BOUNDARY, size=(POSITION_TRIES * PLACES_A_TRY, 2))
    squared = ((points - np.array(component.centre) / (width, height)) ** 2).sum(axis=1)
    weight = np.where(squared >= min_distance**2, squared, 0.0)
    if not weight.any():
        return None
    chosen = random.choice(
        len(points), size=min(POSITION_TRIES, int((weight > 0).sum())), replace=False, p=weight / weight.sum()
    )
    for x, y in points[chosen] * (width, height):
        warp = cv2.getRotationMatrix2D(component.centre, float(random.integers(0, 360)), 1.0)
        warp[:, 2] += (x - component.centre[0], y - component.centre[1])
        covered = warp_mask(mask, warp)
        visible = int(covered.sum()) > VISIBLE * area
        if visible and int((covered & occupied).sum()) < ALREADY_LABELLED * area:
            return warp
    return None


def paste(
    image: Image, labels: LabelMap, component: Region, warp: Float[np.ndarray, "2 3"], *, csad_exact: bool
) -> None:
    """Copy the component's pixels and class through `warp`, in place.

    Args:
        csad_exact: interpolate class numbers between neighbours, which invents classes along the rim.
    """
    size = (image.shape[1], image.shape[0])
    covered = warp_mask(component.mask, warp)
    image[covered] = cv2.warpAffine(image, warp, size, flags=cv2.INTER_LINEAR)[covered]
    if csad_exact:
        labels[covered] = cv2.warpAffine(labels, warp, size, flags=cv2.INTER_LINEAR)[covered]
    else:
        labels[covered] = component.label


def warp_mask(mask: Bool[np.ndarray, "H W"], warp: Float[np.ndarray, "2 3"]) -> Bool[np.ndarray, "H W"]:
    """Warp a mask by nearest neighbour."""
    size = (mask.shape[1], mask.shape[0])
    return cv2.warpAffine(mask.astype(np.uint8), warp, size, flags=cv2.INTER_NEAREST).astype(bool)
