"""Which evaluations the report shows: those that dvc.yaml has under the current params."""

import functools
import itertools
import json
import operator
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.report.__main__ import main as write_report
from stages.report.rows import evaluated_pairs
from tests.unit.report.case import PARAMS, make_evaluation

REPOSITORY = Path(__file__).parents[3]


def test_results_of_a_method_that_is_switched_off_do_not_appear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    report = {"stages_of_method": {"ours": [], "inctrl": []}, "off_by_default": ["inctrl"]}
    for category in ("tray", "cell"):
        make_evaluation(tmp_path, "ours", category)
        make_evaluation(tmp_path, "inctrl", category)
    shutil.rmtree("evaluations/inctrl/cell")  # as in a fresh clone, which has what git keeps
    Path("labels").mkdir()
    Path("costs").mkdir()
    on = {"categories": {"tray": {}, "cell": {}}, "report": report, "inctrl": {"categories": {"tray": {}}}}
    Path("params.yaml").write_text(json.dumps({**PARAMS, **on}), encoding="utf-8")
    write_report(["--evaluations", "evaluations", "--labels", "labels", "--metrics", "metrics",
                  "--costs", "costs", "--page", "index.html", "--table", "table.md",
                  "--cost-overview", "c.json"])  # fmt: skip
    lines = Path("table.md").read_text(encoding="utf-8").splitlines()[2:]
    assert [line.split(" | ")[:2] for line in lines if line.startswith("|")] == [
        ["| tray", "ours"], ["| tray", "inctrl"], ["| cell", "ours"]
    ]  # fmt: skip
    assert "metrics/inctrl/cell.json is left over and not shown: inctrl is off for cell" in caplog.text


def test_the_report_knows_which_evaluations_dvc_yaml_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The methods and categories of its `evaluation...` stages, with every method switched on somewhere."""
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    sir = {"categories": {"a": {}}, "universal": [], "specialised": []}
    methods = list(params["report"]["stages_of_method"])
    for method in methods:
        if method.startswith("sir_"):
            sir[method.rpartition("_")[2]].append(method)
    params |= {name: {"categories": {"a": {}}} for name in ("inctrl", "uninformed_students")}
    params |= {"categories": {"a": {}, "b": {}}, "madclip": {"categories": {"b": {}}}, "sir": sir}
    Path("params.yaml").write_text(json.dumps(params), encoding="utf-8")
    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    expected = [
        pair
        for name, body in stages.items()
        if name.split("_")[0] == "evaluation"
        for pair in itertools.product(*(resolved(body["matrix"][axis], params) for axis in ("category", "method")))
    ]
    off = params["report"]["off_by_default"]
    assert sorted(evaluated_pairs(["a", "b"], methods, off_by_default=off)) == sorted(expected)
    assert {method for _, method in expected} == set(methods)


def resolved(axis: list[str] | str, params: dict[str, Any]) -> list[str]:
    """An axis of a matrix in dvc.yaml: a list, or a key of params.yaml."""
    if isinstance(axis, list):
        return axis
    return list(functools.reduce(operator.getitem, axis.strip("${}").split("."), params))
