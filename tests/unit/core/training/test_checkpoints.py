"""A training that was killed continues and ends with the weights and the curve of an uninterrupted one."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from stages.core.training.checkpoints import (
    FOLDER,
    checkpoint_file,
    load_checkpoint,
    remove_old_checkpoints,
    save_checkpoint,
)

TRAINING = """
import os, signal, sys
from pathlib import Path
import torch
from torch import nn
from stages.core.training import curve as training_curve
from stages.core.training import optimisation
from stages.core.training.curve import write_training_curve
from stages.core.training.checkpoints import checkpoint_file

optimisation.SECONDS_BETWEEN_CHECKPOINTS = 0.0
training_curve.POINTS = 4  # stretches of three iterations: some kills fall within one
result, killed_at = sys.argv[1], int(sys.argv[2])
torch.manual_seed(3)
generator = torch.Generator().manual_seed(4)
data = torch.randn(20, 6, generator=torch.Generator().manual_seed(5))
network = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1)).train()
calls = 0


def batches():
    step = 0
    while True:
        step += 1
        yield step, torch.randint(20, (4,), generator=generator)


def terms_of(batch):
    global calls
    step, rows = batch
    calls += 1
    if calls == killed_at:
        os.kill(os.getpid(), signal.SIGKILL)
    output = network(data[rows])
    terms = {"error": output.square().mean()}
    return {**terms, "size": output.abs().mean()} if step > 4 else terms


checkpoint = checkpoint_file("toy", tensors=[*network.state_dict().values(), data], settings={"iterations": 12})
curve = optimisation.optimise(
    network, batches(), terms_of, weights={"error": 1.0, "size": 0.5}, iterations=12,
    optimizer="adamw", schedule="one_cycle", learning_rate=0.1, weight_decay=0.01,
    label="toy", checkpoint=checkpoint,
)
torch.save({"state": network.state_dict(), "calls": calls}, result)
write_training_curve(Path(result).with_suffix(".csv"), curve)
"""


def train(folder: Path, name: str, *, killed_at: int) -> int:
    """Train in a process of its own and return its exit code."""
    script = folder / "train.py"
    script.write_text(textwrap.dedent(TRAINING), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    command = [sys.executable, str(script), str(folder / name), str(killed_at)]
    return subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True).returncode


@pytest.mark.slow
@pytest.mark.timeout(900)  # several processes, each importing torch, perhaps on a busy machine
def test_a_killed_training_ends_with_the_same_weights_and_curve(tmp_path: Path) -> None:
    assert train(tmp_path, "whole.pt", killed_at=0) == 0
    expected = torch.load(tmp_path / "whole.pt", weights_only=True)
    assert expected["calls"] == 12
    curve = (tmp_path / "whole.csv").read_bytes()
    assert [line.split(",")[0] for line in curve.decode().splitlines()] == ["step", "3", "4", "6", "9", "12"]
    for killed_at in (2, 7, 12):
        assert train(tmp_path, "resumed.pt", killed_at=killed_at) == -signal.SIGKILL
        assert len(list((tmp_path / FOLDER).glob("toy-*.pt"))) == 1
        assert train(tmp_path, "resumed.pt", killed_at=0) == 0
        resumed = torch.load(tmp_path / "resumed.pt", weights_only=True)
        assert resumed["calls"] == 12 - (killed_at - 1)  # it continued, it did not start again
        for name, tensor in expected["state"].items():
            assert torch.equal(tensor, resumed["state"][name]), name
        assert (tmp_path / "resumed.csv").read_bytes() == curve
        assert not list((tmp_path / FOLDER).glob("toy-*.pt"))  # what is done is not resumed


def test_another_input_has_another_checkpoint() -> None:
    weights, data = torch.zeros(3), torch.ones(2, 2, dtype=torch.float16)
    first = checkpoint_file("students", tensors=[weights, data, None], settings={"seed": 0})
    assert first == checkpoint_file("students", tensors=[weights.clone(), data.clone(), None], settings={"seed": 0})
    others = [
        checkpoint_file("students", tensors=[weights, data, None], settings={"seed": 1}),
        checkpoint_file("students", tensors=[weights + 1e-6, data, None], settings={"seed": 0}),
        checkpoint_file("students", tensors=[weights, data.flatten(), None], settings={"seed": 0}),
        checkpoint_file("students", tensors=[weights, data], settings={"seed": 0}),
    ]
    assert len({first, *others}) == 5


def test_a_damaged_checkpoint_is_named_and_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "toy.pt"
    assert load_checkpoint(path) is None
    save_checkpoint(path, {"done": 3})
    assert load_checkpoint(path) == {"done": 3}
    path.write_bytes(path.read_bytes()[:100])
    with caplog.at_level(logging.WARNING):
        assert load_checkpoint(path) is None
    assert str(path) in caplog.text


def test_only_checkpoints_of_the_last_week_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("old.pt", "new.pt"):
        save_checkpoint(FOLDER / name, {"done": 1})
    os.utime(FOLDER / "old.pt", times=(time.time() - 8 * 24 * 3600,) * 2)
    remove_old_checkpoints()
    assert [path.name for path in FOLDER.glob("*")] == ["new.pt"]
