"""Scores of the test images in a small file that git keeps, so that two commits can be compared image by image."""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from stages.core.running.atomic import replacing_file
from stages.core.running.errors import UserError

COLUMNS = ["image_id", "kind", "score"]  # of test images, sorted by image_id; some 40 bytes each


def write_tracked_scores(path: Path, test: pd.DataFrame) -> None:
    """Write COLUMNS as CSV; 9 significant digits keep the order of float32 scores."""
    with replacing_file(path) as temporary:
        test.sort_values("image_id")[COLUMNS].to_csv(temporary, index=False, lineterminator="\n", float_format="%.9g")


def parse_tracked_scores(text: str, *, where: str) -> pd.DataFrame:
    """The inverse of `write_tracked_scores`, indexed by image_id.

    Raises:
        UserError: it is no such table.
    """
    try:
        table: pd.DataFrame = pd.read_csv(io.StringIO(text), dtype={"image_id": str, "kind": str, "score": float})
        indexed = table[COLUMNS].set_index("image_id")
    except (ValueError, KeyError) as error:
        raise UserError(f"{where}: not a table of scores ({error})") from None
    if not indexed.index.is_unique or not np.isfinite(indexed["score"]).all():
        raise UserError(f"{where}: an image is there twice or has no finite score")
    return indexed
