"""Plain folders: sub-folders by day and by type, and the names that masks have."""

import unicodedata
from pathlib import Path

from stages.split.readers.plain_folders import read_folder
from stages.split.readers.records import Record
from tests.table import new_folder, violations


def lay_out(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def test_images_and_masks_of_equal_names(tmp_path: Path) -> None:
    lay_out(tmp_path, "images/good/ä 1.jpg", "images/defect/ä 1.png", "images/defect/2.png", "images/maybe/3.png")
    lay_out(tmp_path, "masks/ä 1.png", "masks/9.png", "images/defect/1.2.840", "masks/1.2.840.png")
    reading = read_folder(tmp_path)
    assert set(reading.records) == {
        Record("images/good/ä 1.jpg", "normal", "good"),
        Record("images/defect/ä 1.png", "unspecified", "defect", None, ("masks/ä 1.png",)),
        Record("images/defect/2.png", "unspecified", "defect"),
        Record("images/defect/1.2.840", "unspecified", "defect", None, ("masks/1.2.840.png",)),
    }
    assert reading.findings == (
        "images/maybe: is neither images/good nor images/defect: move or remove it",
        "masks/9.png: is a mask without an image: add the image '9', remove the mask, or rename it (that of "
        "images/defect/x.jpg is masks/x.png)",
    )


def test_good_pictures_among_those_of_defects(tmp_path: Path) -> None:
    lay_out(tmp_path, "images/good/1.png", "images/defect/scratch/2.png", "images/defect/Good/3.png")
    reading = read_folder(tmp_path)
    assert reading.findings == ("images/defect/Good: would be a kind of defect: move it to images/good, or rename it",)


def test_images_that_are_nowhere_used_are_said(tmp_path: Path) -> None:
    lay_out(tmp_path, "images/good/1.png", "masks/../readme.txt", "images/good/notes.txt")
    assert read_folder(tmp_path).notes == ()
    lay_out(tmp_path, "Masks/1.png", "images/2.JPG", "3.tif")
    (note,) = read_folder(tmp_path).notes
    assert note == "3 image files are not used, as they are not in images/good, images/defect or masks, e.g. 3.tif"


def test_sub_folders_by_day_and_by_type(tmp_path: Path) -> None:
    lay_out(tmp_path, "images/good/2025-03-01/g1.png", "images/good/2025-03-02/left/g1.png", "images/defect/d0.png")
    lay_out(tmp_path, "images/defect/scratch/d1.png", "images/defect/scratch/2025-03-01/d2.png")
    lay_out(tmp_path, "masks/d0.png", "masks/d1.png", "masks/scratch/2025-03-01/d2.png")
    reading = read_folder(tmp_path)
    assert reading.findings == ()
    assert {(one.image_id, one.defect_type, one.mask_paths) for one in reading.records} == {
        ("images/good/2025-03-01/g1", "good", ()),
        ("images/good/2025-03-02/left/g1", "good", ()),
        ("images/defect/d0", "defect", ("masks/d0.png",)),
        ("images/defect/scratch/d1", "scratch", ("masks/d1.png",)),
        ("images/defect/scratch/2025-03-01/d2", "scratch", ("masks/scratch/2025-03-01/d2.png",)),
    }


def test_names_of_masks(tmp_path: Path) -> None:
    def check(masks: tuple[str, ...]) -> None:
        folder = new_folder(tmp_path)
        lay_out(folder, "images/good/g.png", "images/defect/a.jpg", *(f"masks/{name}" for name in masks))
        reading = read_folder(folder)
        assert reading.findings == ()
        assert reading.records[0].mask_paths == tuple(f"masks/{name}" for name in masks)

    values = [
        ("a.PNG",),
        ("a.bmp",),
        ("a_mask.png",),
        ("a-Mask.png",),
        ("a_1.png", "a_2.png"),
        ("a_mask1.png", "a_mask_2.png"),
        ("a_1_mask.png",),
        ("a/000.png", "a/001.png"),
    ]
    assert violations(check, zip(values)) == []


def test_an_equal_name_goes_before_a_number(tmp_path: Path) -> None:
    lay_out(tmp_path, "images/defect/a.png", "images/defect/a_1.png", "masks/a_1.png", "masks/a_2.png")
    records = {record.image_id: record.mask_paths for record in read_folder(tmp_path).records}
    assert records == {"images/defect/a": ("masks/a_2.png",), "images/defect/a_1": ("masks/a_1.png",)}


def test_accents_of_one_letter_and_of_two(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "größe") for form in ("NFC", "NFD"))
    lay_out(tmp_path, f"images/defect/{composed}.png", f"masks/{decomposed}.png")
    assert read_folder(tmp_path).records[0].mask_paths == (f"masks/{decomposed}.png",)


def test_the_mask_of_a_good_picture_is_kept_to_be_checked(tmp_path: Path) -> None:
    lay_out(tmp_path, "images/good/g.png", "masks/g.png")
    assert read_folder(tmp_path).records[0].mask_paths == ("masks/g.png",)


def test_a_mask_of_two_images_is_named(tmp_path: Path) -> None:
    lay_out(tmp_path, "images/defect/dent/1.png", "images/defect/scratch/1.png", "masks/1.png", "masks/dent/1.png")
    reading = read_folder(tmp_path)
    assert reading.findings == (
        "masks/1.png: may belong to images/defect/dent/1.png, images/defect/scratch/1.png: put it into the sub-folder "
        "of masks that its image is in",
    )
    assert reading.records[0].mask_paths == ("masks/dent/1.png",)
