"""Networks that cannot be exported: the scores stay right, and who needs a graph later hears what failed."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from stages.core.encoder.scorer import GRAPH, read_scorer, write_scorer
from stages.core.io.result import SCORER
from stages.core.run.errors import UserError
from stages.export.recipes import Roots, files_of


class Odd(nn.Module):
    """A network with an operation that no graph has."""

    inputs, outputs = ("image",), ("score", "map")

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError("aten::odd has no translation")


def test_what_could_not_be_exported_is_said_when_it_is_needed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    result = tmp_path / "scores/part/sir_odd"
    result.mkdir(parents=True)
    encoder = SimpleNamespace(mean=torch.zeros(3, 1, 1), std=torch.ones(3, 1, 1), name="tiny", stages=(1,))
    write_scorer(result, Odd(), encoder, size=(32, 32), grey_range=None, settings={})  # type: ignore[arg-type]
    assert "the networks cannot be exported: " in caplog.text
    assert not (result / GRAPH).exists()
    calibration = tmp_path / "evaluation/part/sir_odd/calibration.json"
    calibration.parent.mkdir(parents=True)
    calibration.write_text("{}")
    roots = Roots("part", tmp_path / "trained", tmp_path / "scores/part", tmp_path / "evaluation/part")
    found = files_of("sir_odd", roots).paths["scorer"]
    assert found == result / SCORER
    with pytest.raises(UserError, match=r"sir_odd is trained, but has no graph .* be exported \(.*no translation"):
        read_scorer(found)
