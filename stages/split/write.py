"""Write the split: `inputs/` for methods, `truth/` for those who judge, counts, and remarks in the log.

Each folder is written whole or not at all. File names come from the content, so that they reveal nothing of the label.
"""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from stages.core.images.aspect import common_aspect, write_aspect
from stages.core.images.grey_range import write_grey_range
from stages.core.io.rotation import FOLD, NEVER
from stages.core.io.tables import IMAGE_COLUMNS, image_files, write_images
from stages.core.io.truth import TRUTH_COLUMNS, component_files, health_file, mask_files, write_truth
from stages.core.run.atomic import replacing_file, replacing_folder
from stages.core.runtime.compression import SAVED_AS, compression_of, note_of
from stages.core.runtime.reading import Window, read_like_training
from stages.split.checks import EqualFiles
from stages.split.inspect_files import EXIF_ROTATED, Inspection
from stages.split.masks import read_mask
from stages.split.readers.records import Reading, Record
from stages.split.rotation import Folds, describe
from stages.split.rule import Together
from stages.split.synthetic import save_synthetic, synthetic_rows

HASH_LENGTH = 16  # hexadecimal digits of the sha256 that name a file
DEFECTS = "defects_config.json"  # MVTec LOCO's list of the pixel values of masks
MASK = "_mask"  # what the name of a mask may end in
LOG = logging.getLogger(__name__)


def build_truth(records: Sequence[Record], files: Inspection, defect_names: Mapping[int, str]) -> pd.DataFrame:
    """Build the truth table."""
    rows = []
    for record in records:
        facts = files.images[record.path]
        rows.append(
            {
                "image_id": record.image_id,
                "file": facts.sha256[:HASH_LENGTH] + written_suffix(record.path, files),
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


def written_suffix(path: str, files: Inspection) -> str:
    """Return the suffix of an image's copy: its own, or that of the PNG that a deep image is written as."""
    return ".png" if path in files.extents else PurePosixPath(path).suffix.lower()


def defect_type(record: Record, files: Inspection, defect_names: Mapping[int, str]) -> str:
    """Join the names of the defects that its masks' pixel values stand for by "+", else take the source's own word."""
    values = {value for path in record.mask_paths for value in files.masks[path].values}
    names = sorted({defect_names[value] for value in values}) if defect_names else []
    return "+".join(names) or record.defect_type


def kept_masks(record: Record) -> tuple[str, ...]:
    """Return an anomalous image's masks; a normal image's mask marks nothing (checked) and is not kept."""
    return record.mask_paths if record.is_anomalous else ()


def mask_file(path: str, files: Inspection) -> str:
    """Return the name of a mask's copy."""
    return files.masks[path].sha256[:HASH_LENGTH] + ".png"


def write_inputs(
    path: Path, dataset: Path, truth: pd.DataFrame, folds: Folds, *, grey_range: Window | None, deep: Collection[str],
    seed: int,
) -> None:  # fmt: skip
    """Write what methods may know: image table, image files, the range of deep and the aspect of oblong images.

    Args:
        path: of the folder.
        dataset: the data set's root.
        truth: table of all images.
        folds: of `stages.split.rotation`.
        grey_range: what images of more than 8 bits are spread over.
        deep: paths of such images.
        seed: of the synthetic defects.
    """
    with replacing_folder(path) as inputs:
        write_image_table(inputs, truth, folds)
        write_grey_range(inputs, grey_range)
        write_aspect(inputs, training_aspect(truth))
        folder = image_files(inputs)
        folder.mkdir()
        write_image_files(folder, dataset, truth, grey_range=grey_range, deep=deep)
        save_synthetic(folder, truth, dataset, grey_range=grey_range, seed=seed)


def training_aspect(truth: pd.DataFrame) -> float | None:
    """Return the aspect ratio of the training images; see `common_aspect`."""
    train = truth[truth["split"] == "train"]
    return common_aspect(train["width"].to_list(), train["height"].to_list())


def write_truth_folder(
    path: Path,
    dataset: Path,
    truth: pd.DataFrame,
    health: Mapping[str, Any],
    *,
    records: Sequence[Record],
    files: Inspection,
) -> None:
    """Write what only those who judge may know: truth table, masks, true components and data health, or nothing."""
    with replacing_folder(path) as folder:
        write_truth(folder, truth)
        write_mask_files(mask_files(folder), dataset, records, files)
        copy_components(component_files(folder), dataset, truth)
        text = json.dumps(health, indent=2, ensure_ascii=False)
        health_file(folder).write_text(text + "\n", encoding="utf-8")


def write_image_table(inputs: Path, truth: pd.DataFrame, folds: Folds) -> None:
    """Write the image table: anomalies set aside in validation are labelled as such, those in test are not.

    It includes the copies of validation images with synthetic defects, which are in no truth table, and the folds where
    validation rotates.
    """
    images = truth[list(IMAGE_COLUMNS)].copy()
    set_aside = truth["is_anomalous"] & (truth["split"] == "validation")
    images["split"] = images["split"].mask(set_aside, "validation_anomalous")
    images = pd.concat([images, synthetic_rows(truth)])
    if folds:
        of_image = dict(zip(truth["image_id"], truth["source_path"].map(folds), strict=True))
        images[FOLD] = images["image_id"].map(of_image).fillna(NEVER).astype(int)
    write_images(inputs, images)


def write_image_files(
    path: Path, dataset: Path, truth: pd.DataFrame, *, grey_range: Window | None, deep: Collection[str]
) -> None:
    """Copy the image files byte by byte, one for images of the same content; deep ones become PNG files of 8 bits.

    Such a copy says how its original was saved, by which new pictures are compared.
    """
    for source, name in sorted(set(zip(truth["source_path"], truth["file"], strict=True))):
        if source in deep:
            about = PngInfo()
            about.add_text(SAVED_AS, note_of(compression_of(dataset / source)))
            Image.fromarray(read_like_training(dataset / source, grey_range)).save(path / name, pnginfo=about)
        else:
            shutil.copyfile(dataset / source, path / name)


def write_mask_files(path: Path, dataset: Path, records: Sequence[Record], files: Inspection) -> None:
    """Write every mask as an 8-bit grey PNG with its values kept, and the source's list of defects where it has one."""
    path.mkdir()
    for mask in sorted({mask for record in records for mask in kept_masks(record)}):
        Image.fromarray(read_mask(dataset / mask).pixels).save(path / mask_file(mask, files))
    if (dataset / DEFECTS).is_file():
        shutil.copyfile(dataset / DEFECTS, path / DEFECTS)


def copy_components(path: Path, dataset: Path, truth: pd.DataFrame) -> None:
    """Copy the true components that the sample data bring: `components/<image_id>.png`, the class of every pixel."""
    path.mkdir()
    for image_id in truth["image_id"]:
        source = component_files(dataset) / f"{image_id}.png"
        if source.is_file():
            (path / f"{image_id}.png").parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, path / f"{image_id}.png")


def write_counts(
    path: Path, truth: pd.DataFrame, folds: Folds, *, excluded: int, together: Together | None, equal: EqualFiles | None
) -> None:
    """Count images by split and kind, with a mask, and excluded ones (`excluded`), as JSON for `dvc metrics diff`.

    Where the rule divided them, also `near_duplicates`: see `Together`; where equal files are excluded, also
    `equal_files`: see `EqualFiles`; where validation rotates, `rotation`: see `describe`.
    """
    counts: dict[str, object] = {
        split: {
            str(kind): int(n) for kind, n in truth["kind"][truth["split"] == split].value_counts().sort_index().items()
        }
        for split in ("train", "validation", "test")
    }
    counts |= {"with_mask": int((truth["mask_files"].str.len() > 0).sum()), "excluded": excluded}
    if together is not None:
        counts["near_duplicates"] = asdict(together)
    if equal is not None:
        counts["equal_files"] = asdict(equal)
    counts |= describe(folds)
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")


def log_remarks(
    reading: Reading,
    records: Sequence[Record],
    files: Inspection,
    together: Together | None,
    equal: EqualFiles | None,
) -> None:
    """Log conversions, missing masks, excluded images and the like: one line each, none where there is nothing."""
    for note in reading.notes:
        LOG.warning("%s", note)
    if reading.excluded:
        LOG.info("%d images excluded: their label is neither normal nor anomalous", reading.excluded)
    if equal is not None and (equal.seen_twice or equal.contradicting):
        LOG.warning(
            "excluded as equal files: %d of train or validation that a later split has too, %d that are called both "
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
        LOG.info("%d of %d anomalous images have no mask and are excluded from pixel metrics", unmasked, len(anomalous))
    warn_of_shapes(records, files)
    warn_of_masks(records, files)
    if together is not None and together.normals_like_anomalies:
        LOG.info(
            "%d normal images are nearly the same as an anomalous one and excluded from train",
            together.normals_like_anomalies,
        )
    if together is not None and together.too_large:
        LOG.warning(
            "%d images are alike in groups larger than a part of the split, as a fixed camera makes them: they are "
            "divided like others. If some are true duplicates, lower near_duplicates.pixel_difference",
            together.too_large,
        )
    if not any(record.split == "test" for record in anomalous):
        LOG.warning("test has no anomalous image: detection cannot be measured")


def warn_of_shapes(records: Sequence[Record], files: Inspection) -> None:
    """Warn where upright and lying pictures are mixed: all are scaled to a square, so the product has two shapes."""
    train = [files.images[one.path] for one in records if one.split == "train" and one.path in files.images]
    tall = sum(facts.height > facts.width for facts in train)
    wide = sum(facts.height < facts.width for facts in train)
    if tall and wide:
        LOG.warning(
            "train mixes %d portrait and %d landscape pictures, and all are scaled to a square: the product is seen in "
            "two shapes. Take all alike, or crop them",
            tall, wide,
        )  # fmt: skip


def warn_of_masks(records: Sequence[Record], files: Inspection) -> None:
    """Warn of masks that may be wrong: each counts in pixel metrics as it is."""
    warn_of_masks_among_images(records)
    masked = [record for record in records if record.is_anomalous and record.mask_paths]
    contents = Counter(frozenset(files.masks[path].sha256 for path in record.mask_paths) for record in masked)
    most = max(contents.values(), default=0)
    if most > max(2, len(masked) // 2):
        LOG.warning("%d of %d masked images have equal masks: is each image's mask its own?", most, len(masked))
    for record in records:
        for path in record.mask_paths:
            mask = files.masks[path]
            if mask.doubt:
                LOG.warning("%s: %s: correct it, or remove it from pixel metrics with the file", path, mask.doubt)
            if EXIF_ROTATED in files.images[record.path].conversions and not mask.rotated:
                LOG.warning(
                    "%s: its image %s is turned upright as its EXIF says, the mask is not: was it drawn upright?",
                    path, record.path,
                )  # fmt: skip
    for path, cover in sorted(files.covers.items()):
        if cover.doubt:
            LOG.warning("%s: %s: correct them, or remove them from pixel metrics with the files", path, cover.doubt)


def warn_of_masks_among_images(records: Sequence[Record]) -> None:
    """Warn of images that are named like a mask of another one beside them: they count as pictures."""
    known = {record.image_id for record in records}
    found = [one.path for one in records if one.image_id.endswith(MASK) and one.image_id.removesuffix(MASK) in known]
    if found:
        LOG.warning(
            "%d images count as pictures and are named like masks (%s): move them to `masks` if they are",
            len(found), ", ".join(found[:3]) + (" ..." if len(found) > 3 else ""),
        )  # fmt: skip


def in_words(together: Together | None) -> str:
    """Summarise near-duplicates for the stage's closing line; nothing where there are none."""
    if together is None or not together.groups:
        return ""
    return f", {together.images} near-duplicates kept together in {together.groups} groups"
