"""What is wrong or odd with a product's pictures, before the pipeline divides them."""

import logging
from collections.abc import Sequence
from pathlib import Path

from stages.core.run.errors import UserError
from stages.core.runtime.reading import IMAGE_SUFFIXES
from stages.download.source_files import is_stray
from stages.split.checks import (
    check_contradicting_labels,
    check_duplicate_ids,
    check_large_enough,
    check_mask_content,
    check_mask_plausible,
    check_mask_sizes,
    check_mask_values,
    check_masks_as_a_whole,
    check_something_is_seen,
)
from stages.split.inspect_files import inspect_files
from stages.split.readers.records import Reading, Record

LOG = logging.getLogger(__name__)
FEW = 12  # normal pictures that can be divided into train, validation and test


def findings_of(root: Path, reading: Reading, records: Sequence[Record], *, equal_files: str | None) -> list[str]:
    """What the pipeline will refuse, as far as it can be told before the images are divided.

    Args:
        root: the product's folder.
        reading: what the reader of its source found.
        records: of it, without the stray files that the pipeline leaves out.
        equal_files: "exclude" where images of equal content and different labels are left out; refused otherwise.
    """
    files = inspect_files(root, records)
    found = [
        *(finding for finding in reading.findings if not is_stray(finding.partition(": ")[0])),
        *files.findings,
        *check_duplicate_ids(records),
        *check_large_enough(records, files),
        *check_something_is_seen(records, files),
        *(() if equal_files == "exclude" else check_contradicting_labels(records, files)),
        *check_mask_sizes(records, files),
        *check_mask_content(records, files),
        *check_mask_plausible(records, files),
        *check_masks_as_a_whole(records, files),
        *check_mask_values(records, files, reading.defect_names),
    ]
    return list(dict.fromkeys(found))


def counted(root: Path, records: Sequence[Record]) -> str:
    """Numbers of pictures in words, with a warning where they are few.

    Raises:
        UserError: there is no normal picture.
    """
    good = sum(not record.is_anomalous for record in records)
    defect = len(records) - good
    if not good:
        raise UserError(f"{root}: nothing was added, it has no normal picture ({' '.join(IMAGE_SUFFIXES)}): add some")
    if good < FEW and all(record.split is None for record in records):
        LOG.warning("%s: few normal pictures (%d), the split needs at least %d: add some", root, good, FEW)
    if not defect:
        LOG.warning("%s: there is no picture of a defect, so that nothing can be measured: add some", root)
    return f"{good} good and {defect} defect pictures"
