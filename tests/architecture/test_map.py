"""dvc.yaml: commands that die with DVC, resources named, every path in a command tracked, and short enough to read."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.code_dependencies import entry_of, stage_bodies
from tests.architecture.source_files import ROOT, reached

TEXT = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
STAGES = stage_bodies(yaml.safe_load(TEXT))
NOT_IN_THE_RUN_CACHE = {"evaluation", "report"}
KNOWN_BY_CONTENT = {"artifacts/aecsad"}  # the scores, which are tracked, name its parts by sha256
NOT_ITS_WORK = {Path("stages/core/io/fetch.py"), Path("stages/core/run/console.py")}
MOST_LINES, MOST_LOCK_LINES = 520, 2600
# One process that the shell replaces itself with: with `&&`, a pipe or a redirection a killed DVC leaves an orphan.
PLAIN = r"(?:[\w./@:=,+-]|\$\{[\w.]+\})+"
WORD = f"(?:{PLAIN}|'{PLAIN}')"
SIMPLE = re.compile(rf"python -m stages(?:\.\w+)+(?: {WORD})*")


def paths(body: dict[str, Any], *keys: str) -> dict[str, dict[str, Any]]:
    """The paths under some of a stage's lists, with their options."""
    entries = [entry for key in keys for entry in body.get(key, [])]
    return dict(next(iter(entry.items())) if isinstance(entry, dict) else (entry, {}) for entry in entries)


def options(command: str) -> dict[str, str]:
    """`--name value` pairs of a command."""
    return {name: value.strip("'") for name, value in re.findall(rf"(--[\w-]+) ({WORD})", command)}


def is_data(path: str) -> bool:
    return path == "metrics" or path.startswith(("artifacts/", "metrics/"))


def test_the_map_stays_short() -> None:
    lock = ROOT / "dvc.lock"
    assert len(TEXT.splitlines()) <= MOST_LINES
    assert len(lock.read_text(encoding="utf-8").splitlines()) <= MOST_LOCK_LINES


def test_commands_are_one_process() -> None:
    assert [name for name, body in STAGES.items() if not SIMPLE.fullmatch(body["cmd"])] == []


@pytest.mark.parametrize(
    "command", ["python -m stages.a && x", "a; b", "python -m stages.a > f", "python -m stages.a $(b)"]
)
def test_compound_commands_are_refused(command: str) -> None:
    assert not SIMPLE.fullmatch(command)
    assert SIMPLE.fullmatch("python -m stages.aecsad.a --in artifacts/${key}/b.json --n '${item.m}'")


def test_what_users_name_freely_reaches_no_shell() -> None:
    """A folder may be called anything; of the names that are in commands, `download` checks those of products."""
    assert [name for name, body in STAGES.items() if "path}" in body["cmd"]] == [], "read the path from params"
    unquoted = [word for word in STAGES["download"]["cmd"].split()[3:] if not word.startswith(("-", "'"))]
    assert unquoted == [], "download's names are not checked yet"


def test_stages_name_their_resource() -> None:
    assert [name for name, body in STAGES.items() if body.get("meta", {}).get("resource") not in ("cpu", "gpu")] == []


def test_stages_show_their_progress() -> None:
    """Somewhere in what they run; fetching weights or data is not their own work."""
    silent = []
    for name, body in STAGES.items():
        run = reached(ROOT, entry_of(ROOT, body["cmd"])) - NOT_ITS_WORK
        if not any("progress(" in (ROOT / path).read_text(encoding="utf-8") for path in run):
            silent.append(name)
    assert silent == []


def test_paths_in_commands_are_tracked_and_tracked_paths_named() -> None:
    """An output that no option names is made from a path in Python; a dependency that none names is never read."""
    found = []
    for name, body in STAGES.items():
        given = {value for value in options(body["cmd"]).values() if is_data(value)} - KNOWN_BY_CONTENT
        known = {path for path in paths(body, "deps", "outs", "metrics", "plots") if is_data(path)}
        found += [f"{name}: untracked: {g}" for g in given if not any(g == k or k.startswith(f"{g}/") for k in known)]
        found += [
            f"{name}: no option names {k}" for k in known if not any(k == g or k.startswith(f"{g}/") for g in given)
        ]
    assert found == []


def test_what_is_below_metrics_is_kept_by_git() -> None:
    """It is small and committed, so DVC must not cache it; the rest must not be in git."""
    found = [
        f"{name}: {path}"
        for name, body in STAGES.items()
        for path, flags in paths(body, "outs", "metrics", "plots").items()
        if path.startswith("metrics/") != (flags.get("cache", True) is False)
    ]
    assert found == []


def test_past_results_come_back_from_the_run_cache() -> None:
    """DVC puts no stage into it that has an output without cache among its `outs`."""
    found = {name for name, body in STAGES.items() if any(isinstance(entry, dict) for entry in body["outs"])}
    assert found == NOT_IN_THE_RUN_CACHE, "cache them below artifacts/, or list them as metrics or plots"


def test_a_method_needs_no_block_of_evaluation_or_report() -> None:
    """Both read the folder above what methods write, so that a method is switched on by params alone."""
    methods = [path for body in STAGES.values() for path in paths(body, "outs") if path.startswith("artifacts/scores/")]
    assert len(methods) > 6
    assert all(path.count("/") == 3 for path in methods), "artifacts/scores/<product>/<method>"
    assert "artifacts/scores/${key}" in STAGES["evaluation"]["deps"]
    assert "artifacts/evaluation" in STAGES["report"]["deps"]
