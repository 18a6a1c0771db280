"""Two pictures from which a person sees in a minute whether the components are good."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Int64, UInt8, UInt16

from stages.aecsad.model.label_maps import LabelMaps

SHOWN = 5  # images of each kind
CELL, CROPS = 64, 14  # side of a crop in pixels, crops of a class
TEXT, PAPER = (30, 30, 30), 245
UNCLASSIFIED = (150, 150, 150)


def class_colours(count: int) -> UInt8[np.ndarray, "count+1 3"]:
    """Return a colour for each class, far apart in hue; 0 is for components without a class."""
    hues = np.arange(count) * 180 * 0.618 % 180  # golden ratio: neighbours differ
    tones = np.stack([hues, np.full(count, 200), np.where(np.arange(count) % 2, 255, 190)], axis=-1).astype(np.uint8)
    colours = cv2.cvtColor(tones[None], cv2.COLOR_HSV2RGB)[0] if count else np.zeros((0, 3), dtype=np.uint8)
    return np.concatenate([np.array([UNCLASSIFIED], dtype=np.uint8), colours])


def overlay(
    image: UInt8[np.ndarray, "H W 3"],
    components: UInt16[np.ndarray, "H W"],
    classes: UInt8[np.ndarray, "H W"],
    count: int,
) -> UInt8[np.ndarray, "H W 3"]:
    """Tint and outline every component of a picture in its class's colour."""
    colours = class_colours(count)[classes]
    inside = (components > 0)[..., None]
    tinted = np.where(inside, (image * 0.55 + colours * 0.45).astype(np.uint8), image)
    edges = cv2.morphologyEx(components, cv2.MORPH_GRADIENT, np.ones((3, 3), dtype=np.uint8)) > 0
    return np.where((edges & (components > 0))[..., None], colours, tinted).astype(np.uint8)


def overlay_sheet(
    images: UInt8[np.ndarray, "N H W 3"], components: UInt16[np.ndarray, "N H W"], labels: LabelMaps
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw two double rows, pictures above overlays: images whose labels train the segmentation, and the others."""
    rows = [
        strip
        for title, chosen in (("labelled", labels.labelled), ("not labelled", ~labels.labelled))
        for strip in overlay_rows(title, chosen, images, components, labels)
    ]
    return np.concatenate(rows)


def overlay_rows(
    title: str,
    chosen: Bool[np.ndarray, " N"],
    images: UInt8[np.ndarray, "N H W 3"],
    components: UInt16[np.ndarray, "N H W"],
    labels: LabelMaps,
) -> Sequence[UInt8[np.ndarray, "h w 3"]]:
    """Draw a heading and up to SHOWN images spread over the chosen ones."""
    height, width = images.shape[1:3]
    numbers = np.flatnonzero(chosen)
    picked = numbers[np.unique(np.linspace(0, len(numbers) - 1, SHOWN).round().astype(int))] if len(numbers) else []
    sheet = np.full((2, height, SHOWN * width, 3), PAPER, dtype=np.uint8)
    for column, row in enumerate(picked):
        across = slice(column * width, (column + 1) * width)
        sheet[0, :, across] = images[row]
        sheet[1, :, across] = overlay(images[row], components[row], labels.values[row], labels.num_classes - 1)
    return heading(f"{title}: {len(numbers)} of {len(images)} images", SHOWN * width), sheet[0], sheet[1]


def class_sheet(
    images: UInt8[np.ndarray, "N H W 3"], components: UInt16[np.ndarray, "N H W"], labels: LabelMaps
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw crops of each class's components, spread over the images; last those without a class."""
    table = classes_of_components(components, labels.values)
    parts = []
    for number in [*range(1, labels.num_classes), 0]:
        own = table[table[:, 2] == number]
        name = f"class {number}" if number else "without class"
        parts.append(heading(f"{name}: {len(own)} components, {len(own) / len(images):.2f} an image", CROPS * CELL))
        picked = own[np.unique(np.linspace(0, len(own) - 1, CROPS).round().astype(int))] if len(own) else own
        line = np.full((CELL, CROPS * CELL, 3), PAPER, dtype=np.uint8)
        for column, (row, instance, _) in enumerate(picked):
            line[:, column * CELL : (column + 1) * CELL] = crop(images[row], components[row] == instance)
        parts.append(line)
    return np.concatenate(parts)


def classes_of_components(
    components: UInt16[np.ndarray, "N H W"], classes: UInt8[np.ndarray, "N H W"]
) -> Int64[np.ndarray, "M 3"]:
    """Return rows (image, component, class); all pixels of a component have one class."""
    rows = [
        (row, number, int(classes[row][components[row] == number][0]))
        for row in range(len(components))
        for number in range(1, int(components[row].max(initial=0)) + 1)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def crop(image: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]) -> UInt8[np.ndarray, "CELL CELL 3"]:
    """Cut out one component with a margin, the rest of the picture faded; the aspect ratio is kept."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    margin = max(width, height) // 6 + 1
    window = (slice(max(top - margin, 0), top + height + margin), slice(max(left - margin, 0), left + width + margin))
    faded = np.where(mask[window][..., None], image[window], (image[window] // 3 + 160).astype(np.uint8))
    scale = (CELL - 2) / max(faded.shape[:2])
    size = (max(1, int(faded.shape[1] * scale)), max(1, int(faded.shape[0] * scale)))
    cell = np.full((CELL, CELL, 3), PAPER, dtype=np.uint8)
    cell[: size[1], : size[0]] = cv2.resize(
        faded, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    return cell


def heading(text: str, width: int) -> UInt8[np.ndarray, "24 width 3"]:
    """Draw a line of text."""
    line = np.full((24, width, 3), PAPER, dtype=np.uint8)
    return np.asarray(cv2.putText(line, text, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, TEXT, 1, cv2.LINE_AA))
