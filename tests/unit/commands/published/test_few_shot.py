"""Published tables and our repetitions side by side."""

import json
import math
from pathlib import Path

import pytest

from commands.published.few_shot import REFERENCE, mean_and_interval, read_inctrl, read_madclip, show_pairs
from stages.core.run.errors import UserError
from tests.table import new_folder, violations


def test_interval_by_hand() -> None:
    """Three repetitions 90, 92, 94: deviation 2, t(0.975, 2) = 4.3027, half width 4.3027 * 2 / sqrt(3)."""
    assert mean_and_interval([90.0, 92.0, 94.0]) == f"92.0 ± {4.3027 * 2 / math.sqrt(3):.1f} (3 repetitions)"
    assert mean_and_interval([90.0]) == "90.0 (1 repetition)"


def test_published_rows() -> None:
    lines = read_inctrl(REFERENCE, "VisA/candle", 2)
    assert lines[0] == ("inctrl", "paper", "image AUROC", "91.6")
    assert [value for _, _, _, value in lines[1:4]] == ["87.7", "88.5", "87.4"]
    assert {metric for _, _, metric, _ in lines[4:]} == {"image AUPRC"}
    assert [value for _, _, _, value in lines[4:]] == ["92.0", "86.9", "87.1", "87.2"]
    assert read_inctrl(REFERENCE, "VisA", 8)[0] == ("inctrl", "paper", "image AUROC", "88.7")
    rerun = "official checkpoint; random prompts (github.com/mala-lab/InCTRL/issues/29)"
    assert read_inctrl(REFERENCE, "HeadCT", 8) == [
        ("inctrl", rerun, "image AUROC", "89.6"), ("inctrl", rerun, "image AUPRC", "97.1"),
    ]  # fmt: skip
    assert ("MadCLIP", "MadCLIP, table", "image AUROC", "95.2") in read_madclip(REFERENCE, "BrainMRI", 4)
    assert ("MVFA", "CVPR24", "image AUROC", "94.4") in read_madclip(REFERENCE, "BrainMRI", 16)
    assert [metric for _, _, metric, _ in read_madclip(REFERENCE, "BrainMRI", 4)].count("pixel AUROC") >= 1
    assert {metric for _, _, metric, _ in read_madclip(REFERENCE, "Chest", 4)} == {"image AUROC"}
    assert ("MadCLIP", "MadCLIP, table 3", "image AUROC", "57.4") in read_madclip(REFERENCE, "BrainMRI/ADNI", 4)
    assert read_madclip(REFERENCE, "nothing", 4) == read_madclip(REFERENCE, "BrainMRI/nothing", 4) == []


def write_result(root: Path, method: str, category: str, repetitions: list[float | None], *, shots: int = 4) -> None:
    """What evaluation and the method write of a category."""
    branches = {f"repetition_{n}": {"all": value} for n, value in enumerate(repetitions)} | {"detection": {"all": 0.1}}
    metrics = {"branches": branches, "average_precision": {"all": 0.765}, "pixel_auroc": {"all": 0.987}}
    for path, content in (
        (root / "evaluation" / f"{category}.json", {method: metrics}),
        (root / "choices" / category / f"{method}.json", {"shots": shots}),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


def show(root: Path, method: str, pair: str, capsys: pytest.CaptureFixture[str]) -> str:
    show_pairs(method, [pair], metrics=root)
    return " ".join(capsys.readouterr().err.split())


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(tmp_path, "madclip", "brain", [0.9, 0.92, 0.94])
    printed = show(tmp_path, "madclip", "brain=BrainMRI", capsys)
    assert "92.0 ± 5.0 (3 repetitions)" in printed
    assert "98.7 (1 repetition)" in printed
    assert "AUPRC" not in printed  # that table has none
    assert "pixel" not in show(tmp_path, "madclip", "brain=BrainMRI/ADNI", capsys)
    alone = show(tmp_path, "madclip", "brain", capsys)
    assert all(value in alone for value in ("92.0 ± 5.0 (3 repetitions)", "76.5 (1 repetition)", "98.7 (1 repetition)"))
    assert "MVFA" not in alone


def test_a_published_mean_next_to_that_of_as_many_categories(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """12 categories, half with values 80 and 86, half with 90 and 100: 85 and 93, mean 89; t(0.975, 1) = 12.7062."""
    names = [f"c{n}" for n in range(12)]
    for number, name in enumerate(names):
        write_result(tmp_path, "inctrl", name, [0.8, 0.86] if number % 2 else [0.9, 1.0], shots=8)
    printed = show(tmp_path, "inctrl", f"{'+'.join(names)}=VisA", capsys)
    assert f"89.0 ± {12.7062 * 4:.1f} (2 repetitions)" in printed
    assert "76.5 (1 repetition)" in printed
    assert "88.7" in printed  # the paper's AUROC
    assert "90.4" in printed  # its AUPRC


def test_mistakes(tmp_path: Path) -> None:
    def check(pair: str, message: str) -> None:
        folder = new_folder(tmp_path)
        for name, repetitions in (("a", [0.9, 0.8]), ("b", [0.9, 0.8]), ("few", [0.9]), ("good", [None, None])):
            write_result(folder, "inctrl", name, repetitions, shots=8)
        with pytest.raises(UserError, match=message):
            show_pairs("inctrl", [pair], metrics=folder)

    rows = [
        ("a=Nowhere", "'Nowhere' with 8 shots is in no table of .*, or write 'a' for our result alone"),
        ("gone=VisA", r"gone\.json"),
        ("a=VisA", "the published number for VisA stands for 12 categories, 1 named"),
        ("a+b=HeadCT", "the published number for HeadCT stands for 1 categories, 2 named"),
        ("a+few", r"a\+few: evaluated with different shots or repetitions"),
        ("good", "good has no anomaly in test"),
    ]
    assert violations(check, rows) == []
