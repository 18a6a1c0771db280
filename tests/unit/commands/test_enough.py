"""`oddpart enough`: what it judges by, what it says, and what it refuses."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from commands.app import app
from commands.enough.curve import Curve, Features, Repetition, bank_sizes, judge
from commands.enough.pictures import HeldOut, find_normals
from commands.enough.verdict import in_words, last_gain, tabulate
from stages.core.images.aspect import write_aspect
from stages.core.io.tables import image_files, write_images
from stages.patchcore.params import PatchcoreParams
from tests.params_files import write_params

INPUTS = Path("artifacts/split/part/inputs")
EVALUATION = {
    "false_alarm_budget": 0.05, "aupro_max_false_positive_rate": 0.3, "spro_max_false_positive_rates": [1.0],
    "confidence": 0.95, "bootstrap_resamples": 10, "unsure_confidence": 0.9,
}  # fmt: skip
PARAMS = {
    "profile": "embedded",
    "seed": 0,
    "categories": {"part": {}, "bar": {}},
    "split": {"ratios": [70, 15, 15], "rotate_up_to": 0},
    "evaluation": EVALUATION,
    "near_duplicates": {"hash_distance": 6, "pixel_difference": 3.0},
    "profiles": {
        "embedded": {
            "encoder": {"name": "tf_efficientnet_lite0", "image_size": 64},
            "patchcore": {"strides": [8, 16], "coreset_ratio": 0.1, "projection_dimensions": 16, "neighbours": 9},
        }
    },
}


@pytest.fixture(autouse=True)
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("commands.enough.curve.COPIES", 40)  # for speed
    monkeypatch.setattr("commands.enough.curve.DRAWS", 2)
    write_params(tmp_path, PARAMS)


def pictures(folder: Path, count: int, *, start: int = 0, deep: bool = False) -> list[str]:
    """Save pictures of blocks at random, each another one; return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for number in range(start, start + count):
        blocks = np.random.default_rng(number).integers(60, 200, (8, 8)).repeat(8, axis=0).repeat(8, axis=1)
        picture = Image.fromarray((blocks * 16).astype(np.uint16) if deep else blocks.astype(np.uint8))
        picture.save(folder / f"{number:03}.png")
        names.append(f"{number:03}.png")
    return names


def split_into(train: int, validation: int) -> None:
    """Write a product's split; its test pictures are none, so that reading one would fail."""
    files = pictures(image_files(INPUTS), train + validation)
    splits = ["train"] * train + ["validation"] * validation
    for name in ("test.png", "aside.png"):
        (image_files(INPUTS) / name).write_bytes(b"not to be read")
    table = pd.DataFrame({"image_id": files, "file": files, "split": splits})
    table.loc[len(table)] = ["x", "test.png", "test"]
    table.loc[len(table)] = ["y", "aside.png", "validation_anomalous"]
    write_images(INPUTS, table)


def enough(*words: str) -> dict[str, Any]:
    """What the verb prints as JSON."""
    done = CliRunner().invoke(app, ["enough", *words, "--json"])
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def test_a_product_with_enough_validation_pictures_keeps_them_apart() -> None:
    split_into(16, 20)
    found = enough("part")
    assert (found["held_out"], found["in_turns"], found["defects"]) == (20, False, 40)
    rows = {row["pictures"]: row for row in found["rows"]}
    assert list(rows) == [5, 10, 16]
    assert rows[16]["half_range"] is None
    assert rows[5]["half_range"] is not None
    assert [row["validation"] for row in found["rows"]] == [6, 13, 20]
    assert rows[5]["attainable_false_alarm_rate"] == pytest.approx(1 / 7)
    assert all(0 < row["found"] < 1 for row in found["rows"])
    assert found["verdict"].endswith("False alarms can be kept to 5 %.")
    table = CliRunner().invoke(app, ["enough", "part"]).stdout
    assert "part: 20 pictures held out, 40 synthetic defects" in " ".join(table.split())
    assert found["verdict"] == " ".join(table.rsplit("\n\n", 1)[1].split("\n")).strip()


def test_a_product_with_few_takes_turns() -> None:
    split_into(14, 3)
    found = enough("part")
    assert (found["held_out"], found["in_turns"]) == (17, True)
    assert [row["pictures"] for row in found["rows"]] == [5, 13]
    assert "False alarms can be kept to 25 %: the split sets 3 normal pictures aside" in found["verdict"]
    assert "5 % takes 19, about 89 to learn from at the same split." in found["verdict"]


def test_where_validation_rotates_all_pictures_make_the_threshold() -> None:
    """Of 5 pictures to learn from the split has 1 of validation; 4 are the fewest that make folds."""
    split_into(14, 3)
    write_params(Path(), {**PARAMS, "split": {"ratios": [70, 15, 15], "rotate_up_to": 17}})
    found = enough("part")
    assert [row["validation"] for row in found["rows"]] == [5 + 1, 13 + 3]
    assert found["rows"][1]["attainable_false_alarm_rate"] == pytest.approx(1 / 17)
    words = "False alarms can be kept to about 6 %: the split holds 17 normal pictures out in turns for the threshold"
    assert f"{words}, and 5 % takes 19, about 16 to learn from at the same split." in found["verdict"]
    curve = curve_of({10: [0.5], 20: [0.5]})
    split = {"training": 20, "validation": 4, "rotate_up_to": 40}
    rows = tabulate(curve, budget=0.05, **split)
    last = in_words(rows, last_gain(curve, budget=0.05, seed=0), budget=0.05, **split)[1]
    assert last == "False alarms can be kept to about 5 %, as all pictures to learn from are held out in turns."


@pytest.mark.parametrize("validation", [3, 20])
def test_a_product_keeps_the_aspect_ratio_of_its_split_and_a_folder_that_of_its_pictures(validation: int) -> None:
    split_into(14, validation)
    write_aspect(INPUTS, 2.5)  # another one than its pictures have
    assert find_normals("part", budget=0.05, seed=0).aspect == 2.5
    for name in pictures(Path("new"), 12, start=50):
        with Image.open(Path("new", name)) as picture:
            picture.resize((30, 90)).save(Path("new", name))
    assert find_normals("new", budget=0.05, seed=0).aspect == pytest.approx(1 / 3)


def test_every_picture_is_judged_once_by_others_and_never_by_its_copy() -> None:
    split_into(14, 3)
    twins = [image_files(INPUTS) / f"{number:03}.png" for number in (2, 15)]
    twins[1].write_bytes(twins[0].read_bytes())
    normals = find_normals("part", budget=0.05, seed=0)
    assert len(normals.rotations) == 3
    for rotation in normals.rotations:
        assert sorted(np.concatenate([part.held_out for part in rotation])) == list(range(17))
        for part in rotation:
            assert not set(part.held_out) & set(part.learned)
            assert (2 in part.held_out) == (15 in part.held_out)
            assert len(part.held_out) in (3, 4)
    assert normals.rotations[0][0].held_out.tolist() != normals.rotations[1][0].held_out.tolist()


def test_a_folder_that_is_no_product_yet() -> None:
    names = pictures(Path("new/images/good"), 12, deep=True)
    Path("new/images/good/.DS_Store").write_bytes(b"x")
    Path("new/images/defect").mkdir()
    Path("new/images/defect/a.png").write_bytes(b"not to be read")
    found = enough("new")
    assert (found["product"], found["held_out"]) == ("new", len(names))
    Path("new/images/good/000.png").rename("new/images/good/000")  # what a file is stands in its content
    Path("new/images/good/notes.png").write_text("no picture")
    direct = find_normals("new/images/good", budget=0.05, seed=0)
    assert [path.name for path in direct.files] == ["000", *names[1:]]


def test_what_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    pictures(Path("nine"), 9)
    pictures(Path("cut"), 12)
    Path("cut/a.png").write_bytes(Path("cut/000.png").read_bytes()[:100])
    for number in range(12):
        pictures(Path("same"), 1)
        Path("same/000.png").rename(f"same/copy{number}.png")
    Path("empty").mkdir()
    pictures(Path("phone"), 12)
    Path("phone/a.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    for name, message in (
        ("screw", "screw: params.yaml has no such product (known: part, bar), and there is no such folder"),
        ("bar", "bar has not been split, artifacts/split/bar/inputs is missing: run `dvc repro split@bar`"),
        ("nine", "nine has 9 normal pictures: 10 are the least"),
        ("cut", "a.png: is unreadable, truncated or damaged"),
        ("same", "same: its 12 pictures are copies of 1: add other ones"),
        ("phone", "is of kind HEIC or AVIF, which is not read: convert it to PNG or JPEG"),
        ("empty", "empty: no picture in it and none in empty/images/good"),
    ):
        caplog.clear()
        done = CliRunner().invoke(app, ["enough", name])
        assert (done.exit_code, done.stdout) == (1, ""), name
        assert message in caplog.text
        assert "Traceback" not in caplog.text


def test_only_the_pictures_to_learn_from_fill_the_bank() -> None:
    normal = {number: torch.full((2, 2, 3), float(number)) for number in range(12)}
    features = Features(normal, {number: [normal[number] + 0.5] for number in (10, 11)})
    settings = PatchcoreParams(strides=(8,), coreset_ratio=1.0, projection_dimensions=3, neighbours=0)
    drawn: dict[str, Any] = {"generator": torch.Generator(), "random": np.random.default_rng(0)}
    part = HeldOut(np.array([2, 4, 6]), np.array([11, 10]))
    scores, defects = judge(part, 3, features, settings, **drawn)
    assert scores / 3**0.5 == pytest.approx([5.0, 4.0])
    assert defects / 3**0.5 == pytest.approx(np.array([[5.5], [4.5]]))
    nearest = {round(float(judge(part, 1, features, settings, **drawn)[0][0] / 3**0.5)) for _ in range(20)}
    assert nearest == {5, 7, 9}  # one picture at a time, each of the three at some time


def test_sizes_of_banks() -> None:
    assert bank_sizes(8) == [5, 8]
    assert bank_sizes(14) == [5, 14]
    assert bank_sizes(15) == [5, 10, 15]
    assert bank_sizes(160) == [5, 10, 20, 40, 80, 160]


def curve_of(shares: dict[int, Sequence[float]]) -> Curve:
    """A curve of 100 pictures with a defect each, of which these shares lie above all normal scores."""

    def scores(share: float) -> Repetition:
        order = np.random.default_rng(1).permutation(100)
        return Repetition(np.zeros(100), np.where(order < 100 * share, 1.0, -1.0)[:, None])

    return {size: [scores(share) for share in found] for size, found in shares.items()}


@pytest.mark.parametrize(
    ("few", "many", "answer", "words"),
    [
        ([0.38, 0.42], [0.8], "will help", "40 % of the synthetic defects are found, with 20 80 %: more pictures will"),
        ([0.8, 0.8], [0.8], "will hardly help", "with 20 80 %: more pictures will hardly help."),
        ([0.4, 0.8], [0.7], "not clear", "is not clear, the difference may be -2"),
        ([0.95, 0.95], [0.5], "will hardly help", "will hardly help"),
    ],
)
def test_the_verdict(few: list[float], many: list[float], answer: str, words: str) -> None:
    curve = curve_of({10: few, 20: many})
    rows = tabulate(curve, budget=0.05, training=20, validation=4, rotate_up_to=0)
    assert [row.found for row in rows] == pytest.approx([np.mean(few), many[0]])
    assert rows[0].half_range == pytest.approx((max(few) - min(few)) / 2)
    assert [row.validation for row in rows] == [2, 4]
    assert [row.attainable_false_alarm_rate for row in rows] == pytest.approx([1 / 3, 1 / 5])
    gain = last_gain(curve, budget=0.05, seed=0)
    assert gain.answer == answer
    assert words in in_words(rows, gain, budget=0.05, training=20, validation=4, rotate_up_to=0)[0]


def test_without_validation_pictures_no_rate_is_promised() -> None:
    curve = curve_of({5: [0.5], 8: [0.5]})
    split = {"training": 8, "validation": 0, "rotate_up_to": 40}
    rows = tabulate(curve, budget=0.01, **split)
    assert [row.attainable_false_alarm_rate for row in rows] == [None, None]
    last = in_words(rows, last_gain(curve, budget=0.01, seed=0), budget=0.01, **split)[1]
    assert last == (
        "False alarms cannot be limited: the split sets 0 normal pictures aside for the threshold, and 1 % takes 99."
    )
