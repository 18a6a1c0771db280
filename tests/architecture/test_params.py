"""params.yaml, the stages' models and the `params:` of dvc.yaml tell the same story."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from tests.architecture.code_dependencies import COMMAND, needed_code, stage_bodies
from tests.architecture.params_use import ANY, Read, covers, module_reads, reads
from tests.architecture.source_files import ROOT
from tests.params_files import read_params

PARAMS = read_params(ROOT)
PROFILES: dict[str, Any] = PARAMS["profiles"]
STAGES = stage_bodies(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8")))
MODELS = [read for read in reads(ROOT, Path("stages")) if read.model]


def tracked(body: dict[str, Any]) -> set[str]:
    """A stage's `params:` with ANY for each ${...}; a profile's keys as `profiles.*.key`."""
    entries: list[str] = []
    for entry in body.get("params", []):
        files = {entry: [""]} if isinstance(entry, str) else entry
        entries += [f"{file.removesuffix('.yaml')}.{key}".strip(".") for file, keys in files.items() for key in keys]
    return {re.sub(r"\$\{[^}]*\}", ANY, entry).replace("/", ".") for entry in entries}


def values(key: str) -> list[tuple[str, Any]]:
    """(full key, value) wherever a key with ANY leads in params.yaml.

    Raises:
        KeyError: it leads nowhere.
    """
    found: list[tuple[str, Any]] = [("", PARAMS)]
    for part in key.split("."):
        names = [(path, value, list(value) if part == ANY else [part]) for path, value in found]
        found = [(f"{path}.{name}".lstrip("."), value[name]) for path, value, chosen in names for name in chosen]
    return found


def is_off(key: str) -> bool:
    """Whether a key leads through a section that is empty by intent: a method that is listed but not switched on."""
    before, found, _ = key.partition(f".{ANY}")
    return bool(found) and ANY not in before and [value for _, value in values(before)] == [{}]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_tracks_exactly_what_its_room_reads(name: str) -> None:
    folder = Path(needed_code(ROOT, STAGES[name]["cmd"])[0])
    used = {read.key for read in reads(ROOT, folder)}
    entries = tracked(STAGES[name])
    free = {"profile"} if any(key.startswith("profiles.") for key in used) else set()
    missing = {key for key in used | free if not any(covers(entry, key) for entry in entries)}
    needless = {entry for entry in entries - free if not any(covers(entry, key) for key in used)}
    assert not missing, f"{name}: results go stale when {missing} change: add to `params:`"
    assert not needless, f"{name}: its stage does not read {needless}"


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_tracks_exists_in_every_profile(name: str) -> None:
    for entry in tracked(STAGES[name]):
        assert values(entry) or is_off(entry), entry


@pytest.mark.parametrize("profile", PROFILES)
def test_every_section_of_a_profile_is_used(profile: str) -> None:
    entries = {entry for body in STAGES.values() for entry in tracked(body)}
    waiting = [(f"profiles.{ANY}.{section}", value) for section, value in PROFILES[profile].items()]
    while waiting:
        key, value = waiting.pop()
        if any(covers(entry, key) for entry in entries):
            continue
        assert any(covers(key, entry) for entry in entries), f"no stage uses {key.replace(ANY, profile)}"
        waiting += [(f"{key}.{part}", below) for part, below in value.items()]


def test_all_profiles_have_the_same_sections() -> None:
    sections = {
        name: sorted([*profile, *(f"aecsad.{stage}" for stage in profile["aecsad"])])
        for name, profile in PROFILES.items()
    }
    first = next(iter(sections))
    assert all(found == sections[first] for found in sections.values()), sections
    assert PARAMS["profile"] in PROFILES


@pytest.mark.parametrize("read", MODELS, ids=lambda read: f"{read.path.parent.name}.{read.model}")
def test_every_model_accepts_every_profile(read: Read) -> None:
    module = importlib.import_module(".".join(read.path.with_suffix("").parts))
    found = values(read.key)
    assert found or is_off(read.key)
    for key, value in found:
        model: Any = getattr(module, str(read.model))
        assert TypeAdapter(model).validate_python(value) is not None, key


def test_reads_are_found_and_hidden_ones_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        'load_params(Model, section="aecsad.cluster")\nload_value(f"categories.{name}")\n'
        'validate(Other, load_value("evaluation"), where="evaluation")\n'
        'where = "report"\nload_value(where)\nvalidate(Third, made_up, where="split")\n'
    )
    assert {(read.key, read.model) for read in module_reads(Path("a.py"), file)} == {
        ("profiles.*.aecsad.cluster", "Model"),
        ("categories.*", None),
        ("evaluation", None),
        ("evaluation", "Other"),
        ("report", None),
    }
    file.write_text("load_value(key)")
    with pytest.raises(LookupError, match=r"a\.py:1: write the key of params.yaml as a string, not as key"):
        module_reads(Path("a.py"), file)


def test_an_entry_covers_itself_and_what_is_below() -> None:
    assert covers("split", "split")
    assert covers("split", "split.ratios")
    assert not covers("split.ratios", "split")
    assert not covers("split", "splitter")


def test_the_command_names_the_room() -> None:
    match = COMMAND.match("python -m stages.aecsad.cluster --x y")
    assert match is not None
    assert match[1] == "stages.aecsad.cluster"
