"""`oddpart add`: which folders it takes, what it writes, and that a mistake leaves params.yaml as it is."""

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jaxtyping import UInt8
from PIL import Image

from commands.add.entry import with_entry
from commands.add.product import add_product
from stages.core.run.errors import UserError
from tests.architecture.source_files import ROOT


@pytest.fixture(autouse=True)
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A copy of the repository's params.yaml in the current folder; its text."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text, encoding="utf-8")
    return text


def make(folder: str, *names: str) -> None:
    """Pictures of these names, and a dozen in each folder whose name ends in /; masks of one spot below `masks`."""
    for name in names:
        for path in [f"{name}{n:02}.png" for n in range(12)] if name.endswith("/") else [name]:
            Path(folder, path).parent.mkdir(parents=True, exist_ok=True)
            save(Path(folder, path), spot() if path.startswith("masks/") else picture(f"{folder}/{path}"))


def picture(name: str) -> UInt8[np.ndarray, "H W"]:
    """Noise that no other name has."""
    return np.random.default_rng(list(name.encode())).integers(0, 256, (16, 16), dtype=np.uint8)


def spot() -> UInt8[np.ndarray, "H W"]:
    """A mask that marks four pixels of 16 x 16."""
    mask = np.zeros((16, 16), np.uint8)
    mask[4:6, 4:6] = 255
    return mask


def save(path: Path, pixels: UInt8[np.ndarray, "H W"]) -> None:
    """Write a PNG, whatever its name."""
    Image.fromarray(pixels).save(path, format="PNG")


def add(name: str, path: str, *settings: str, source: str | None = None, subfolder: str | None = None) -> Any:
    """Add a product and return its entry."""
    add_product(name, path, source=source, subfolder=subfolder, settings=settings)
    return yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["categories"][name]


def test_one_line_is_added_and_nothing_else_changes(params: str, caplog: pytest.LogCaptureFixture) -> None:
    make("my parts", "images/good/", "images/defect/x.png", "masks/x.png")
    with caplog.at_level("INFO"):
        assert add("bracket", "my parts") == {"source": "folder", "path": "my parts"}
    assert "bracket is now in params.yaml: 12 good and 1 defect pictures, source folder" in caplog.text
    assert "next: `make repro`" in caplog.text
    lines = Path("params.yaml").read_text(encoding="utf-8").splitlines()
    added = "  bracket: {source: folder, path: my parts}"
    assert lines.index(added) == lines.index("  elpv_mono: {source: elpv, path: data/elpv.json, kind: mono}") + 1
    lines.remove(added)
    assert lines == params.splitlines()


def test_the_source_is_guessed_by_the_layout() -> None:
    make("plain", "images/good/", "images/defect/x.png")
    make("mvtec", "train/good/", "test/good/a.png", "test/scratch/a.png")
    make("loco", "train/good/", "validation/good/a.png", "test/good/a.png", "test/logical_anomalies/a.png")
    make("table", "a.png", "b.png")
    Path("table/labels.csv").write_text("filename,is_anomalous\na.png,0\nb.png,1\n", encoding="utf-8")
    sources = [add(f"new_{name}", name)["source"] for name in ("plain", "mvtec", "loco", "table")]
    assert sources == ["folder", "mvtec", "mvtec_loco", "csv"]


def test_a_product_among_others_is_found_by_its_name() -> None:
    make("all", "one/images/good/", "two/images/good/", "three/images/good/")
    assert add("two", "all") == {"source": "folder", "path": "all"}
    assert add("other", "all", subfolder="one") == {"source": "folder", "path": "all", "subfolder": "one"}
    with pytest.raises(UserError, match="several folders are possible"):
        add("four", "all", source="folder")


def test_archives_and_manifests_need_their_source() -> None:
    make("plain", "images/good/", "images/defect/x.png")
    with tarfile.open("plain.tar", "w") as archive:
        archive.add("plain", "plain")
    with pytest.raises(UserError, match=r"plain\.tar is no folder, so its layout is not known: name it by --source"):
        add("packed", "plain.tar")
    assert add("packed", "plain.tar", source="folder") == {"source": "folder", "path": "plain.tar"}
    manifest = str(ROOT / "data/elpv.json")
    assert add("cells", manifest, "kind=poly", source="elpv") == {"source": "elpv", "path": manifest, "kind": "poly"}


def test_few_pictures_and_none_of_defects_are_warnings(caplog: pytest.LogCaptureFixture) -> None:
    make("few", "images/good/a.png")
    add("few", "few")
    assert "few normal pictures (1), the split needs at least 12" in caplog.text
    assert "there is no picture of a defect" in caplog.text


def test_a_product_that_no_method_scores_is_a_warning(params: str, caplog: pytest.LogCaptureFixture) -> None:
    make("good", "images/good/")
    add("scored", "good")
    assert "no method runs on" not in caplog.text
    Path("params.yaml").write_text(params.replace("categories: *all", "categories: {}"), encoding="utf-8")
    add("alone", "good")
    assert "no method runs on alone: list it in params.yaml under `methods`" in caplog.text
    Path("params.yaml").write_text("categories: {}\nmethods: {aecsad: {stages: []}}\n", encoding="utf-8")
    add("early", "good")
    assert "methods.aecsad.categories is missing: expected section" in caplog.text


def test_mistakes_leave_params_as_they_are(params: str) -> None:
    make("good", "images/good/")
    make("stray", "images/good/", "masks/zz.png", "images/bad/a.png")
    make("flat", "a.png", "b.png")
    make("none", "images/defect/a.png")
    Path("none/images/good").mkdir()
    make("notes", "images/good/")
    Path("notes/images/good/notes.txt").write_text("no picture", encoding="utf-8")
    for arguments, options, message in (
        (("a b", "good"), {}, "does not consist of letters, digits, - and _"),
        (("$(x)", "good"), {}, "does not consist of letters, digits, - and _"),
        (("-x", "good"), {}, "begins like an option of a command"),
        (("12", "good"), {}, "would be read as a number or a truth value"),
        (("yes", "good"), {}, "would be read as a number or a truth value"),
        (("training", "good"), {}, "stands for something else in the pipeline's paths"),
        (("pin_tray", "good"), {}, "is taken in params.yaml"),
        (("new", "nowhere"), {}, "nowhere does not exist"),
        (
            ("new", "flat"),
            {},
            "put normal pictures into flat/images/good and .* into flat/images/defect",
        ),
        (("new", "good"), {"source": "mvtec"}, "no folder holds 'train'"),
        (("new", "good"), {"source": "mvtek"}, "--source mvtek: for a folder there are sample, mvtec_loco"),
        (("new", "stray"), {}, "(?s)findings: 2.*images/bad: .*masks/zz.png"),
        (("new", "none"), {"source": "folder"}, "no normal picture in none/images/good"),
        (("new", "none"), {}, "no normal picture in none/images/good"),
        (("new", "."), {"subfolder": "none"}, "no normal picture in none/images/good"),
        (("new", ""), {}, "the path is empty: name a folder"),
        (("new", "notes"), {}, r"(?s)findings: 1.*images/good/notes\.txt: is not an image"),
        (("new", "good", "colour=red"), {}, "colour: unknown key"),
        (("new", "good", "path=x"), {}, "`path` has an argument or option of its own"),
        (("new", "good", "x"), {}, "write key=value"),
        (("new", "good", "ratios=[70, 15"), {}, r"--set ratios=\[70, 15: the value is not valid YAML"),
        (("new", "/dev/null"), {"source": "folder"}, "/dev/null is a pipe, a socket or a device: name a folder"),
    ):
        with pytest.raises(UserError, match=message):
            pytest.fail(f"{arguments} gave {add(*arguments, **options)}")
    assert Path("params.yaml").read_text(encoding="utf-8") == params
    assert not [path for path in Path().iterdir() if path.name.startswith(".params")]


def test_what_the_pipeline_would_refuse_is_refused(params: str) -> None:
    """One file each in a product that is right without it; the pipeline has further checks once images are divided."""
    make("part", "images/good/", "images/defect/a.png", "masks/a.png")
    good = picture("part/images/good/00.png")
    for path, pixels, message in (
        ("masks/a.png", picture("x"), r"masks/a\.png: marks .* as an inverted mask or a photograph does"),
        ("masks/a.png", 255 - spot(), r"masks/a\.png: marks 98\.4% of the image"),
        ("masks/a.png", 0 * spot(), r"masks/a\.png: marks nothing"),
        ("masks/a.png", spot()[:12], r"masks/a\.png: is 16 x 12 pixels, its image"),
        ("images/good/00.png", 0 * good, r"images/good/00\.png: is of one colour all over"),
        ("images/good/00.png", good[:8], r"images/good/00\.png: is 16 x 8 pixels, at least 16"),
        ("images/good/00.jpg", good, r"images/good/00\.jpg, images/good/00\.png: have one id"),
        ("images/defect/a.png", good, r"images/defect/a\.png, images/good/00\.png: have the same content"),
    ):
        file = Path("part", path)
        before = file.read_bytes() if file.exists() else None
        save(file, pixels)
        with pytest.raises(UserError, match=f"findings: 1\n  - {message}"):
            add("new", "part")
        file.unlink() if before is None else file.write_bytes(before)
    assert Path("params.yaml").read_text(encoding="utf-8") == params
    save(Path("part/images/defect/a.png"), good)
    assert add("new", "part", "equal_files=exclude")["equal_files"] == "exclude"


def test_stray_files_are_left_out_as_in_the_pipeline(caplog: pytest.LogCaptureFixture) -> None:
    make("part", "images/good/", "images/defect/a.png", "masks/a.png")
    for name in ("images/good/Thumbs.db", "images/.DS_Store", "images/defect/._a.png", "masks/._a.png"):
        Path("part", name).write_bytes(b"no picture")
    with caplog.at_level("INFO"):
        add("new", "part")
    assert "12 good and 1 defect pictures" in caplog.text


def test_masks_among_the_images_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    make("part", "images/good/", "images/defect/a.png", "images/defect/a_mask.png", "images/defect/b_mask.png")
    add("new", "part")
    assert "1 images count as pictures and are named like masks (images/defect/a_mask.png)" in caplog.text


def test_a_part_of_a_product_is_told_from_a_product() -> None:
    make("part", "images/good/")
    for path in ("part/images", "part/images/good"):
        with pytest.raises(UserError, match=f"{path} is a part of a product's folder: name .*/part$"):
            add("new", path)


ENTRY = {"source": "folder", "path": "/data/a: b"}
LINE = "new: {source: folder, path: '/data/a: b'}"


def test_an_entry_goes_below_the_last_product() -> None:
    for text, expected in (
        (
            "categories:\n  a: {x: 1}  # why\n  # b: {}\nseed: 0\n",
            "categories:\n  a: {x: 1}  # why\n  NEW\n  # b: {}\nseed: 0\n",
        ),
        ("categories:\n    a:\n        x: 1\n\nseed: 0\n", "categories:\n    a:\n        x: 1\n    NEW\n\nseed: 0\n"),
        ("categories:\n  a:\n    x: [1,\n      2]\n# end\n", "categories:\n  a:\n    x: [1,\n      2]\n  NEW\n# end\n"),
        ("categories:\n  a: {x: 1}", "categories:\n  a: {x: 1}\n  NEW\n"),
        ("categories: {}\nseed: 0\n", "categories:\n  NEW\nseed: 0\n"),
        ("categories:  # none\n\n  # b: {}\nseed: 0\n", "categories:  # none\n  NEW\n\n  # b: {}\nseed: 0\n"),
        ("# head\ncategories: {a: {x: 1}}\n", "# head\ncategories: {a: {x: 1}, NEW}\n"),
    ):
        assert with_entry(text, "new", ENTRY) == expected.replace("NEW", LINE), text


def test_the_first_product_is_one_of_all_methods_that_run_on_all() -> None:
    """The products that come with the repository were removed, and `*all` stands for nothing, or for {}."""
    methods = "methods:\n  some:\n    categories: *all\n  none:\n    categories: {}\n"
    for begin in ("categories: &all\n  # b: {}\n", "categories: &all {}\n", "categories: &all  # mine\n"):
        content = yaml.safe_load(with_entry(begin + methods, "new", ENTRY))
        products = {"new": ENTRY}
        assert content == {
            "categories": products,
            "methods": {"some": {"categories": products}, "none": {"categories": {}}},
        }, begin
    with pytest.raises(UserError, match="add to `categories`: new: "):  # a null that is written out has to go first
        with_entry("categories: &all null\n" + methods, "new", ENTRY)
