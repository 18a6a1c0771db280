"""Images of more than 8 bits are spread over the range of the training images, in the split and in predictions."""

import json
import logging
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from stages.core.images.grey_range import between, ends, read_grey_range
from stages.core.io.tables import image_files, read_images
from stages.core.run.errors import UserError
from stages.core.runtime.compression import FileKinds, compression_of, kinds_of
from stages.core.runtime.reading import read_image, read_like_training
from stages.split.grey_range import Extent, extent_of, find_grey_range
from tests.table import new_folder, violations
from tests.unit.split.case import run_split

HEIGHT, WIDTH = 48, 64


def scene(seed: int) -> np.ndarray:
    """A coarse random picture with values from 0 to 1."""
    coarse = np.random.default_rng(seed).uniform(0, 1, (4, 5))
    return np.clip(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), 0, 1)


def write_product(root: Path, *, black: int, white: int, colour: bool = False, suffix: str = "png") -> None:
    """20 good pictures and 4 of defects, in files of 16 bits whose values run from black to white."""
    for kind, numbers in (("good", range(20)), ("defect", range(20, 24))):
        folder = root / "images" / kind
        folder.mkdir(parents=True)
        for number in numbers:
            values = (black + scene(number) * (white - black)).astype(np.uint16)
            if colour:
                values = np.dstack([values, values // 2, values // 4])
            cv2.imwrite(str(folder / f"{number}.{suffix}"), values)


def written(inputs: Path) -> list[np.ndarray]:
    return [read_image(image_files(inputs) / file) for file in read_images(inputs).query("split == 'train'")["file"]]


def test_few_bits_of_16_keep_their_grey_levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(name: str, black: int, white: int, kwargs: dict[str, object]) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        write_product(Path("dataset"), black=black, white=white, **kwargs)  # type: ignore[arg-type]
        inputs = run_split(source="folder")
        for picture in written(inputs):
            assert len(np.unique(picture[..., -1])) > 100, name
        grey_range = read_grey_range(inputs)
        train = read_images(inputs).query("split == 'train'").iloc[0]
        source = next(Path("dataset").glob(f"{train['image_id']}.*"))
        again = read_like_training(source, grey_range)  # as `predict` reads a new picture
        np.testing.assert_array_equal(again, read_image(image_files(inputs) / train["file"]))

    rows = [
        ("12 bits of 16", 100, 3900, {}),
        ("10 bits of 16", 20, 1000, {}),
        ("12 bits a colour", 100, 3900, {"colour": True}),
        ("12 bits in TIFF", 100, 3900, {"suffix": "tif"}),
        ("12 bits a colour in TIFF", 100, 3900, {"colour": True, "suffix": "tif"}),
        ("a thermal camera", 29_000, 29_800, {}),
    ]
    assert violations(check, rows) == []


def test_a_copy_says_how_its_deep_original_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(suffix: str, expected: FileKinds) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        write_product(Path("dataset"), black=100, white=3900, suffix=suffix)
        inputs = run_split(source="folder")
        files = read_images(inputs).query("split == 'train'")["file"]
        assert kinds_of(compression_of(image_files(inputs) / file) for file in files) == expected

    rows = [
        ("tif", FileKinds(("TIFF",), False, True, None)),
        ("png", FileKinds(("PNG",), False, True, None)),
        ("jp2", FileKinds(("JPEG2000",), True, True, None)),  # which its header does not say
    ]
    assert violations(check, rows) == []


def test_12_bits_look_as_they_do_saved_with_8() -> None:
    black, white = ends(find_grey_range([Extent(560, 3063, 1500), Extent(300, 2900, 1500)]))
    assert (black, white) == (0, 4095)


def test_all_16_bits_are_spread_as_before() -> None:
    assert ends(find_grey_range([Extent(0, 65535, 9000)])) == (0, 65535)


def test_hot_pixels_do_not_decide_the_range() -> None:
    values = np.full((200, 200, 1), 2000, dtype=np.uint16)
    values[:100] = 1000
    values[0, :3], values[1, :3] = 65535, 0  # 3 of 40 000: below 1 in 10 000
    assert extent_of(values) == Extent(1000, 2000, bulk=1000)
    values[:100, :10] = 65535
    assert extent_of(values).high == 65535


def test_the_alpha_channel_is_no_brightness() -> None:
    values = np.full((2, 2, 4), 900, dtype=np.uint16)
    values[..., 3] = 65535
    assert extent_of(values) == Extent(900, 900, bulk=0)


def test_the_range_is_of_train_and_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"), black=100, white=3900)
    for path in Path("dataset/images/defect").iterdir():  # in validation and test only
        cv2.imwrite(str(path), np.where(scene(1) > 0.5, 60_000, 100).astype(np.uint16))
    inputs = run_split(source="folder")
    assert json.loads((inputs / "grey_range.json").read_text(encoding="utf-8")) == {"black": 0, "white": 4095}


def test_a_warning_says_that_few_bits_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"), black=100, white=3900)
    run_split(source="folder")
    (warning,) = [entry for entry in caplog.records if entry.levelno >= logging.WARNING and "16-bit" in entry.message]
    assert "so 0 to 4095 become black to white, here and in predictions" in warning.message


def test_a_border_of_zeros_that_takes_the_grey_levels_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"), black=29_000, white=29_800)
    for path in Path("dataset/images").rglob("*.png"):
        values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        values[:2] = 0
        cv2.imwrite(str(path), values)
    run_split(source="folder")
    assert "90 % of their values come out within 5." in caplog.text
    run_split(source="folder", grey_range=[29_000, 29_800])
    assert caplog.text.count("grey levels") == 1


def test_the_products_entry_names_the_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(entry: dict[str, object], expected: tuple[int, int]) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        write_product(Path("dataset"), black=100, white=3900)
        grey_range = read_grey_range(run_split(source="folder", **entry))
        assert grey_range is not None
        assert ends(grey_range) == expected

    rows = [({"bits": 14}, (0, 16_383)), ({"grey_range": [500, 2500]}, (500, 2500))]
    assert violations(check, rows) == []


def test_a_range_that_makes_no_sense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def check(entry: dict[str, object], message: str) -> None:
        caplog.clear()
        monkeypatch.chdir(new_folder(tmp_path))
        write_product(Path("dataset"), black=100, white=3900)
        with pytest.raises(SystemExit):
            run_split(source="folder", **entry)
        assert message in caplog.text

    rows = [
        ({"bits": 12, "grey_range": [0, 9]}, "bits and grey_range say the same: remove one"),
        ({"grey_range": [9, 9]}, "the first value becomes black, and must be below the second"),
        ({"bits": 20}, "bits is 20: expected integer from 8 to 16, or null"),
    ]
    assert violations(check, rows) == []


def test_mixed_depths_in_train_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"), black=100, white=3900)
    for number in range(10):
        Image.fromarray((scene(number) * 255).astype(np.uint8)).save(f"dataset/images/good/{number}.png")
    run_split(source="folder")
    assert "train mixes" in caplog.text


def test_a_few_much_brighter_images_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Most were saved with 12 bits of 16, some with all 16, which decide the range."""
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"), black=100, white=4000)
    run_split(source="folder")
    assert "half of the images of train" not in caplog.text
    for number in range(3):
        cv2.imwrite(f"dataset/images/good/{number}.png", (scene(number) * 65535).astype(np.uint16))
    run_split(source="folder")
    assert re.search(r"half of the images of train have no value above \d{4}, and others have up to \d{5}", caplog.text)


def test_a_range_that_nothing_is_spread_over_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"), black=0, white=255)
    for path in Path("dataset/images").rglob("*.png"):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.uint8))
    run_split(source="folder")
    assert "0 to 4095" not in caplog.text
    run_split(source="folder", bits=12)
    assert "0 to 4095 are named in params.yaml, and no image is of 16 bits: they change nothing" in caplog.text


def test_images_of_8_bits_are_copied_and_have_no_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"), black=0, white=255)
    for path in Path("dataset/images").rglob("*.png"):
        Image.fromarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.uint8)).save(path)
    inputs = run_split(source="folder")
    originals = {path.read_bytes() for path in Path("dataset/images").rglob("*.png")}
    table = read_images(inputs).query("split != 'synthetic'")
    assert {(image_files(inputs) / file).read_bytes() for file in table["file"]} == originals
    assert read_grey_range(inputs) is None
    cv2.imwrite("new.png", np.full((4, 4), 900, dtype=np.uint16))
    with pytest.raises(UserError, match=r"new\.png: has 16 bits a channel, the product's own images have 8"):
        read_like_training(Path("new.png"), None)


def test_a_damaged_range_is_named(tmp_path: Path) -> None:
    (tmp_path / "grey_range.json").write_text('{"black": 0}', encoding="utf-8")
    with pytest.raises(UserError, match=r"grey_range\.json: no readable grey range"):
        read_grey_range(tmp_path)


def test_range_and_window_are_each_others_inverse() -> None:
    assert ends(between(29_000, 29_800)) == (29_000, 29_800)
