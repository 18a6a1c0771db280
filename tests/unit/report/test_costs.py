"""What every stage cost: collected, kept for git, summed for the overview."""

from pathlib import Path

import pytest

from stages.core.run.errors import UserError
from stages.report.costs import collect_costs, read_costs, total_seconds, write_costs
from tests.unit.report.case import make_costs


def test_a_room_of_several_categories_costs_each_of_them_its_whole_time(tmp_path: Path) -> None:
    make_costs(tmp_path)
    (tmp_path / "costs/shared").mkdir()
    (tmp_path / "costs/shared/training.json").write_text('{"seconds": 5.0}', encoding="utf-8")
    costs = collect_costs(tmp_path / "costs")
    assert total_seconds(costs, "tray", ["first", "shared/training"]) == pytest.approx(6.4)
    assert total_seconds(costs, "tray", ["first", "shared/other"]) is None


def test_what_each_stage_cost_is_kept_a_line_a_room(tmp_path: Path) -> None:
    make_costs(tmp_path)
    path = tmp_path / "metrics" / "cost.json"
    write_costs(path, collect_costs(tmp_path / "costs"))
    assert path.read_text(encoding="utf-8").splitlines() == [
        "{",
        '  "<b>&cell/first": {"seconds": 1.0, "peak_mb": 10},',
        '  "tray/first": {"seconds": 1.4, "peak_mb": 10},',
        '  "tray/second": {"seconds": 2.0, "peak_mb": 10}',
        "}",
    ]
    assert read_costs(path) == collect_costs(tmp_path / "costs")
    assert read_costs(tmp_path / "none.json") == {}


def test_a_damaged_cost_file_is_named(tmp_path: Path) -> None:
    make_costs(tmp_path)
    (tmp_path / "costs/tray/first.json").write_text("{")
    with pytest.raises(UserError, match=r"costs/tray/first\.json: not readable as JSON"):
        collect_costs(tmp_path / "costs")
