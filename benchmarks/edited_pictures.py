"""Logical anomalies of our own making for `fusion_rules`: validation images with one part cut, pasted or exchanged."""

import pandas as pd

from stages.aecsad.histogram.columns import values_of
from stages.aecsad.histogram.judging import normal_rows
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.model.edited import EditedPictures
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.patch_histogram import fit_histograms
from stages.core.runtime.histograms import histogram_distances

EDITED = "edited"


def edited_rows(
    branches: pd.DataFrame, images: pd.DataFrame, label_maps: LabelMaps, edited: EditedPictures, params: HistogramParams
) -> pd.DataFrame:
    """Rows like those of `branches`, of split "edited": histogram columns of a picture, the others as they were.

    Only the histogram branch sees the edited pictures.

    Args:
        branches: scores of all branches (image_id, split, columns, whatever else).
        images: the image table, training images included.
        label_maps: of these images.
        edited: label maps of the edited pictures.
    """
    train, _ = normal_rows(images["split"])
    values = values_of(images["image_id"], label_maps)
    rows = branches.set_index("image_id").loc[list(edited.sources)].reset_index().assign(split=EDITED)
    for grid in params.grids if len(rows) else ():
        model = fit_histograms(values[train], grid=grid, num_classes=label_maps.num_classes, shrinkage=params.shrinkage)
        rows[model.column] = histogram_distances(model, edited.values)
    rows["image_id"] = [f"{image_id}#edited{number}" for number, image_id in enumerate(edited.sources)]
    return rows[list(branches.columns)]
