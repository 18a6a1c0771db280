"""The download stage from its command line: which files end up in the data set's folder."""

import csv
import io
import logging
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.core.run.errors import UserError
from stages.download.__main__ import main
from stages.download.choose import category_root

REPOSITORY = Path(__file__).parents[3]
Run = Callable[..., dict[str, bytes]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Write params.yaml with one category, run the stage, and return the files it wrote by name."""
    monkeypatch.chdir(tmp_path)

    def run_stage(key: str = "part", **category: Any) -> dict[str, bytes]:
        Path("params.yaml").write_text(yaml.safe_dump({"categories": {key: category}}), encoding="utf-8")
        main(["--category", key, "--dataset", f"artifacts/download/{key}"])
        root = Path("artifacts/download") / key
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    return run_stage


def lay_out(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def refusal(run: Run, caplog: pytest.LogCaptureFixture, **category: Any) -> str:
    """The message of a run that must end with code 1 and leave nothing."""
    with pytest.raises(SystemExit) as stop:
        run(**category)
    assert stop.value.code == 1
    assert not Path("artifacts/download/part").exists()
    assert "Traceback" not in caplog.text
    return caplog.text


def test_sample_archive(run: Run) -> None:
    archive = REPOSITORY / "data" / "samples" / "loco_like.tar"
    files = run(key="pin_tray", source="sample", path=str(archive))
    with tarfile.open(archive) as tape:
        content = tape.extractfile("pin_tray/train/good/007.jpg")
        assert content is not None
        assert files["train/good/007.jpg"] == content.read()
    photos = [name for name in files if name.endswith(".jpg")]
    assert len(photos) == 160 + 40 + 180
    assert "defects_config.json" in files
    assert not any("juice" in name for name in files)


def test_one_kind_of_the_elpv_package(run: Run) -> None:
    files = run(source="elpv", path=str(REPOSITORY / "data" / "elpv.json"), kind="mono")
    rows = list(csv.DictReader(io.StringIO(files.pop("labels.csv").decode())))
    assert len(rows) == len(files) == 588 + 117 + 56 + 313  # images of kind mono by probability 0, 1/3, 2/3, 1
    assert {row["type"] for row in rows} == {"mono"}
    assert {row["filename"] for row in rows} == set(files)
    assert files[rows[0]["filename"]].startswith(b"\x89PNG")


def test_a_name_that_no_command_can_carry_is_refused(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    lay_out(Path("data"), "images/good/a.png")
    with pytest.raises(SystemExit) as stop:
        run(key="my part", source="folder", path="data")
    assert stop.value.code == 1
    assert "categories: the name 'my part' does not consist of" in caplog.text


def test_folder_is_copied_without_stray_files(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    lay_out(Path("my data"), "images/good/größe 1.png", "images/good/.DS_Store", "images/Thumbs.db", "masks/a.png")
    with caplog.at_level(logging.INFO):
        files = run(source="folder", path="my data")
    assert files == {"images/good/größe 1.png": "images/good/größe 1.png".encode(), "masks/a.png": b"masks/a.png"}
    assert "2 stray files ignored (.DS_Store, Thumbs.db)" in caplog.text
    assert "2 files of part" in caplog.text


def test_a_second_run_replaces_the_first(run: Run) -> None:
    lay_out(Path("data"), "images/good/1.png")
    run(source="folder", path="data")
    Path("data/images/good/1.png").rename("data/images/good/2.png")
    assert list(run(source="folder", path="data")) == ["images/good/2.png"]


def test_refused_archive_leaves_the_earlier_output(run: Run, tmp_path: Path) -> None:
    lay_out(Path("data"), "images/good/1.png")
    run(source="folder", path="data")
    Path("data/images/good/2.png").symlink_to("/etc/passwd")
    with pytest.raises(SystemExit):
        run(source="folder", path="data")
    left = [path.name for path in (tmp_path / "artifacts/download").rglob("*") if path.is_file()]
    assert left == ["1.png"]


@pytest.mark.parametrize(
    ("category", "message"),
    [
        ({"source": "folder", "path": "nowhere"}, "nowhere does not exist"),
        ({"source": "web", "path": "data"}, "source is 'web': expected one of `sample`"),
        ({"source": "folder", "path": "data", "resplit": True}, "resplit: unknown key"),
        ({"source": "folder", "path": "data", "ratios": [1, -1, 1]}, "ratios[1] is -1: expected integer from 0"),
        ({"source": "csv", "path": "data"}, "no folder holds 'labels.csv'"),
        ({"source": "mvtec", "path": "data", "subfolder": "bottle"}, "no folder 'bottle' that holds 'train'"),
    ],
)
def test_user_errors_end_with_code_1(
    run: Run, caplog: pytest.LogCaptureFixture, category: dict[str, Any], message: str
) -> None:
    lay_out(Path("data"), "images/good/1.png")
    assert message in refusal(run, caplog, **{"path": "", **category})


def test_too_little_space_on_the_disk(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    lay_out(Path("data"), "images/good/1.png")
    with Path("data/images/good/huge.png").open("wb") as file:
        file.truncate(1 << 43)  # 8.8 TB that take no space
    assert "artifacts/download/part needs 8796.1 GB" in refusal(run, caplog, source="folder", path="data")


LOCO = ("pin/train/good/1.png", "pin/components/train/good/1.png", "box/train/good/1.png", "readme.txt")


def test_category_root() -> None:
    def root(*names: str, key: str, subfolder: str | None = None) -> str:
        return category_root(names, marker="train", key=key, subfolder=subfolder)

    assert root(*LOCO, key="pin") == "pin"
    assert root(*LOCO, key="my_part", subfolder="box") == "box"
    assert root(*(f"wrapped/{name}" for name in LOCO), key="box") == "wrapped/box"
    assert root("train/good/1.png", "test/good/1.png", key="anything") == ""
    assert root("bottle/train/good/1.png", key="my_bottle") == "bottle"


def test_unclear_category_root_lists_the_candidates() -> None:
    with pytest.raises(UserError, match=r"categories\.pni: several folders are possible.* `subfolder`: 'box', 'pin'"):
        category_root(LOCO, marker="train", key="pni", subfolder=None)
