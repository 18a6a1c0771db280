"""What the log says of a data set that is in order."""

import logging
from collections import Counter
from collections.abc import Sequence

from stages.split.equal_files import EqualFiles
from stages.split.grouped_rule import Together
from stages.split.inspect_files import Inspection
from stages.split.records import Reading, Record

LOG = logging.getLogger(__name__)


def log_remarks(
    reading: Reading,
    records: Sequence[Record],
    files: Inspection,
    together: Together | None,
    equal: EqualFiles | None,
) -> None:
    """Conversions, images without a mask, what was left out: one line each, none where there is nothing to say."""
    for note in reading.notes:
        LOG.warning("%s", note)
    if reading.left_out:
        LOG.info("%d images left out: their label is neither normal nor anomalous", reading.left_out)
    if equal is not None and (equal.seen_twice or equal.contradicting):
        LOG.warning(
            "left out as equal files: %d of train or validation that a later split has too, %d that are called both "
            "normal and anomalous",
            equal.seen_twice,
            equal.contradicting,
        )
    conversions = Counter(name for facts in files.images.values() for name in facts.conversions)
    if conversions:
        LOG.info("converted when read: %s", ", ".join(f"{n} {name}" for name, n in sorted(conversions.items())))
    anomalous = [record for record in records if record.is_anomalous]
    unmasked = sum(not record.mask_paths for record in anomalous)
    if unmasked:
        LOG.info("%d of %d anomalous images have no mask: pixel metrics leave them out", unmasked, len(anomalous))
    if together is not None and together.normals_beside_anomalies:
        LOG.info(
            "%d normal images are nearly the same as an anomalous one and stay out of train",
            together.normals_beside_anomalies,
        )
    if together is not None and together.too_large:
        LOG.warning(
            "%d images look alike in groups larger than a part of the split, as a fixed camera makes them: they are "
            "divided like others. If some are true duplicates, lower near_duplicates.pixel_difference",
            together.too_large,
        )
    if not any(record.split == "test" for record in anomalous):
        LOG.warning("test has no anomalous image: detection cannot be measured")


def in_words(together: Together | None) -> str:
    """What the stage's closing line says of near-duplicates; nothing where there are none."""
    if together is None or not together.groups:
        return ""
    return f", {together.images} near-duplicates kept together in {together.groups} groups"
