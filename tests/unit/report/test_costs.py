"""What a method costs on a product: the sum over the stage instances that it needs."""

from pathlib import Path

import pytest

from stages.core.run.methods import MethodParams, Methods
from stages.report.rows import read_costs, seconds_of
from tests.unit.report.case import make_cost

SIR = MethodParams(
    categories={"tray": {}}, universal=("sir_one",), specialised=("sir_own",),
    stages=("sir_features", "sir_universal", "sir_specialised", "sir_universal_scores", "sir_specialised_scores"),
)  # fmt: skip
METHODS = Methods(
    {"ours": MethodParams(categories={"tray": {}, "cell": {}}, stages=("first", "second")), "sir": SIR},
    ["tray", "cell"],
)


def test_a_method_costs_what_its_instances_cost(tmp_path: Path) -> None:
    """Instances of a product, of a method of a family, and of both; what the other setting cost is not counted."""
    for key, stage, seconds in (
        ("tray", "first", 1.5), ("tray", "second", 2.0), ("tray", "sir_features", 0.25), ("cell", "first", 9.0),
        ("sir_one", "sir_universal", 40.0), ("sir_one-tray", "sir_universal_scores", 0.5),
        ("sir_own-tray", "sir_specialised", 8.0),
    ):  # fmt: skip
        make_cost(tmp_path, key, stage, seconds)
    costs = read_costs(tmp_path / "metrics/cost")
    assert seconds_of(costs, METHODS, category="tray", method="ours") == 3.5
    assert seconds_of(costs, METHODS, category="tray", method="sir_one") == 40.75
    assert seconds_of(costs, METHODS, category="tray", method="sir_own") is None  # its scores were never made
    assert seconds_of(costs, METHODS, category="cell", method="ours") is None


def test_before_the_first_run_nothing_is_known(tmp_path: Path) -> None:
    assert read_costs(tmp_path / "none") == {}


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"seconds": "many"}'])
def test_a_damaged_cost_file_is_named_and_only_its_cost_not_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    make_cost(tmp_path, "tray", "first", 1.0)
    make_cost(tmp_path, "tray", "second", 2.0)
    (tmp_path / "metrics/cost/tray/first.json").write_text(content)
    assert list(read_costs(tmp_path / "metrics/cost")) == ["tray/second"]
    assert "metrics/cost/tray/first.json: the cost is not known" in caplog.text
