"""Numbers of parts: what is one too few or too many is seen, worked out by hand and on drawn kits."""

from pathlib import Path

import numpy as np
import pytest

from stages.aecsad.model.part_numbers import (
    KindClassifier,
    PartAreas,
    fit_part_model,
    part_distances,
    part_model_arrays,
    read_findings,
    read_part_areas,
    read_part_model,
    write_findings,
    write_part_areas,
)
from stages.aecsad.model.patch_histogram import read_histogram_models, write_histogram_models
from stages.core.run.errors import UserError
from stages.core.runtime.counting import NumberFinding, number_findings

DISC, BAR = np.array([0.02, 0.0, 0.0]), np.array([0.0, 0.02, 0.0])  # the third kind is light, which no part moves
CLASSIFIER = KindClassifier(np.ones((2, 4), np.float32), np.zeros(4, np.float32))


def kits(count: int, *, discs: float = 2, bars: float = 1, light: float = 0.0) -> np.ndarray:
    """Areas of so many kits, each part's area known to a tenth."""
    random = np.random.default_rng(count)
    noise = random.normal(0, 0.002, (count, 3)) + random.normal(0, 0.05, (count, 1)) * (0, 0, 1)
    return discs * DISC + bars * BAR + noise + (0, 0, light)


def parts_of(areas: np.ndarray) -> PartAreas:
    shifts, kinds = np.stack([DISC, DISC, BAR, DISC]), np.array([0, 0, 1, 2])
    shifts[3] *= 0  # a kind of which nothing is left
    ids = tuple(str(number) for number in range(len(areas)))
    return PartAreas(ids, areas, areas[:2], CLASSIFIER, shifts, kinds, np.array([4, 7, 0]))


def test_the_distance_by_hand() -> None:
    areas = np.array([[1.0], [3.0]])  # mean 2, variance 2
    parts = PartAreas(("a", "b"), areas, areas, CLASSIFIER, np.array([[2.0]]), np.array([0]), np.array([1]))
    model = fit_part_model(parts, areas)
    moved = 2.0**2 / 2  # M, of a shift of 2 in units of the variance
    assert part_distances(model, np.array([[5.0]]))[0] == pytest.approx(3 / np.sqrt(2) * np.sqrt(moved / (1 + moved)))


def test_a_missing_an_extra_and_an_exchanged_part_are_farther_than_any_normal_kit() -> None:
    model = fit_part_model(parts_of(kits(60)), kits(60))
    normal = part_distances(model, kits(50)).max()
    for changed in (kits(20, discs=1), kits(20, discs=3), kits(20, bars=0), kits(20, discs=1, bars=2)):
        assert part_distances(model, changed).min() > 1.5 * normal


def test_what_no_part_moves_weighs_nothing() -> None:
    model = fit_part_model(parts_of(kits(60)), kits(60))
    dark, bright = (part_distances(model, kits(20, light=light)) for light in (0.0, 1.0))
    assert bright.max() < 2 * dark.max()  # light is 20 standard deviations off
    assert part_distances(model, kits(20, discs=1)).min() > 2 * dark.max()


def test_findings_name_the_part_and_the_number() -> None:
    model = fit_part_model(parts_of(kits(60)), kits(60))

    def found(**changes: float) -> list[tuple[int, int]]:
        areas = kits(500, **changes).mean(axis=0)
        return [(one.component, round(one.number)) for one in number_findings(model.numbers, areas)]

    assert found() == []
    assert found(discs=1) == [(4, -1)]
    assert found(bars=3) == [(7, 2)]
    assert sorted(found(discs=1, bars=2)) == [(4, -1), (7, 1)]


def test_a_distance_does_not_depend_on_other_images() -> None:
    model = fit_part_model(parts_of(kits(60)), kits(60))
    rows = kits(7)
    alone = [part_distances(model, row[None])[0] for row in rows]
    assert part_distances(model, rows).tolist() == alone


def test_kinds_that_never_vary_give_finite_distances() -> None:
    areas = np.full((5, 3), 0.1)
    model = fit_part_model(parts_of(areas), areas)
    assert part_distances(model, areas + DISC).tolist() == [0.0] * 5


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    parts = parts_of(kits(9))
    write_part_areas(tmp_path, parts, fold=0)
    again = read_part_areas(tmp_path, [0])[0]
    assert again.image_ids == parts.image_ids
    model, file = fit_part_model(again, kits(9)), tmp_path / "model.npz"
    write_histogram_models(file, [], made_from={"segmentation": "5e6"}, **part_model_arrays(model))
    read = read_part_model(file)
    assert read is not None and read_histogram_models(file) == []
    assert part_distances(read, parts.edited).tolist() == part_distances(model, parts.edited).tolist()
    assert number_findings(read.numbers, kits(1, discs=0)[0]) == number_findings(model.numbers, kits(1, discs=0)[0])
    write_histogram_models(file, [], made_from={"segmentation": "5e6"}, **part_model_arrays(None))
    assert read_part_model(file) is None
    findings = {"a": [NumberFinding(1, -1.0, 3.5)], "b": []}
    write_findings(tmp_path, findings)
    assert read_findings(tmp_path) == findings
    (tmp_path / "part_findings.json").write_text("{")
    with pytest.raises(UserError, match=r"part_findings.json: no readable findings .*: delete it and run `dvc repro`"):
        read_findings(tmp_path)
