"""Leave out images of equal content that would spoil a split which the source brings."""

from collections.abc import Sequence
from dataclasses import dataclass

from stages.split.checks import by_content
from stages.split.inspect_files import Inspection
from stages.split.records import Record

LATEST_LAST = ("train", "validation", "test")


@dataclass(frozen=True)
class EqualFiles:
    """What leaving out did.

    Attributes:
        seen_twice: copies taken out of train or validation because a later split has the same content.
        contradicting: images taken out because the same content is called normal and anomalous.
    """

    seen_twice: int = 0
    contradicting: int = 0


def settle_equal(
    records: Sequence[Record], files: Inspection, *, leave_out: bool
) -> tuple[list[Record], EqualFiles | None]:
    """The records without equal content that spoils the split; all of them and None unless that is asked for."""
    return leave_out_equal(records, files) if leave_out else (list(records), None)


def leave_out_equal(records: Sequence[Record], files: Inspection) -> tuple[list[Record], EqualFiles]:
    """Drop what `check_shared_content` and `check_contradicting_labels` would refuse.

    Of content in several splits the copies in the last of them stay (test before validation before train), so that test
    is as published. Of content with both labels no copy stays: nobody knows which label is right. Copies within one
    split stay.
    """
    drop: dict[tuple[str, str | None], str] = {}
    for same in by_content(records, files).values():
        if len({record.is_anomalous for record in same}) > 1:
            drop |= {(record.path, record.split): "contradicting" for record in same}
        else:
            last = max(same, key=lambda record: rank(record.split)).split
            drop |= {(record.path, record.split): "seen_twice" for record in same if record.split != last}
    counts = [sum(reason == name for reason in drop.values()) for name in ("seen_twice", "contradicting")]
    return [record for record in records if (record.path, record.split) not in drop], EqualFiles(*counts)


def rank(split: str | None) -> int:
    """The place of a split in the order; images without one stay together anyway."""
    return -1 if split is None else LATEST_LAST.index(split)
