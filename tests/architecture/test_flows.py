"""Flows hold no model code; one of their modules knows DVC from inside; their logic needs neither Prefect nor DVC."""

import yaml

from tests.architecture.source_files import ROOT, imports, parse, python_files

LENT_TO_FLOWS = {
    f"stages.core.run.{name}" for name in ("errors", "atomic", "stage", "parent", "params")
}  # no model code
DVC_INTERNALS = "flows/dvc/pipeline.py"
NEVER_IN_FLOWS = ("torch", "numpy", "tests", "benchmarks")
LOGIC_OF_FLOWS = (
    "schedule/plan", "schedule/progress", "schedule/loop", "site/slots", "site/clone", "dvc/batch", "dvc/batch_size",
    "publish/verdict",
)  # fmt: skip
NAMED_IN_PREFECT_YAML = {f"{flow}.py" for flow in ("nightly", "reproduce", "distribute", "shard", "janitor")}


def imported_by_flows() -> list[tuple[str, int, str]]:
    """File, line and module of every import below flows/."""
    return [
        (path.relative_to(ROOT).as_posix(), item.line, item.module)
        for path in python_files(ROOT / "flows")
        for item in imports(parse(path))
    ]


def test_flows_hold_no_model_code_and_one_module_uses_dvcs_internals() -> None:
    found = []
    for file, line, module in imported_by_flows():
        package = module.split(".")[0]
        if package in NEVER_IN_FLOWS or (package == "stages" and module not in LENT_TO_FLOWS):
            found.append(f"{file}:{line} imports {module}")
        if package == "dvc" and file != DVC_INTERNALS:
            found.append(f"{file}:{line} imports {module}: only {DVC_INTERNALS} does")
    assert found == []


def test_the_logic_of_flows_needs_neither_prefect_nor_dvc() -> None:
    logic = {f"flows/{name}.py" for name in LOGIC_OF_FLOWS}
    assert logic <= {path.relative_to(ROOT).as_posix() for path in python_files(ROOT / "flows")}
    found = [
        f"{file}:{line} imports {module}"
        for file, line, module in imported_by_flows()
        if file in logic and module.split(".")[0] in ("prefect", "dvc")
    ]
    assert found == []


def test_the_top_of_flows_holds_what_prefect_yaml_and_make_serve_name() -> None:
    """Entry points are modules: for a file Prefect puts flows/ on the path, where dvc and git hide the real ones."""
    entries = {
        deployment["entrypoint"] for deployment in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    }
    assert entries == {f"flows.{name[:-3]}.{name[:-3]}" for name in NAMED_IN_PREFECT_YAML}
    assert {path.name for path in (ROOT / "flows").glob("*.py")} == NAMED_IN_PREFECT_YAML | {"__init__.py", "serve.py"}
