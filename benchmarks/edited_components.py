"""Logical anomalies of our own making for `fusion_rules`: validation images with one component edited."""

import numpy as np
import pandas as pd

from stages.aecsad.histogram.columns import normal_rows, values_of
from stages.aecsad.histogram.edits import edit_components
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.patch_histogram import fit_histograms, histogram_distances

EDITED = "edited"
SEED = 1000  # other edits than those by which the pipeline judged its histograms, which its own seed drew


def edited_rows(
    branches: pd.DataFrame, images: pd.DataFrame, label_maps: LabelMaps, params: HistogramParams
) -> pd.DataFrame:
    """Rows like those of `branches`, of split "edited": histogram columns of an edited map, the others as they were.

    A component is edited in the label map, so the branches that read the image do not notice it.

    Args:
        branches: scores of all branches (image_id, split, columns, whatever else).
        images: the image table, training images included.
        label_maps: of these images.
    """
    train, validation = normal_rows(images["split"])
    values, num_classes = values_of(images["image_id"], label_maps), label_maps.num_classes
    areas = {"min_area": params.min_area, "max_area": params.max_area}
    edited, made_from = edit_components(
        values[validation], num_classes=num_classes, edits_per_image=params.edits_per_image,
        random=np.random.default_rng(SEED), **areas,
    )  # fmt: skip
    sources = images["image_id"][validation].iloc[made_from].to_list()
    rows = branches.set_index("image_id").loc[sources].reset_index().assign(split=EDITED)
    for grid in params.grids if len(rows) else ():
        model = fit_histograms(values[train], grid=grid, num_classes=num_classes, shrinkage=params.shrinkage)
        rows[model.column] = histogram_distances(model, edited)
    rows["image_id"] = [f"{image_id}#edited{number}" for number, image_id in enumerate(sources)]
    return rows[list(branches.columns)]
