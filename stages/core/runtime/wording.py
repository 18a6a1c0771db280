"""Say explanations in words. They keep the number of a component; its name is put in where a person reads them."""

from collections.abc import Mapping

from stages.core.runtime.explanation import Box, Explanation

DOWN, ACROSS = ("upper", "", "lower"), ("left", "", "right")
ALONE = {"upper": "top", "lower": "bottom", "left": "left side", "right": "right side", "": "centre"}
BACKGROUND = "background"
NEXT_TO_NONE = 1e-4  # share of the image below which an area has no multiples
TINY = 1e-12
MISSING = 0.05  # multiple of the normal area below which nothing is left of it
COUNTED = {1: "one", 2: "two", 3: "three"}
MOST_TIMES = 10  # multiples of an area above that number are not told apart

Names = Mapping[int, str]  # of component classes, given by a person; the others are "component <number>"


def describe(finding: Explanation, names: Names) -> str:
    """Say one finding, such as "label missing: upper left" or "component 2 larger (1.4 x): centre".

    Args:
        finding: of any method.
        names: of components.

    Raises:
        KeyError: its measure is not one of stages.core.io.explanations.Measure.
    """
    return SENTENCES[finding.measure](finding, names)


def named(component: int | None, names: Names) -> str:
    """Return the name of a component class; 0 is the background."""
    if component is None:
        return "no component"
    return names.get(component, f"component {component}") if component else BACKGROUND


def where(box: Box) -> str:
    """Name the ninth of the image that holds a box's centre, such as "lower left" or "centre"."""
    down, across = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    words = [word for word in (DOWN[third(down)], ACROSS[third(across)]) if word]
    return " ".join(words) if len(words) == 2 else ALONE["".join(words)]


def third(share: float) -> int:
    """Return which third a share from 0 to 1 is in: 0, 1 or 2."""
    return min(max(int(3 * share), 0), 2)


def cell(box: Box) -> str:
    """Name a cell of a square grid, such as "row 3, column 2 of 4 x 4"."""
    grid = round(1 / (box[2] - box[0]))
    row, column = round(box[0] * grid) + 1, round(box[1] * grid) + 1
    return f"row {row}, column {column} of {grid} x {grid}"


def size(observed: float, normal: float) -> str:
    """Compare an area with the normal one: "larger (1.4 x)"."""
    multiple = observed / max(normal, TINY)
    if round(multiple, 2) == 1:
        return "of normal size"
    word = "larger" if multiple > 1 else "smaller"
    if multiple > MOST_TIMES:
        return f"{word} (more than {MOST_TIMES} x)"
    return f"{word} ({multiple:.{1 if round(multiple, 1) != 1 else 2}f} x)"


def _instead(finding: Explanation) -> str:
    """Say both counts where they differ; a component far from its place is missing there, and the count is right."""
    seen, normal = round(finding.observed), round(finding.normal)
    return f", {seen} instead of {normal}" if seen != normal and max(seen, normal) > 1 else ""


def _missing(finding: Explanation, names: Names) -> str:
    return f"{named(finding.component, names)} missing: {where(finding.box)}{_instead(finding)}"


def _extra(finding: Explanation, names: Names) -> str:
    name, seen, normal = named(finding.component, names), round(finding.observed), round(finding.normal)
    if normal == 1 and seen > 1:
        return f"{name} {'twice' if seen == 2 else f'{seen} times'}: {where(finding.box)}"
    return f"{name}, one too many: {where(finding.box)}{_instead(finding)}"


def _area(finding: Explanation, names: Names) -> str:
    return f"{named(finding.component, names)} {size(finding.observed, finding.normal)}: {where(finding.box)}"


def _place(finding: Explanation, names: Names) -> str:
    distance = f"{100 * finding.observed:.0f} % of the picture's side"
    return f"{named(finding.component, names)} displaced by {distance}: {where(finding.box)}"


def _cell_area(finding: Explanation, names: Names) -> str:
    name, at, background = named(finding.component, names), cell(finding.box), finding.component == 0
    if finding.normal < NEXT_TO_NONE:
        return f"{name} {'in place of a component' if background else 'elsewhere'}: {at}"
    if finding.observed < MISSING * finding.normal:
        return f"{name} {'covered' if background else 'missing'}: {at}"
    return f"{name} {size(finding.observed, finding.normal)}: {at}"


def _number(finding: Explanation, names: Names) -> str:
    count = max(round(abs(finding.observed)), 1)
    name = "part" if finding.component is None else named(finding.component, names)
    return f"{name}, {COUNTED.get(count, str(count))} too {'many' if finding.observed > 0 else 'few'}"


def _hot_spot(finding: Explanation, names: Names) -> str:
    expected, seen = ((one or None) for one in finding.classes or (finding.component, finding.component))
    at = f"unusual look at the {where(finding.box)}"
    if expected is seen is None and finding.component is not None:
        return f"{at}, next to {named(finding.component, names)}"
    if expected == seen:
        return f"{at}, on {named(seen, names)}"
    return f"{at}, where normal images show {named(expected, names)} and this one {named(seen, names)}"


SENTENCES = {
    "missing": _missing,
    "extra": _extra,
    "area": _area,
    "place": _place,
    "cell_area": _cell_area,
    "number": _number,
    "hot_spot": _hot_spot,
}
