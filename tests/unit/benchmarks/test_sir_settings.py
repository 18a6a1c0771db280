"""What the comparison of SIR's settings refuses before it computes anything."""

from pathlib import Path

import pytest

from benchmarks.sir_settings import changed_sections, main
from tests.architecture.source_files import ROOT
from tests.params_files import read_params, write_params
from tests.table import violations


@pytest.fixture(autouse=True)
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, read_params(ROOT) | {"profile": "smoke"})


def test_values_below_sir_are_replaced() -> None:
    sections = changed_sections(["training.learning_rate=0.5", "training.one_shot.repetitions=3"])
    assert (sections.training.learning_rate, sections.training.one_shot.repetitions) == (0.5, 3)


def test_mistakes_are_one_clear_message(caplog: pytest.LogCaptureFixture) -> None:
    def check(arguments: list[str], message: str) -> None:
        caplog.clear()
        with pytest.raises(SystemExit, match="1"):
            main(arguments)
        assert message in caplog.text
        assert not Path("work").exists()

    rows = [
        (["stripes", "trainin.learning_rate=1"], "sir has no key trainin.learning_rate"),
        (["stripes", "training.learning_rat=1"], "sir has no key training.learning_rat"),
        (["stripes", "training.learning_rate.x=1"], "sir has no key training.learning_rate.x"),
        (["stripes", "training.learning_rate=-1"], "sir.training.learning_rate is -1: expected number above 0"),
        (["stripes", "--loops", "3", "0"], "sir.decoder.loops is 0: expected integer above 0"),
        (["decoder.loops=2"], "no category was named"),
        (["nowhere"], "artifacts/split/nowhere/inputs/images.parquet"),
    ]
    assert violations(check, rows) == []
