"""Places in words."""

from stages.core.artifacts.explanations import Box

DOWN, ACROSS = ("upper", "", "lower"), ("left", "", "right")
ALONE = {"upper": "top", "lower": "bottom", "left": "left side", "right": "right side", "": "centre"}


def where(box: Box) -> str:
    """The ninth of the image that a box's centre lies in, such as "lower left" or "centre"."""
    down, across = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    words = [word for word in (DOWN[third(down)], ACROSS[third(across)]) if word]
    return " ".join(words) if len(words) == 2 else ALONE["".join(words)]


def third(share: float) -> int:
    """0, 1 or 2."""
    return min(max(int(3 * share), 0), 2)
