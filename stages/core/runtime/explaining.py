"""Explain new images: what a method has fitted on normal images, in one file that goes into results and bundles."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from stages.core.runtime.calibration import Calibration, by_excess
from stages.core.runtime.components import NormalComponents, Place, explain_components
from stages.core.runtime.counting import NumberModel, explain_numbers, number_findings
from stages.core.runtime.packing import packed
from stages.core.runtime.spots import NormalSpots, explain_map
from stages.core.runtime.wording import Names, describe

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, UInt8

    from stages.core.runtime.explanation import Explanation

FILE = "explainer.npz"  # in results and in bundles
NUMBERS = "numbers_"  # before the names of a number model's arrays


@dataclass(frozen=True)
class Explainer:
    """What is normal, and so what is unusual.

    Attributes:
        components: None where there are no component classes.
        kept: most unusual findings about components that are kept for each image.
        spots: of the branches with a map, in the order of the findings.
        usual: the class that normal images show at each pixel; 0 is the background.
        numbers: of parts that lie anywhere; None where they are not counted.
    """

    components: NormalComponents | None
    kept: int
    spots: tuple[NormalSpots, ...]
    usual: UInt8[np.ndarray, "H W"]
    numbers: NumberModel | None = None

    def __call__(
        self,
        label_map: UInt8[np.ndarray, "H W"] | None,
        maps: Mapping[str, Float[np.ndarray, "_h _w"]],
        areas: Float64[np.ndarray, " K"] | None = None,
    ) -> list[Explanation]:
        """Return the findings: of components the most unusual, then numbers of parts, then the hottest spots.

        Args:
            label_map: of the image; None where there are no component classes.
            maps: of the image, by branch, at least of `spots`.
            areas: of kinds of parts, where they are counted.
        """
        labels = np.zeros_like(self.usual) if label_map is None else label_map
        found = [] if self.components is None else explain_components(self.components, labels)[: self.kept]
        if self.numbers is not None and areas is not None:
            found += explain_numbers(number_findings(self.numbers, areas), labels)
        return found + [explain_map(spot, maps[spot.branch], labels, self.usual) for spot in self.spots]

    def extended(self, spots: Sequence[NormalSpots], numbers: NumberModel | None) -> Explainer:
        """Return one that also looks at further branches."""
        return replace(self, spots=(*self.spots, *spots), numbers=numbers)


def in_order_of_branches(findings: Sequence[Explanation], order: Sequence[str]) -> list[Explanation]:
    """Sort findings by their branches; those of other branches are excluded."""
    used = [finding for finding in findings if finding.branch in order]
    return sorted(used, key=lambda finding: order.index(finding.branch))


def sentences(
    explainer: Explainer | None,
    calibration: Calibration,
    branches: Mapping[str, float | None],
    names: Names,
    *,
    label_map: UInt8[np.ndarray, "H W"] | None,
    maps: Mapping[str, Float[np.ndarray, "_h _w"]],
    areas: Float64[np.ndarray, " K"] | None,
) -> tuple[str, ...]:
    """Explain an image in words, as the pipeline's results do: what decided first; nothing without an explainer.

    Args:
        explainer: of the method.
        calibration: of the method.
        branches: scores of the image.
        names: of components.
        label_map, maps, areas: see `Explainer`.
    """
    if explainer is None or calibration.branches is None:
        return ()
    findings = explainer(label_map, maps, areas)
    order = by_excess(calibration.branches, branches)
    return tuple(describe(one, names) for one in in_order_of_branches(findings, order))


def explainer_content(explainer: Explainer) -> bytes:
    """Return the content of its file; the same numbers give the same bytes."""
    settings: dict[str, object] = {"kept": explainer.kept, "spots": [asdict(spot) for spot in explainer.spots]}
    arrays: dict[str, np.ndarray] = {"usual": explainer.usual}
    if (normal := explainer.components) is not None:
        settings |= {name: getattr(normal, name) for name in ("grid", "num_classes", "min_area")}
        settings["places"] = {str(key): [asdict(place) for place in places] for key, places in normal.places.items()}
        arrays |= {"mean": normal.mean, "spread": normal.spread}
    if explainer.numbers is not None:
        arrays |= {f"{NUMBERS}{name}": value for name, value in vars(explainer.numbers).items()}
    return packed({"settings": np.array(json.dumps(settings)), **arrays})


def read_explainer(content: bytes) -> Explainer:
    """Read what `explainer_content` returned.

    Raises:
        Exception: the content is damaged or has another layout.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = dict(file.items())
    settings = json.loads(str(arrays["settings"]))
    components = None
    if "places" in settings:
        places = {
            int(key): tuple(
                Place(tuple(one["centre"]), one["spread"], one["area"], one["area_spread"], tuple(one["size"]))
                for one in found
            )
            for key, found in settings["places"].items()
        }
        components = NormalComponents(
            settings["grid"], settings["num_classes"], places, arrays["mean"], arrays["spread"], settings["min_area"]
        )
    numbers = {name.removeprefix(NUMBERS): array for name, array in arrays.items() if name.startswith(NUMBERS)}
    return Explainer(
        components,
        settings["kept"],
        tuple(NormalSpots(**spot) for spot in settings["spots"]),
        arrays["usual"],
        NumberModel(**numbers) if numbers else None,
    )
