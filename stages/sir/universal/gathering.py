"""The features of all categories that one model learns from."""

import logging
from collections.abc import Sequence
from pathlib import Path

from stages.core.running.errors import UserError
from stages.core.running.params import PARAMS_FILE
from stages.core.sir.feature_files import TeacherFeatures, read_features

LOG = logging.getLogger(__name__)


def gather_features(folder: Path, categories: Sequence[str]) -> list[TeacherFeatures]:
    """Of the named categories, in the order of their names; what else lies in the folder is not looked at.

    Args:
        folder: with a folder for each category.

    Raises:
        UserError: none is named, or one's features are missing.
    """
    if not categories:
        raise UserError(f"{PARAMS_FILE}: sir.categories: no category to learn from: name some, or empty sir.universal")
    if len(categories) == 1:
        LOG.warning(
            "sir.categories names %s alone: a universal model of one category is a specialised one", categories[0]
        )
    return [read_features(folder / category, category=category) for category in sorted(categories)]
