"""Rotating validation: distances of training images by histograms that were fitted without them."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from stages.aecsad.histogram.columns import HistogramScores, values_of
from stages.aecsad.histogram.judging import normal_rows
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.histogram.parts import measure
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.part_numbers import PARTS, PartAreas
from stages.aecsad.model.patch_histogram import fit_histograms
from stages.core.io.rotation import rotated_rows, rotations
from stages.core.runtime.histograms import histogram_distances


def add_turns(
    result: HistogramScores,
    images: pd.DataFrame,
    turns: Mapping[int, LabelMaps],
    parts: Mapping[int, PartAreas],
    params: HistogramParams,
) -> HistogramScores:
    """Put the distances of each fold in its turn in place of those to a model that has seen it.

    Both the label maps and the histograms of a turn are without the fold. No weight of a column depends on them.

    Args:
        result: of all images.
        images: the image table; where validation does not rotate, the result stays as it is.
        turns: label maps of the normal images by fold.
        parts: areas of kinds of parts in them by fold.
        params: grids and shrinkage.

    Raises:
        UserError: an image has no label map in a turn.
    """
    tables = []
    for fold, turned in rotations(images).items():
        table = score_turn(turned, turns[fold], params)
        if result.parts is not None:
            table[PARTS] = measure(turned, parts[fold])[1]
        tables.append(table)
    if not tables:
        return result
    rotated = rotated_rows(tables)
    others = result.table[~result.table["image_id"].isin(rotated["image_id"])]
    table = pd.concat([others, rotated]).sort_values("image_id").reset_index(drop=True)
    return replace(result, table=table)


def score_turn(turned: pd.DataFrame, label_maps: LabelMaps, params: HistogramParams) -> pd.DataFrame:
    """Return image_id, split and the distances by column of a turn's images."""
    table = turned[["image_id", "split"]].reset_index(drop=True)
    maps = values_of(table["image_id"], label_maps)
    train, _ = normal_rows(table["split"])
    for grid in params.grids:
        model = fit_histograms(maps[train], grid=grid, num_classes=label_maps.num_classes, shrinkage=params.shrinkage)
        table[model.column] = histogram_distances(model, maps)
    return table
