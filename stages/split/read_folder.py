"""The plain layout: images/good, images/defect, and masks/<image's stem>.png where there are masks."""

from pathlib import Path, PurePosixPath

from stages.split.listing import files_in, masks_without_image, subfolders
from stages.split.records import Reading, Record, without_suffix

KIND_OF_FOLDER = {"good": "normal", "defect": "unspecified"}


def read_folder(root: Path) -> Reading:
    """Every image of the two folders, without a split; a mask belongs to the defect image of its name."""
    records, findings = [], []
    for folder in subfolders(root / "images"):
        if folder not in KIND_OF_FOLDER:
            findings.append(f"images/{folder}: is neither images/good nor images/defect: move or remove it")
            continue
        images, unexpected = files_in(root, f"images/{folder}")
        findings += unexpected
        for path in images:
            mask = f"masks/{PurePosixPath(without_suffix(path)).name}.png"
            masks = (mask,) if folder == "defect" and (root / mask).is_file() else ()
            records.append(Record(path, KIND_OF_FOLDER[folder], folder, mask_paths=masks))
    used = {mask for record in records for mask in record.mask_paths}
    findings += masks_without_image(root, "masks", used)
    return Reading(tuple(records), tuple(findings))
