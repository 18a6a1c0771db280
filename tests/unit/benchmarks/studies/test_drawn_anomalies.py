"""Anomalies of drawn products: what is missing, added, exchanged or misplaced, and nothing else."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.studies import drawn_anomalies
from benchmarks.studies.canvas import SIDE, Canvas, Part, box, classes_of
from benchmarks.studies.drawings import PRODUCTS
from benchmarks.studies.drawn_anomalies import DISTANCES, KINDS, VISIBLE, pieces_of, spoil, write_product

pytestmark = pytest.mark.study
PLATE, SQUARE, DOT = 1, 2, 3


def toy(draw: np.random.Generator) -> Canvas:
    """A large plate, on which there are a square with a dot in it, and a bar of another class."""
    canvas = Canvas((100, 100, 100), draw)
    canvas.part(canvas.everywhere, (100, 100, 100), 0, grain=1, cell=0.1)
    canvas.part(canvas.mask(np.array(box(0.05, 0.05, 0.95, 0.95))), (50, 50, 50), PLATE, grain=1, cell=0.1)
    square = canvas.mask(np.array(box(0.4, 0.4, 0.6, 0.6)))
    canvas.shadow(square, right=0.01, down=0.01, depth=0.3)
    canvas.part(square, (200, 60, 60), SQUARE, grain=1, cell=0.1)
    canvas.part(canvas.mask(np.array(box(0.48, 0.48, 0.52, 0.52))), (60, 60, 200), DOT, grain=1, cell=0.1)
    canvas.part(canvas.mask(np.array(box(0.2, 0.75, 0.3, 0.85))), (60, 200, 60), 4, grain=1, cell=0.1)
    return canvas


def test_a_piece_is_a_part_with_its_shadow_and_what_lies_on_it() -> None:
    assert [(piece.number, piece.rows) for piece in pieces_of(toy(np.random.default_rng(0)).layers)] == [
        (SQUARE, (2, 3, 4)),  # the dot of 0.16 % is too small to be one by itself, the plate too large
        (4, (5,)),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_what_each_kind_changes(kind: str) -> None:
    layers = toy(np.random.default_rng(0)).layers
    before = np.bincount(classes_of(layers).ravel(), minlength=5)
    seen = set()
    for seed in range(12):
        changed = spoil(layers, kind, np.random.default_rng(seed))
        assert changed is not None
        after = np.bincount(classes_of(changed).ravel(), minlength=5)
        seen.add(tuple((after[2:] > 0).astype(int)))
        assert (classes_of(changed) != classes_of(layers)).mean() >= VISIBLE
        if kind == "missing":
            assert len(changed) < len(layers)
            assert (after[2:] <= before[2:]).all()
        if kind == "extra":
            assert changed[: len(layers)] == layers
        if kind == "misplaced":
            original = next(layer for layer in layers if isinstance(layer, Part) and layer.number == changed[-1].number)
            distance = np.hypot(*np.subtract(middle(changed[-1].mask), middle(original.mask)))
            assert len(changed) == len(layers)
            assert DISTANCES[0] - 0.01 < distance < DISTANCES[1] + 0.01
    lost = {"missing": {(0, 0, 1), (1, 1, 0)}, "exchanged": {(0, 0, 1), (1, 1, 0)}}
    if kind in lost:  # the square takes its dot with it
        assert seen == lost[kind]


def middle(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return rows.mean() / SIDE, columns.mean() / SIDE


def test_nothing_is_an_anomaly_of_a_product_without_parts() -> None:
    canvas = Canvas((100, 100, 100), np.random.default_rng(0))
    canvas.part(canvas.everywhere, (100, 100, 100), 0, grain=1, cell=0.1)
    assert [spoil(canvas.layers, kind, np.random.default_rng(0)) for kind in KINDS] == [None] * 4


def test_all_kinds_are_possible_on_every_drawn_product() -> None:
    lacking = []
    for name, product in PRODUCTS.items():
        layers = product(np.random.default_rng(0)).layers
        lacking += [(name, kind) for kind in KINDS if spoil(layers, kind, np.random.default_rng(1)) is None]
    assert lacking == []


def test_a_product_is_written_as_mvtec_loco_and_each_seed_has_other_photographs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn_anomalies, "COUNTS", {"train/good": 2, "validation/good": 1, "test/good": 1})
    monkeypatch.setattr(drawn_anomalies, "ANOMALIES", 5)
    for seed in (0, 1):
        write_product(tmp_path / str(seed), toy, seed=seed)
    found = {path.relative_to(tmp_path / "0").as_posix() for path in (tmp_path / "0").rglob("*.png")}
    assert found == {
        "train/good/000.png", "train/good/001.png", "validation/good/000.png", "test/good/000.png",
        "test/logical_anomalies/missing_000.png", "test/logical_anomalies/extra_001.png",
        "test/logical_anomalies/exchanged_002.png", "test/logical_anomalies/misplaced_003.png",
        "test/logical_anomalies/missing_004.png",
    }  # fmt: skip
    pictures = [cv2.imread(str(path)) for path in sorted(tmp_path.rglob("*/good/*.png"))]
    assert len({picture.tobytes() for picture in pictures}) == 8
