"""What the log says of a data set that is in order."""

import logging
from collections import Counter
from collections.abc import Sequence

from stages.split.inspect_files import Inspection
from stages.split.records import Reading, Record

LOG = logging.getLogger(__name__)


def log_remarks(reading: Reading, records: Sequence[Record], files: Inspection) -> None:
    """Conversions, images without a mask, what was left out: one line each, none where there is nothing to say."""
    for note in reading.notes:
        LOG.warning("%s", note)
    if reading.left_out:
        LOG.info("%d images left out: their label is neither normal nor anomalous", reading.left_out)
    conversions = Counter(name for facts in files.images.values() for name in facts.conversions)
    if conversions:
        LOG.info("converted when read: %s", ", ".join(f"{n} {name}" for name, n in sorted(conversions.items())))
    anomalous = [record for record in records if record.is_anomalous]
    unmasked = sum(not record.mask_paths for record in anomalous)
    if unmasked:
        LOG.info("%d of %d anomalous images have no mask: pixel metrics leave them out", unmasked, len(anomalous))
    if not any(record.split == "test" for record in anomalous):
        LOG.warning("test has no anomalous image: detection cannot be measured")
