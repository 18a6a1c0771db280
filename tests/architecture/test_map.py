"""dvc.yaml: commands that die with DVC, resources named, and every path in a command tracked."""

import re
from typing import Any

import pytest
import yaml

from tests.architecture.code_dependencies import stage_bodies
from tests.architecture.source_files import ROOT, python_files

WITHOUT_PROGRESS = {"normalization": "copies two folders: 0.2 s"}
NOT_ITS_WORK = ("stages/core/io/fetch.py", "stages/core/running", "stages/core/run/console.py")
STAGES = stage_bodies(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8")))
SOON_MADE_AGAIN = {name for name in STAGES if name.startswith("evaluation")} | {"data_health", "report"}
# One process that the shell replaces itself with: with `&&`, a pipe or a redirection a killed DVC leaves an orphan.
PLAIN = r"(?:[\w./@:=,+-]|\$\{[\w.]+\})+"
WORD = f"(?:{PLAIN}|'{PLAIN}')"
SIMPLE = re.compile(rf"python -m stages(?:\.\w+)+(?: {WORD})*")


def paths(body: dict[str, Any], *keys: str) -> set[str]:
    """The paths under some of a stage's lists, without their options."""
    entries = [entry for key in keys for entry in body.get(key, [])]
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


def options(command: str) -> dict[str, str]:
    """`--name value` pairs of a command."""
    return {name: value.strip("'") for name, value in re.findall(rf"(--[\w-]+) ({WORD})", command)}


@pytest.mark.parametrize("name", STAGES)
def test_a_command_is_one_process(name: str) -> None:
    assert SIMPLE.fullmatch(STAGES[name]["cmd"]), f"{name}: not a simple `python -m stages.`: {STAGES[name]['cmd']}"


@pytest.mark.parametrize(
    "command", ["python -m stages.a && x", "a; b", "python -m stages.a > f", "python -m stages.a $(b)"]
)
def test_compound_commands_are_refused(command: str) -> None:
    assert not SIMPLE.fullmatch(command)
    assert SIMPLE.fullmatch("python -m stages.aecsad.a --in artifacts/${key}/b.json --n '${item.m}'")


@pytest.mark.parametrize("name", STAGES)
def test_what_users_name_freely_reaches_no_shell(name: str) -> None:
    """A folder may be called anything; of the names that are in commands, `download` checks those of categories."""
    assert "path}" not in STAGES[name]["cmd"], f"{name}: the stage should read the path from params"
    if name == "download":
        assert all(word.startswith(("-", "'")) for word in STAGES[name]["cmd"].split()[3:]), "quote them: unchecked yet"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_names_its_resource(name: str) -> None:
    assert STAGES[name].get("meta", {}).get("resource") in ("cpu", "gpu"), name


@pytest.mark.parametrize("name", sorted(set(STAGES) - set(WITHOUT_PROGRESS)))
def test_a_stage_shows_its_progress(name: str) -> None:
    """Somewhere in the code that it depends on; fetching weights or data is not its own work."""
    code = [ROOT / dep for dep in STAGES[name]["deps"] if dep.startswith("stages/") and dep not in NOT_ITS_WORK]
    modules = {module for path in code for module in ([path] if path.is_file() else python_files(path))}
    assert any("progress(" in module.read_text(encoding="utf-8") for module in modules), name


@pytest.mark.parametrize("name", STAGES)
def test_every_path_in_a_command_is_tracked(name: str) -> None:
    known = paths(STAGES[name], "deps", "outs", "metrics", "plots")
    given = options(STAGES[name]["cmd"])
    files = {value for value in given.values() if value.startswith(("artifacts/", "metrics/"))}
    untracked = {file for file in files if not any(file == k or k.startswith(f"{file}/") for k in known)}
    assert not untracked, f"{name}: neither in deps nor in outs, metrics or plots: {sorted(untracked)}"


@pytest.mark.parametrize("name", STAGES)
def test_every_tracked_path_is_in_the_command(name: str) -> None:
    """An output that no option names is made from a path in Python; a dependency that none names is never read."""
    given = set(options(STAGES[name]["cmd"]).values())
    listed = paths(STAGES[name], "deps", "outs", "metrics", "plots")
    data = {path for path in listed if path.startswith(("artifacts/", "metrics/"))}
    unused = {path for path in data if not any(path == g or path.startswith(f"{g}/") for g in given)}
    assert not unused, f"{name}: no option of the command names {sorted(unused)}"


def test_the_report_tracks_the_metrics_of_every_method() -> None:
    """Its option names the folder of all metrics; a method that may be off has no folder that DVC could ask for."""
    for method in STAGES["evaluation"]["matrix"]["method"]:
        assert f"metrics/{method}" in STAGES["report"]["deps"]


@pytest.mark.parametrize("name", STAGES)
def test_metrics_and_plots_are_kept_by_git(name: str) -> None:
    """What lies below metrics/ is small and committed, so DVC must not cache it; the rest must not be in git."""
    for key in ("outs", "metrics", "plots"):
        for entry in STAGES[name].get(key, []):
            path, flags = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
            assert path.startswith("metrics/") == (flags.get("cache", True) is False), f"{name}: {path}"


@pytest.mark.parametrize("name", sorted(STAGES.keys() - SOON_MADE_AGAIN))
def test_past_results_of_long_stages_come_back_from_the_run_cache(name: str) -> None:
    """DVC puts no stage into it that has an output without cache among its `outs`."""
    uncached = [entry for entry in STAGES[name]["outs"] if isinstance(entry, dict)]
    assert not uncached, f"{name}: {uncached}: cache them below artifacts/, or list them as metrics or plots"
