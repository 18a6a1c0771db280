"""Write what methods may know, what judges may know, and the files, each whole or not at all."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import pandas as pd
from PIL import Image

from stages.core.artifacts.images import IMAGE_COLUMNS, write_images
from stages.core.artifacts.truth import TRUTH_COLUMNS
from stages.core.running.atomic import replacing_file, replacing_folder
from stages.split.equal_files import EqualFiles
from stages.split.grouped_rule import Together
from stages.split.inspect_files import Inspection
from stages.split.masks import read_mask
from stages.split.planting import planted_rows, save_planted
from stages.split.records import Record

HASH_LENGTH = 16  # hexadecimal digits of the sha256 that name a file
DEFECTS = "defects_config.json"


def build_truth(records: Sequence[Record], files: Inspection, defect_names: Mapping[int, str]) -> pd.DataFrame:
    """The truth table; file names come from the content, so that they tell nothing of the label."""
    rows = []
    for record in records:
        facts = files.images[record.path]
        rows.append(
            {
                "image_id": record.image_id,
                "file": facts.sha256[:HASH_LENGTH] + PurePosixPath(record.path).suffix.lower(),
                "split": record.split,
                "source_path": record.path,
                "is_anomalous": record.is_anomalous,
                "kind": record.kind,
                "defect_type": defect_type(record, files, defect_names),
                "mask_files": [mask_file(path, files) for path in kept_masks(record)],
                "sha256": facts.sha256,
                "width": facts.width,
                "height": facts.height,
            }
        )
    return pd.DataFrame(rows, columns=list(TRUTH_COLUMNS))


def defect_type(record: Record, files: Inspection, defect_names: Mapping[int, str]) -> str:
    """The names of the defects that its masks' pixel values stand for, joined by "+", else the source's own word."""
    values = {value for path in record.mask_paths for value in files.masks[path].values}
    return (
        "+".join(sorted({defect_names[value] for value in values})) if values and defect_names else record.defect_type
    )


def kept_masks(record: Record) -> tuple[str, ...]:
    """A normal image's mask marks nothing (checked) and is not kept."""
    return record.mask_paths if record.is_anomalous else ()


def mask_file(path: str, files: Inspection) -> str:
    return files.masks[path].sha256[:HASH_LENGTH] + ".png"


def write_image_table(path: Path, truth: pd.DataFrame) -> None:
    """What methods may know: anomalies set aside in validation are labelled as such, those in test are not.

    Behind the source's images come the copies of validation images with planted defects, which no truth table knows.
    """
    images = truth[list(IMAGE_COLUMNS)].copy()
    set_aside = truth["is_anomalous"] & (truth["split"] == "validation")
    images["split"] = images["split"].mask(set_aside, "validation_anomalous")
    write_images(path, pd.concat([images, planted_rows(truth)]))


def write_image_files(path: Path, dataset: Path, truth: pd.DataFrame, *, seed: int) -> None:
    """Copy the image files byte by byte, images of the same content share one file; and save the planted defects.

    Args:
        seed: of the planted defects.
    """
    with replacing_folder(path) as folder:
        for source, name in sorted(set(zip(truth["source_path"], truth["file"], strict=True))):
            shutil.copyfile(dataset / source, folder / name)
        save_planted(folder, truth, dataset, seed=seed)


def write_mask_files(path: Path, dataset: Path, records: Sequence[Record], files: Inspection) -> None:
    """Write every mask as an 8-bit grey PNG with its values kept, and the source's list of defects where it has one."""
    with replacing_folder(path) as folder:
        for mask in sorted({mask for record in records for mask in kept_masks(record)}):
            Image.fromarray(read_mask(dataset / mask)).save(folder / mask_file(mask, files))
        if (dataset / DEFECTS).is_file():
            shutil.copyfile(dataset / DEFECTS, folder / DEFECTS)


def write_counts(
    path: Path, truth: pd.DataFrame, *, left_out: int, together: Together | None, equal: EqualFiles | None
) -> None:
    """Images by split and kind, anomalous images with a mask, images left out, as JSON for `dvc metrics diff`.

    Where the rule divided them, also `near_duplicates`: see `Together`; where equal files are left out, also
    `equal_files`: see `EqualFiles`.
    """
    counts: dict[str, object] = {
        split: {
            str(kind): int(n) for kind, n in truth["kind"][truth["split"] == split].value_counts().sort_index().items()
        }
        for split in ("train", "validation", "test")
    }
    counts |= {"with_mask": int((truth["mask_files"].str.len() > 0).sum()), "left_out": left_out}
    if together is not None:
        counts["near_duplicates"] = asdict(together)
    if equal is not None:
        counts["equal_files"] = asdict(equal)
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
