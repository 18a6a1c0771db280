"""params.yaml, the stages' models and the `params:` of dvc.yaml say the same."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from tests.architecture.code_dependencies import COMMAND, entry_of, stage_bodies
from tests.architecture.params_use import ANY, covers, module_reads, reads
from tests.architecture.source_files import ROOT, reached
from tests.params_files import read_params

PARAMS = read_params(ROOT)
PROFILES: dict[str, Any] = PARAMS["profiles"]
STAGES = stage_bodies(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8")))


def tracked(body: dict[str, Any]) -> set[str]:
    """A stage's `params:` with ANY for each ${...}; a profile's keys as `profiles.*.key`."""
    entries: list[str] = []
    for entry in body.get("params", []):
        files = {entry: [""]} if isinstance(entry, str) else entry
        entries += [f"{file.removesuffix('.yaml')}.{key}".strip(".") for file, keys in files.items() for key in keys]
    return {re.sub(r"\$\{[^}]*\}", ANY, entry).replace("/", ".") for entry in entries}


def values(key: str) -> list[tuple[str, Any]]:
    """(full key, value) wherever a key with ANY leads in params.yaml; none where it leads nowhere."""
    found: list[tuple[str, Any]] = [("", PARAMS)]
    for part in key.split("."):
        found = [
            (f"{path}.{name}".lstrip("."), value[name])
            for path, value in found
            if isinstance(value, dict)
            for name in (list(value) if part == ANY else [part])
            if name in value
        ]
    return found


def is_off(key: str) -> bool:
    """Whether a key leads through a section that is empty by intent: a method that is listed but not switched on."""
    before, found, _ = key.partition(f".{ANY}")
    return bool(found) and ANY not in before and [value for _, value in values(before)] == [{}]


def test_stages_track_exactly_what_they_read() -> None:
    found = []
    for name, body in STAGES.items():
        used = {read.key for read in reads(ROOT, reached(ROOT, entry_of(ROOT, body["cmd"])))}
        entries = tracked(body)
        found += [f"{name}: goes stale when {k} changes" for k in used if not any(covers(e, k) for e in entries)]
        found += [f"{name}: does not read {e}" for e in entries if not any(covers(e, k) for k in used)]
    assert found == [], "correct `params:` in dvc.yaml"


def test_what_stages_track_exists_in_every_profile() -> None:
    entries = {entry for body in STAGES.values() for entry in tracked(body)}
    found = [entry for entry in entries if len(values(entry)) < (len(PROFILES) if entry.startswith("profiles.") else 1)]
    assert [entry for entry in found if not is_off(entry)] == []


def test_every_section_of_a_profile_is_used() -> None:
    entries = {entry for body in STAGES.values() for entry in tracked(body)}
    found = []
    for profile, sections in PROFILES.items():
        waiting = [(f"profiles.{ANY}.{section}", value) for section, value in sections.items()]
        while waiting:
            key, value = waiting.pop()
            if any(covers(entry, key) for entry in entries):
                continue
            if any(covers(key, entry) for entry in entries):
                waiting += [(f"{key}.{part}", below) for part, below in value.items()]
            else:
                found.append(f"{profile}: no stage uses {key}")
    assert found == []


def test_all_profiles_have_the_same_sections() -> None:
    sections = {
        name: sorted([*profile, *(f"aecsad.{stage}" for stage in profile["aecsad"])])
        for name, profile in PROFILES.items()
    }
    first = next(iter(sections))
    assert all(found == sections[first] for found in sections.values()), sections
    assert PARAMS["profile"] in PROFILES


def test_every_model_accepts_every_profile() -> None:
    models = [read for read in reads(ROOT, stage_files()) if read.model]
    assert len(models) > 20
    for read in models:
        module = importlib.import_module(".".join(read.path.with_suffix("").parts))
        found = values(read.key)
        assert found or is_off(read.key), read
        for key, value in found:
            model: Any = getattr(module, str(read.model))
            assert TypeAdapter(model).validate_python(value) is not None, key


def stage_files() -> set[Path]:
    return {path for body in STAGES.values() for path in reached(ROOT, entry_of(ROOT, body["cmd"]))}


def test_reads_are_found_and_hidden_ones_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        'load_params(Model, section="aecsad.cluster")\nload_value(f"categories.{name}")\n'
        'validate(Other, load_value("evaluation"), where="evaluation")\n'
        'where = "report"\nload_value(where)\nvalidate(Third, made_up, where="split")\nload_methods()\nmethods_of(x)\n'
        "load_seed()\n"
    )
    assert {(read.key, read.model) for read in module_reads(Path("a.py"), file)} == {
        ("profiles.*.aecsad.cluster", "Model"),
        ("categories.*", None),
        ("evaluation", None),
        ("evaluation", "Other"),
        ("report", None),
        ("methods", None),
        ("categories", None),
        ("seed", None),
    }
    file.write_text("load_value(key)")
    with pytest.raises(LookupError, match=r"a\.py:1: write the key of params.yaml as a string, not as key"):
        module_reads(Path("a.py"), file)


def test_an_entry_covers_itself_and_what_is_below() -> None:
    assert covers("split", "split")
    assert covers("split", "split.ratios")
    assert not covers("split.ratios", "split")
    assert not covers("split", "splitter")


def test_the_command_names_the_stage() -> None:
    match = COMMAND.match("python -m stages.aecsad.cluster --x y")
    assert match is not None
    assert match[1] == "stages.aecsad.cluster"
