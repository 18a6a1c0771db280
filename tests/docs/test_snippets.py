"""The documents' excerpts of params.yaml fit it: merged into the real file, they switch on the methods they name."""

import copy
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands.configuration.sections import PROFILE_SECTIONS
from stages.core.run.errors import UserError
from stages.core.run.methods import SECTION, load_methods, members
from stages.core.run.params import PARAMS_FILE
from tests.architecture.source_files import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SNIPPET = re.compile(r"^( *)```ya?ml\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / PARAMS_FILE).read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_sections_of_snippets_are_those_of_params() -> None:
    found = [(path, value) for path, value in snippets() if not set(value) <= {*PARAMS, *PROFILE_SECTIONS}]
    products = [(path, product) for path, value in found for product in value.values()]  # excerpts of `categories`
    assert [path.name for path, product in products if not {"source", "path"} <= set(product)] == []


def test_sections_of_profiles_are_accepted_by_their_models() -> None:
    found = [(section, value[section]) for _, value in snippets() for section in value if section in PROFILE_SECTIONS]
    assert found, "no document has a snippet of a profile: is the pattern right?"
    for section, value in found:
        PROFILE_SECTIONS[section].model_validate(value)


def test_snippets_switch_on_the_methods_they_name() -> None:
    found = [(path, value) for path, value in snippets() if SECTION in value]
    assert found, f"no document has a snippet with `{SECTION}:`: is the pattern right?"
    assert [f"{path.name}: {problem}" for path, value in found for problem in problems(value)] == []


def test_a_wrong_snippet_is_found() -> None:
    own = "methods:\n  sir_one_shot_universal:\n    categories: {pin_tray: {}}\n"
    unknown = "methods:\n  sir:\n    categories: {gone: {}}\n    universal: [sir_one_shot_universal]\n"
    off = "methods:\n  sir:\n    categories: {pin_tray: {}}\n"
    good = "methods:\n  sir:\n    categories: {pin_tray: {}}\n    universal: [sir_one_shot_universal]\n"
    first, second, third, fourth = (problems(yaml.safe_load(text)) for text in (own, unknown, off, good))
    assert "sir_one_shot_universal belongs to methods.sir: list it there in universal or specialised" in first[0]
    assert "methods.sir.categories: 'gone' is no key of `categories`" in second[0]
    assert third == ["sir scores nothing"]
    assert fourth == []


def snippets() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each document's YAML in fenced code."""
    for path in DOCUMENTS:
        for _, text in SNIPPET.findall(path.read_text(encoding="utf-8")):
            yield path, yaml.safe_load(textwrap.dedent(text))


def problems(snippet: dict[str, Any]) -> list[str]:
    """Merge a snippet into params.yaml and return what `load_methods` refuses, or which of its methods are off."""
    PARAMS_FILE.write_text(yaml.safe_dump(merged(PARAMS, snippet)), encoding="utf-8")
    try:
        methods = load_methods()
    except UserError as error:
        return [str(error)]
    on = {method for _, method in methods.pairs()}
    return [
        f"{name} scores nothing" for name in snippet[SECTION] if on.isdisjoint(members(name, methods.entries[name]))
    ]


def merged(params: dict[str, Any], snippet: dict[str, Any]) -> dict[str, Any]:
    """Return params with the snippet's products added, and with the keys of its methods in place of theirs."""
    result = copy.deepcopy(params)
    result["categories"] = {**result["categories"], **snippet.get("categories", {})}
    for name, entry in snippet[SECTION].items():
        result[SECTION][name] = {**result[SECTION].get(name, {}), **entry}
    return result
