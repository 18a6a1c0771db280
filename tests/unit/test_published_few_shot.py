"""Published tables and our draws side by side."""

import json
import math
from pathlib import Path

import pytest

from stages.report.published_few_shot import main, mean_and_interval, read_inctrl, read_madclip

REFERENCE = Path(__file__).parents[2] / "stages/report/reference"


def test_interval_by_hand() -> None:
    """Three draws 90, 92, 94: deviation 2, t(0.975, 2) = 4.3027, half width 4.3027 * 2 / sqrt(3)."""
    assert mean_and_interval([90.0, 92.0, 94.0]) == f"92.0 ± {4.3027 * 2 / math.sqrt(3):.1f} (3 draws)"
    assert mean_and_interval([90.0]) == "90.0 (1 draw)"


def test_published_rows() -> None:
    lines = read_inctrl(REFERENCE, "VisA/candle", 2)
    assert lines[0] == ("inctrl", "paper", "image AUROC", "91.6")
    assert [value for _, _, _, value in lines[1:]] == ["87.7", "88.5", "87.4"]
    assert read_inctrl(REFERENCE, "VisA", 8)[0] == ("inctrl", "paper", "image AUROC", "88.7")
    assert read_inctrl(REFERENCE, "HeadCT", 8) == [
        ("inctrl", "official checkpoint; random prompts (github.com/mala-lab/InCTRL/issues/29)", "image AUROC", "89.6")
    ]
    assert ("MadCLIP", "MadCLIP, table", "image AUROC", "95.2") in read_madclip(REFERENCE, "BrainMRI", 4)
    assert ("MVFA", "CVPR24", "image AUROC", "94.4") in read_madclip(REFERENCE, "BrainMRI", 16)
    assert [metric for _, _, metric, _ in read_madclip(REFERENCE, "BrainMRI", 4)].count("pixel AUROC") >= 1
    assert {metric for _, _, metric, _ in read_madclip(REFERENCE, "Chest", 4)} == {"image AUROC"}
    assert ("MadCLIP", "MadCLIP, table 3", "image AUROC", "57.4") in read_madclip(REFERENCE, "BrainMRI/ADNI", 4)
    assert read_madclip(REFERENCE, "nothing", 4) == read_madclip(REFERENCE, "BrainMRI/nothing", 4) == []


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    branches = {f"draw_{n}": {"all": value} for n, value in enumerate([0.9, 0.92, 0.94])} | {"detection": {"all": 0.1}}
    for name, content in (
        ("madclip/brain", {"branches": branches, "pixel_auroc": {"all": 0.987}}),
        ("choices/brain/madclip", {"shots": 4}),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    options = ["--metrics", str(tmp_path), "--reference", str(REFERENCE)]
    main(["madclip", "brain=BrainMRI", *options])
    printed = capsys.readouterr().err
    assert "92.0 ± 5.0 (3 draws)" in printed
    assert "98.7 (1 draw)" in printed
    main(["madclip", "brain=BrainMRI/ADNI", *options])
    assert "pixel" not in capsys.readouterr().err  # that table has none
    for pair, message in (("brain=Nowhere", "'Nowhere' with 4 shots is in no table"), ("gone=BrainMRI", "gone.json")):
        with pytest.raises(SystemExit, match="1"):
            main(["madclip", pair, *options])
        assert message in caplog.text
