"""Training curves by hand: means of stretches, phases, and nothing that the training would notice."""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from stages.aecsad.segmentation.training import named_phases, untrained_curve
from stages.core.training import curve as training_curve
from stages.core.training.curve import TrainingCurve, write_training_curve
from stages.core.training.optimisation import optimise


def record(curve: TrainingCurve, *rows: dict[str, float], first: int = 1) -> None:
    """Add terms as tensors of a graph, from iteration `first` on."""
    for step, row in enumerate(rows, start=first):
        curve.add(step, {name: torch.tensor(value, requires_grad=True) for name, value in row.items()})


def test_means_of_stretches_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_curve, "POINTS", 3)
    curve = TrainingCurve({"a": 2.0, "b": 0.5}, iterations=5)  # stretches of two iterations, the last one of one
    record(curve, *({"a": float(value), "b": 10.0 * value} for value in (1, 3, 4, 5, 7)))
    table = curve.table()
    assert list(table.columns) == ["step", "loss", "a", "b"]
    assert table["step"].tolist() == [2, 4, 5]
    assert table["a"].tolist() == [2.0, 4.5, 7.0]
    assert table["loss"].tolist() == [2 * 2 + 10.0, 2 * 4.5 + 22.5, 2 * 7 + 35.0]


def test_no_mean_mixes_two_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_curve, "POINTS", 2)
    curve = TrainingCurve({"a": 1.0, "b": 1.0}, iterations=8)
    record(curve, {"a": 1.0}, {"a": 2.0}, {"a": 6.0}, {"a": 4.0, "b": 1.0}, *[{"a": 0.0, "b": 3.0}] * 4)
    table = curve.table()
    assert table["step"].tolist() == [3, 4, 8]
    assert table["a"].tolist() == [3.0, 4.0, 0.0]
    assert table["b"].tolist()[1:] == [1.0, 3.0]
    assert np.isnan(table["b"][0])
    assert table["loss"].tolist() == [3.0, 5.0, 3.0]


def test_a_curve_has_at_most_a_hundred_points() -> None:
    for iterations in (1, 99, 100, 101, 5000):
        curve = TrainingCurve({"a": 1.0}, iterations=iterations)
        record(curve, *[{"a": 1.0}] * iterations)
        steps = curve.table()["step"].tolist()
        assert min(iterations, 50) <= len(steps) <= 100
        assert steps[-1] == iterations


def test_a_restored_curve_continues_within_a_stretch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_curve, "POINTS", 2)
    values = [{"a": float(value)} for value in (1, 2, 4, 8, 16, 32)]
    whole, broken, resumed = (TrainingCurve({"a": 1.0}, iterations=6) for _ in range(3))
    record(whole, *values)
    record(broken, *values[:5])
    state = copy.deepcopy(broken.state_dict())
    record(broken, *values[5:], first=6)  # what the killed run still did must not reach the state
    resumed.load_state_dict(state)
    record(resumed, *values[5:], first=6)
    pd.testing.assert_frame_equal(resumed.table(), whole.table())
    pd.testing.assert_frame_equal(broken.table(), whole.table())


def test_the_trained_weights_do_not_know_of_the_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train() -> dict[str, Tensor]:
        torch.manual_seed(1)
        network = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 1))

        def batches() -> Iterator[Tensor]:
            while True:
                yield torch.randn(8, 4)

        optimise(
            network, batches(), lambda batch: {"error": network(batch).square().mean()}, weights={"error": 1.0},
            iterations=25, optimizer="adamw", schedule="one_cycle", learning_rate=0.1, weight_decay=0.01, label="toy",
            checkpoint=tmp_path / "none.pt",
        )  # fmt: skip
        return network.state_dict()

    monkeypatch.chdir(tmp_path)
    recorded = train()
    monkeypatch.setattr(TrainingCurve, "add", lambda self, step, terms: None)
    assert all(torch.equal(tensor, recorded[name]) for name, tensor in train().items())


def test_the_file_is_small_and_says_which_phase(tmp_path: Path) -> None:
    curve = TrainingCurve(dict.fromkeys(("cross_entropy", "histogram"), 1.0), iterations=2)
    record(curve, {"cross_entropy": 1 / 3}, {"cross_entropy": 0.25, "histogram": 2.0})
    write_training_curve(tmp_path / "curve.csv", named_phases(curve.table()))
    assert (tmp_path / "curve.csv").read_text(encoding="utf-8") == (
        "step,phase,loss,cross_entropy,histogram\n1,supervised,0.333333,0.333333,\n2,all images,2.25,0.25,2\n"
    )


def test_where_nothing_is_trained_the_file_has_its_header(tmp_path: Path) -> None:
    write_training_curve(tmp_path / "curve.csv", untrained_curve())
    header = "step,phase,loss,cross_entropy,focal,dice,histogram,entropy\n"
    assert (tmp_path / "curve.csv").read_text(encoding="utf-8") == header
