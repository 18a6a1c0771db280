"""The reference of the report: what it collects from a run, and what it refuses."""

import json
from pathlib import Path

import pytest

from benchmarks.cost.reference import PRODUCTS, machine, reference_of
from stages.core.run.errors import UserError
from stages.report.run_cost import Cost, Reference


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of the default products and of another one."""
    categories = {name: {} for name in (*PRODUCTS, "own")}
    params = {"profile": "embedded", "categories": categories, "methods": {"ours": {"categories": categories}}}
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    for name in categories:
        (tmp_path / "metrics/cost" / name).mkdir(parents=True)
        cost = {"seconds": 2.0, "processor_seconds": 3.5, "peak_mb": 100, "encoder_passes": 7}
        (tmp_path / "metrics/cost" / name / "split.json").write_text(json.dumps(cost))
        (tmp_path / "metrics/data_health").mkdir(exist_ok=True)
        (tmp_path / f"metrics/data_health/{name}.json").write_text(json.dumps({"images": 12}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_default_products_are_collected(run: Path) -> None:
    assert reference_of(Path("metrics"), machine="2 cores") == Reference(
        "2 cores", "embedded", dict.fromkeys(PRODUCTS, 12), {f"{one}/split": Cost(2.0, 3.5, 100.0) for one in PRODUCTS}
    )
    assert " cores (" in machine()


def test_a_run_without_a_default_product_is_refused(run: Path) -> None:
    (run / "metrics/cost/elpv_mono/split.json").unlink()
    with pytest.raises(UserError, match="elpv_mono has no cost in metrics/cost"):
        reference_of(Path("metrics"), machine="2 cores")
