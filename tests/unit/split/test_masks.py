"""What cannot be a mask is refused, what may be right is named, and a good mask is neither."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.core.io.truth import health_file
from stages.core.run.errors import UserError
from stages.split.masks import read_mask
from tests.table import new_folder, violations
from tests.unit.split.case import run_split

HEIGHT, WIDTH = 40, 60


def spot(size: int = 8) -> np.ndarray:
    """A mask that marks a square."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    mask[10 : 10 + size, 20 : 20 + size] = 255
    return mask


def photograph() -> np.ndarray:
    """Bright values on a third of the image, as of a part on black ground."""
    values = np.random.default_rng(0).integers(60, 200, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    values[:, WIDTH // 3 :] = 0
    return values


def palette_photograph(*, dither: Image.Dither, colours: int = 12) -> np.ndarray:
    """A smooth photograph with a little noise in few colours, black in its upper half."""
    random = np.random.default_rng(0)
    values = random.integers(0, 256, (12, 18, 3)).astype(np.uint8)
    smooth = Image.fromarray(values).resize((180, 120), Image.Resampling.BICUBIC)
    noisy = np.asarray(smooth) + random.normal(0, 4, (120, 180, 3))
    noisy[:60] = 0
    photo = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
    return np.array(photo.quantize(colours, palette=photo.quantize(colours), dither=dither).convert("RGB"))


def labels(count: int) -> np.ndarray:
    """Defects of as many kinds, which touch each other."""
    mask = np.zeros((120, 180), dtype=np.uint8)
    for number in range(count):
        row, column = divmod(number, 6)
        mask[20 + 16 * row : 36 + 16 * row, 20 + 16 * column : 36 + 16 * column] = 20 * (number + 1)
    return mask


def coloured(*, factor: float) -> np.ndarray:
    """Defects of four kinds, each in its colour, scaled: their edges are soft and have mixed colours."""
    mask = np.zeros((120, 180, 3), dtype=np.uint8)
    for number, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 0)]):
        row, column = divmod(number, 2)
        mask[15 + 45 * row : 45 + 45 * row, 10 + 80 * column : 70 + 80 * column] = colour
    size = (round(180 * factor), round(120 * factor))
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BICUBIC))


def specks() -> np.ndarray:
    """Dust of six kinds, thirty of each, which lie apart."""
    mask = np.zeros((120, 180), dtype=np.uint8)
    for number in range(180):
        row, column = divmod(number, 18)
        mask[12 * row + 4 : 12 * row + 8, 10 * column + 3 : 10 * column + 7] = 40 * (number % 6 + 1)
    return mask


def former_jpeg() -> np.ndarray:
    """A mask with traces of compression around what it marks."""
    mask = spot()
    mask[6:34, 16:50][spot()[6:34, 16:50] == 0] = 3
    return mask


def test_what_cannot_be_a_mask(tmp_path: Path) -> None:
    def check(mask: np.ndarray, problem: str) -> None:
        folder = new_folder(tmp_path)
        Image.fromarray(mask).save(folder / "m.png")
        read = read_mask(folder / "m.png")
        assert read.problem is not None
        assert re.match(problem, read.problem)

    rows = [
        (255 - spot(), "marks 97.3% of the image, as an inverted mask"),
        (255 - spot(24), "marks 76.0% of the image, as an inverted mask"),  # a large defect, inverted
        (np.full((HEIGHT, WIDTH), 255, dtype=np.uint8), "marks 100.0% of the image"),
        (np.full((HEIGHT, WIDTH, 3), (1, 0, 0), dtype=np.uint8), "marks 100.0% of the image"),
        (photograph(), r"has \d+ values next to black, as a photograph has"),
        (
            palette_photograph(dither=Image.Dither.NONE),
            r"has \d+ values next to black in \d\d+ patches each, as a photo",
        ),
        (palette_photograph(dither=Image.Dither.FLOYDSTEINBERG), r"has \d+ values next to black in \d\d+ patches each"),
        (palette_photograph(dither=Image.Dither.NONE, colours=18), r"has \d+ values next to black, as a photograph"),
        (former_jpeg(), "marks more by nearly black values than by others, as a mask that was a JPEG does"),
    ]
    assert violations(check, rows) == []


def test_good_masks(tmp_path: Path) -> None:
    def check(mask: np.ndarray) -> None:
        folder = new_folder(tmp_path)
        Image.fromarray(mask).save(folder / "m.png")
        read = read_mask(folder / "m.png")
        assert (read.problem, read.doubt) == (None, None)
        np.testing.assert_array_equal(read.pixels > 0, mask > 0)

    values = [
        spot(),
        spot() // 255 * 7,  # a class
        np.where(spot(12) > 0, 1, 0).astype(np.uint8) + np.where(spot() > 0, 1, 0).astype(np.uint8),  # two classes
        spot().astype(np.uint16) * 257,
        labels(8),
        specks(),
        np.asarray(Image.fromarray(specks()).resize((90, 60), Image.Resampling.BILINEAR)) // 40 * 40,  # soft and few
        np.asarray(Image.fromarray(spot(20)).resize((30, 20), Image.Resampling.BILINEAR)),  # grey at the edges only
    ]
    assert violations(check, zip(values)) == []


def test_what_is_odd_and_may_be_right(tmp_path: Path) -> None:
    large = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    large[4:36, 4:56] = 255
    Image.fromarray(large).save(tmp_path / "large.png")
    assert read_mask(tmp_path / "large.png").doubt == "marks 69.3% of the image"
    Image.fromarray(labels(12)).save(tmp_path / "labels.png")
    assert read_mask(tmp_path / "labels.png").problem is None
    assert read_mask(tmp_path / "labels.png").doubt == "has 12 values next to black, all of which mark the defect"
    smooth = Image.fromarray(spot(24)).resize((4 * WIDTH, 4 * HEIGHT), Image.Resampling.BICUBIC)
    soft = coloured(factor=2.3)
    for number, values in enumerate([coloured(factor=0.5), soft, soft.max(axis=2) // 2 + soft[..., 0] // 2]):
        Image.fromarray(values).save(tmp_path / f"soft{number}.png")  # the last one in shades of grey
        found = read_mask(tmp_path / f"soft{number}.png")
        assert (found.problem, "values next to black, all of which" in str(found.doubt)) == (None, True)
    smooth.save(tmp_path / "smooth.png")  # as after scaling: grey at the edges only
    assert read_mask(tmp_path / "smooth.png").problem is None
    assert str(read_mask(tmp_path / "smooth.png").doubt).endswith("values next to black, all of which mark the defect")


def test_kinds_that_blur_a_mask(tmp_path: Path) -> None:
    image = Image.fromarray(spot())
    image.save(tmp_path / "lossy.webp", quality=80)
    image.save(tmp_path / "lossy.tif", compression="jpeg")
    image.save(tmp_path / "lossy.png", format="JPEG")
    image.convert("RGB").save(
        tmp_path / "moving.webp", save_all=True, append_images=[Image.new("RGB", image.size)], quality=50
    )
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(UserError, match=rf"{path.name}: is compressed with loss .* save it as PNG"):
            read_mask(path)
    image.save(tmp_path / "m.webp", lossless=True)
    image.save(tmp_path / "m.tif", compression="tiff_lzw")
    for name in ("m.webp", "m.tif"):
        np.testing.assert_array_equal(read_mask(tmp_path / name).pixels > 0, spot() > 0)


def test_values_that_no_mask_has(tmp_path: Path) -> None:
    def check(value: float) -> None:
        folder = new_folder(tmp_path)
        values = spot().astype(np.float32)
        Image.fromarray(values).save(folder / "m.tif")
        assert read_mask(folder / "m.tif").problem is None
        values[0, 0] = value
        Image.fromarray(values).save(folder / "m.tif")
        with pytest.raises(
            UserError, match=r"m\.tif: has values (that are no whole numbers|below 0): save it white on"
        ):
            read_mask(folder / "m.tif")

    assert violations(check, zip([np.nan, np.inf, 1e-30, -1.0])) == []


def test_a_stack_of_pages_is_no_mask(tmp_path: Path) -> None:
    empty = Image.new("L", (WIDTH, HEIGHT))
    empty.save(tmp_path / "m.tif", save_all=True, append_images=[Image.fromarray(spot())])
    with pytest.raises(UserError, match=r"m\.tif: has 2 pages, of which a mask has one"):
        read_mask(tmp_path / "m.tif")


def test_a_defect_marked_by_transparency_alone(tmp_path: Path) -> None:
    def check(ground: int) -> None:
        folder = new_folder(tmp_path)
        layers = np.dstack([np.full((HEIGHT, WIDTH, 3), ground, dtype=np.uint8), spot()])
        Image.fromarray(layers).save(folder / "m.png")
        with pytest.raises(UserError, match=r"m\.png: marks by its transparency: save it white on black"):
            read_mask(folder / "m.png")

    assert violations(check, zip([0, 255])) == []


def at_the_rim() -> np.ndarray:
    """A mask of a large defect that reaches the border."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    mask[:12] = 255
    return mask


def write_product(root: Path) -> None:
    """20 good pictures, 6 of defects, a mask for each of these."""
    for folder in ("images/good", "images/defect", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(26):
        noise = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / "images" / ("good" if number < 20 else "defect") / f"{number}.png")
        if number >= 20:
            Image.fromarray(spot()).save(root / "masks" / f"{number}.png")


def test_the_stage_refuses_wrong_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"))
    Image.fromarray(255 - spot()).save("dataset/masks/21.png")
    with pytest.raises(SystemExit):
        run_split(source="folder")
    assert (
        "- masks/21.png: marks 97.3% of the image, as an inverted mask or a photograph does: correct it" in caplog.text
    )


def test_masks_among_the_images_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"))
    Image.fromarray(spot()).save("dataset/images/defect/21_mask.png")
    with caplog.at_level(logging.WARNING):
        run_split(source="folder")
    assert "1 images count as pictures and are named like masks (images/defect/21_mask.png): move them" in caplog.text


def test_the_stage_names_doubtful_masks_and_what_all_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"))
    large = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    large[4:36, 4:56] = 255
    Image.fromarray(large).save("dataset/masks/21.png")
    with caplog.at_level(logging.WARNING):
        run_split(source="folder")
    assert "5 of 6 masked images have equal masks: is each image's mask its own?" in caplog.text
    assert "masks/21.png: marks 69.3% of the image: correct it, or remove it from pixel metrics" in caplog.text
    health = json.loads(health_file(Path("out/truth")).read_text(encoding="utf-8"))
    assert health["masks"] == {"count": 6, "doubtful": 1, "median_marked": 2.67, "largest_marked": 69.33}
    assert health["named"]["doubtful_masks"] == [{"path": "masks/21.png", "doubt": "marks 69.3% of the image"}]


def write_in_strips(mask: np.ndarray, number: int) -> None:
    """Write what a mask marks as four masks of the same image, none of which marks half of it."""
    Path(f"dataset/masks/{number}.png").unlink()
    for part in range(4):
        strip = np.zeros_like(mask)
        columns = slice(part * WIDTH // 4, (part + 1) * WIDTH // 4)
        strip[:, columns] = mask[:, columns]
        Image.fromarray(strip).save(f"dataset/masks/{number}_{part}.png")


def test_masks_of_one_image_count_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"))
    write_in_strips(255 - spot(), 21)
    with pytest.raises(SystemExit):
        run_split(source="folder")
    assert "- images/defect/21.png: its 4 masks together mark 97.3% of the image, as an inverted mask" in caplog.text
    for part in range(1, 4):
        Path(f"dataset/masks/21_{part}.png").unlink()
    large = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    large[4:36, 4:56] = 255
    write_in_strips(large, 22)
    with caplog.at_level(logging.WARNING):
        run_split(source="folder")
    doubt = {"path": "images/defect/22.png", "doubt": "its 4 masks together mark 69.3% of the image"}
    assert f"{doubt['path']}: {doubt['doubt']}: correct them, or remove them from pixel metrics" in caplog.text
    health = json.loads(health_file(Path("out/truth")).read_text(encoding="utf-8"))
    assert (health["masks"]["doubtful"], health["named"]["doubtful_masks"]) == (1, [doubt])


def test_inverted_masks_in_pieces_are_found_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each image by itself may be right."""
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"))
    for number in range(21, 26):
        write_in_strips(255 - at_the_rim(), number)
    with pytest.raises(SystemExit):
        run_split(source="folder")
    assert "- masks: those of 5 of 6 images mark more than half of it and of its border, as inverted" in caplog.text


def test_masks_of_pictures_that_exif_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"))
    for number, orientation in ((21, 3), (22, 6)):  # upside down, of the same size; a quarter turn
        path, exif = Path(f"dataset/images/defect/{number}.png"), Image.Exif()
        exif[0x0112] = orientation
        with Image.open(path) as image:
            image.save(path, exif=exif)
    with pytest.raises(SystemExit):
        run_split(source="folder")
    assert "masks/22.png: is 60 x 40 pixels, its image images/defect/22.png is 40 x 60 once it is turned" in caplog.text
    Image.fromarray(np.rot90(spot(), -1).copy()).save("dataset/masks/22.png")
    run_split(source="folder")
    assert (
        "masks/21.png: its image images/defect/21.png is turned upright as its EXIF says, the mask is not"
        in caplog.text
    )


def test_images_on_which_nothing_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"))
    for name, alpha in (("good/3", 0), ("defect/20", 9)):
        path = Path(f"dataset/images/{name}.png")
        with Image.open(path) as image:
            image.putalpha(alpha)
            image.putpixel((0, 0), (255, 0, 0, 255))  # as a screenshot's mouse pointer
            image.save(path)
    Image.new("RGB", (WIDTH, HEIGHT), (7, 7, 7)).save("dataset/images/good/4.png")
    with pytest.raises(SystemExit):
        run_split(source="folder")
    for name in ("good/3", "defect/20"):
        assert f"images/{name}.png: is transparent all over (alpha is 0 or nearly 0 everywhere)" in caplog.text
    assert "images/good/4.png: is of one colour all over: replace or remove it" in caplog.text


def test_a_black_picture_of_a_defect_is_named_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"))
    Image.new("RGB", (WIDTH, HEIGHT)).save("dataset/images/defect/20.png")
    run_split(source="folder")
    health = json.loads(health_file(Path("out/truth")).read_text(encoding="utf-8"))
    assert (health["one_colour"], health["named"]["one_colour"]) == (1, ["images/defect/20"])


def test_stacks_and_moving_pictures_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"))
    for number, suffix in enumerate(("tif", "gif", "png", "webp")):
        path = Path(f"dataset/images/good/{number}.png")
        with Image.open(path) as image:
            image.save(path.with_suffix(f".{suffix}"), save_all=True, append_images=[Image.new("RGB", image.size)])
        if suffix != "png":
            path.unlink()
    with caplog.at_level(logging.INFO):
        run_split(source="folder")
    assert "4 of several pages or frames (the first is read)" in caplog.text


def test_masks_that_are_inverted_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each by itself may be right: the defects are large and reach the border."""
    monkeypatch.chdir(tmp_path)
    write_product(Path("dataset"))
    for number in range(21, 26):
        Image.fromarray(255 - at_the_rim()).save(f"dataset/masks/{number}.png")
    with pytest.raises(SystemExit):
        run_split(source="folder")
    assert (
        "- masks: those of 5 of 6 images mark more than half of it and of its border, as inverted ones do"
        in caplog.text
    )
    for number in (23, 24, 25):
        Image.fromarray(spot()).save(f"dataset/masks/{number}.png")
    run_split(source="folder")
    assert "masks/21.png: marks 70.0% of the image: correct it" in caplog.text
