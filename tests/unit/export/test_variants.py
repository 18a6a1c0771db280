"""Variants in lower precision: their own verdicts, what was measured, and that one that differs too much is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

import oddpart
from stages.core.io.tables import read_images
from stages.core.io.thresholds import conformal_threshold
from stages.core.runtime.fusion import Fusion
from stages.core.runtime.verifying import verify
from stages.export import eight_bits
from stages.export.edits import edit
from stages.export.eight_bits import quantised
from stages.export.measuring import Found, Measured
from stages.export.precision import with_half_weights
from stages.export.variants import Pictures, baseline_of, export_variant, refitted, refusal
from tests.params_files import change_params
from tests.unit.commands.predict.case import INPUTS
from tests.unit.export.conftest import Exported, export


@pytest.fixture
def pictures(exported: Exported) -> Pictures:
    return Pictures(read_images(INPUTS), INPUTS / "images")


@pytest.fixture
def few_first_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep two of the first layers in 32 bits: test_eight_bits.py asks how many are needed."""
    monkeypatch.setattr(eight_bits, "FIRST", (2,))


def measured_as(after: dict[str, float]) -> Measured:
    """An AUROC of 80 before, of 30 normal pictures and 40 of each kind."""
    return Measured(dict.fromkeys(after, 80.0), after, dict.fromkeys(after, 0.1), 30, dict.fromkeys(after, 40))


@pytest.mark.parametrize("kind", ["fp16", pytest.param("int8", marks=pytest.mark.slow)])
def test_a_variant_judges_by_its_own_scores(exported: Exported, pictures: Pictures, tmp_path: Path, kind: str) -> None:
    """Whatever its AUROC is, its threshold and p-values are those of its scores of the validation images."""
    baseline = baseline_of(exported.bundles / "oddpart", pictures)
    for name in ("one", "two"):
        measured = export_variant(baseline, tmp_path / name, kind, confidence=0.9)  # type: ignore[arg-type]
    contents = [
        {path.name: path.read_bytes() for path in sorted((tmp_path / name).rglob("*")) if path.is_file()}
        for name in ("one", "two")
    ]
    assert contents[0] == contents[1]
    variant, before = oddpart.load(tmp_path / "one"), baseline.bundle
    rows = pictures.images[pictures.images["split"] == "validation"]
    scores = np.array([variant.predict(pictures.folder / file).score for file in rows["file"]])
    budget = before.calibration.threshold.false_alarm_budget
    assert variant.calibration.threshold == conformal_threshold(scores, budget=budget)
    assert variant.calibration.sureness is not None
    assert variant.calibration.sureness.normal == tuple(sorted(scores))
    assert variant.fusion != before.fusion
    about = variant.manifest["variant"]
    assert (about["kind"], about["normals"]) == (kind, len(rows))
    assert about["image_auroc"] == measured.after
    assert set(measured.before) == {"defects", "edits"}
    assert list(verify(variant))
    size = sum(path.stat().st_size for path in (tmp_path / "one").glob("*.onnx"))
    assert size < 0.75 * sum(path.stat().st_size for path in before.path.glob("*.onnx"))


@pytest.mark.usefixtures("few_first_layers")
def test_the_stage_writes_what_holds_and_refuses_the_rest(
    exported: Exported, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.export.__main__.methods_of", lambda category: ["patchcore"])
    found = {"fp16": measured_as({"defects": 80.1}), "int8": measured_as({"defects": 79.6})}
    real = export_variant

    def measured(baseline: object, target: Path, kind: str, *, confidence: float) -> Measured:
        real(baseline, target, kind, confidence=confidence)  # type: ignore[arg-type]
        return found[kind]

    monkeypatch.setattr("stages.export.exporting.export_variant", measured)
    params = (exported.root / "params.yaml").read_bytes()
    try:
        change_params(exported.root, {"export": {"categories": {"part": {"variants": ["fp16", "int8"]}}}})
        export(bundles="variants")
    finally:
        (exported.root / "params.yaml").write_bytes(params)
    assert sorted(path.name for path in Path("variants").iterdir()) == ["patchcore", "patchcore-fp16", "refused.json"]
    assert json.loads(Path("variants/refused.json").read_text())["patchcore-int8"]["image_auroc"] == {"defects": 79.6}
    text = caplog.text.replace("\n", " ")
    assert "int8 changes the image AUROC by up to 0.40 points, more than 0.3: defects 80.00 to 79.60 (-0.40, " in text
    assert "standard error 0.10, " in text
    assert "40 pictures), against 30 normal ones" in text


def test_the_largest_change_decides() -> None:
    measured = measured_as({"defects": 80.1, "edits": 79.5})
    assert not measured.holds
    assert measured.largest == pytest.approx(0.5)
    assert "the variant int8 changes the image AUROC by up to 0.50 points" in refusal("int8", "oddpart", measured)


def test_held_out_training_images_do_not_calibrate_a_variant(exported: Exported) -> None:
    """Rows of turns, whose networks are in no bundle, are excluded; the others keep the weights without themselves."""
    fusion = oddpart.load(exported.bundles / "oddpart").fusion
    assert fusion is not None
    first = {name: np.array(values)[[5, 2, 0]] for name, values in fusion.normal.items()}
    found = refitted(fusion, {name: values * 1.5 for name, values in first.items()}, first)
    assert {len(values) for values in found.normal.values()} == {3}
    if fusion.without is not None:
        assert found.without is not None
        for name, values in fusion.without.branches.items():
            assert found.without.branches[name] == tuple(np.array(values)[[5, 2, 0]])
    assert Fusion.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_parts_are_cut_out_and_pasted() -> None:
    picture = np.full((64, 96, 3), 50, dtype=np.uint8)
    labels = np.zeros((32, 32), dtype=np.uint8)
    labels[4:12, 4:12] = 1
    picture[8:24, 12:36] = 200
    cut, twice = edit(picture, labels, number=0), edit(picture, labels, number=1)
    assert cut is not None
    assert twice is not None
    assert cut.max() < 60
    assert (twice[8:24, 12:36] == 200).all()
    assert (twice[40:56, 12:36] == 200).all()
    assert edit(picture, np.zeros_like(labels), number=0) is None


@pytest.mark.usefixtures("few_first_layers")
def test_half_weights_and_eight_bits_of_one_graph(exported: Exported) -> None:
    bundle = oddpart.load(exported.bundles / "patchcore", threads=1)
    graph = (bundle.path / "encoder-256x256.onnx").read_bytes()
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    rows = [{"image": bundle.encode(picture, (256, 256))["image"]}]
    half, eight = with_half_weights(graph), quantised(graph, rows)
    assert len(half) < 0.6 * len(graph)
    assert len(eight) < 0.4 * len(graph)
    assert with_half_weights(graph) == half
    assert quantised(graph, rows) == eight


def test_a_change_is_no_smaller_than_few_pictures_can_show() -> None:
    """Five pictures against five: nothing changed places, which says nothing of 0.3 points."""
    before = Found(np.arange(5.0), {"defects": np.arange(5.0) + 2.5})
    measured = Measured.of(before, before)
    assert (measured.largest, measured.step, measured.holds) == (0.0, 4.0, False)
    assert measured.as_json()["anomalous_pictures"] == {"defects": 5}
    said = refusal("fp16", "oddpart", measured)
    assert "cannot be seen in 5 validation images, where the image AUROC moves in steps of 4.00: add normal" in said
    many = Found(np.arange(20.0), {"defects": np.arange(20.0) + 2.5})
    assert Measured.of(many, many).holds


def test_the_standard_error_is_that_of_the_differences() -> None:
    """By hand: of 2 x 2 pairs one changes places, that of the second normal and the first odd picture."""
    before = Found(np.array([0.0, 1.0]), {"defects": np.array([2.0, 3.0])})
    after = Found(np.array([0.0, 2.5]), {"defects": np.array([2.0, 3.0])})
    measured = Measured.of(before, after)
    assert measured.changes == {"defects": -25.0}
    # V10 changes by -1/2 and 0, V01 by 0 and -1/2: each has the variance 1/8, divided by 2 pictures
    assert measured.errors == {"defects": pytest.approx(100 * (1 / 8) ** 0.5, abs=1e-3)}


def test_what_nothing_was_measured_by_is_refused() -> None:
    measured = measured_as({})
    assert not measured.holds
    assert "no synthetic defect to measure it by" in refusal("fp16", "oddpart", measured)
