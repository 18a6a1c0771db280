"""The section `methods`: which methods run on which products, in which order, and what each costs."""

import functools
import itertools
import operator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.core.run.errors import UserError
from stages.core.run.methods import load_methods, methods_of
from tests.table import violations

REPOSITORY = Path(__file__).parents[4]
CATEGORIES: dict[str, Any] = {"tray": {}, "cell": {}}
SIR = {
    "categories": {"cell": {}}, "universal": ["sir_one"], "specialised": ["sir_own"],
    "stages": ["sir_features", "sir_universal", "sir_specialised", "sir_universal_scores"],
}  # fmt: skip
METHODS: dict[str, Any] = {
    "ours": {"categories": CATEGORIES, "stages": ["first", "second"]},
    "sir": SIR,
    "inctrl": {"auxiliary": {"tray": {"object": "tray"}}, "categories": {}, "stages": ["inctrl"]},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(**changes: Any) -> None:
    params = {"categories": CATEGORIES, "methods": {**METHODS, **changes}}
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def test_methods_are_in_the_section_s_order_and_families_spelled_out() -> None:
    write()
    assert methods_of("cell") == ["ours", "sir_one", "sir_own"]
    assert methods_of("tray") == ["ours"]
    assert load_methods().pairs() == [("tray", "ours"), ("cell", "ours"), ("cell", "sir_one"), ("cell", "sir_own")]


def test_what_is_off_is_named() -> None:
    write()
    assert load_methods().off() == ["inctrl"]
    write(sir={**SIR, "universal": [], "specialised": []})
    assert load_methods().off() == ["sir", "inctrl"]
    write(sir={**SIR, "categories": {}})
    assert load_methods().off() == ["sir_one", "sir_own", "inctrl"]


def test_a_method_of_a_family_does_not_pay_for_the_other_setting() -> None:
    write()
    methods = load_methods()
    assert methods.stages_of("ours") == ("first", "second")
    assert methods.stages_of("sir_one") == ("sir_features", "sir_universal", "sir_universal_scores")
    assert methods.stages_of("sir_own") == ("sir_features", "sir_specialised")
    with pytest.raises(KeyError):
        methods.stages_of("sir")


def test_a_method_costs_what_those_it_needs_cost() -> None:
    write(
        mine={"categories": CATEGORIES, "needs": ["ours"], "stages": ["third"]},
        last={"categories": CATEGORIES, "needs": ["mine", "ours"], "stages": ["fourth"]},
    )
    assert load_methods().stages_of("last") == ("first", "second", "third", "fourth")
    write(mine={"categories": CATEGORIES})
    assert load_methods().stages_of("mine") == ("mine",)


def test_mistakes_are_named() -> None:
    def check(changes: dict[str, Any], message: str) -> None:
        write(**changes)
        with pytest.raises(UserError, match=message):
            load_methods()

    rows = [
        ({"mine": {"categories": {"tary": {}}, "stages": []}}, r"methods\.mine\.categories: 'tary' is no key of"),
        ({"inctrl": {**METHODS["inctrl"], "auxiliary": {"x": {}}}}, r"methods\.inctrl\.auxiliary: 'x' is no key of"),
        ({"mine": {"categories": "some", "stages": []}}, r"methods\.mine\.categories"),
        ({"sir": {**SIR, "specialised": ["ours"]}}, "ours is listed twice"),
        (
            {
                "a": {"categories": {}, "needs": ["b"], "stages": []},
                "b": {"categories": {}, "needs": ["a"], "stages": []},
            },
            "`needs` goes in a circle",
        ),
    ]
    assert violations(check, rows) == []


def test_dvc_yaml_scores_exactly_these_methods_and_has_their_stages() -> None:
    """With every method switched on somewhere: SIR and Inctrl on `a`, madclip on `b`."""
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name, entry in params["methods"].items():
        entry["categories"] = "all" if entry["categories"] == "all" else {"b" if name == "madclip" else "a": {}}
    params["methods"]["sir"] |= {"universal": ["sir_x", "sir_y"], "specialised": ["sir_z"]}
    params["categories"] = {"a": {}, "b": {}}
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    made = [pair for body in stages.values() for pair in scored(body, params)]
    assert sorted(made) == sorted(load_methods().pairs())
    assert {stage for name, entry in params["methods"].items() for stage in entry.get("stages", [name])} <= set(stages)


def scored(body: dict[str, Any], params: dict[str, Any]) -> list[tuple[str, str]]:
    """(category, method) of the scores that a stage of dvc.yaml writes, over all of its instances."""
    axes = body.get("matrix", {"key": body["foreach"]} if "foreach" in body else {})
    values = [functools.reduce(operator.getitem, axis.strip("${}").split("."), params) for axis in axes.values()]
    pairs = []
    for combination in itertools.product(*values):
        for out in map(str, body.get("do", body).get("outs", [])):
            for axis, value in zip(axes, combination, strict=True):
                out = out.replace(f"${{{axis}}}", value).replace(f"${{item.{axis}}}", value)
            if out.startswith("artifacts/scores/"):
                _, _, category, method = out.split("/")
                pairs.append((category, method))
    return pairs


def test_a_method_needs_others_on_the_same_products() -> None:
    """Else DVC would take what a method that is off has left, however old it is."""
    write(both={"categories": {"tray": {}, "cell": {}}, "needs": ["ours", "inctrl"], "stages": []})
    with pytest.raises(UserError, match=r"both needs inctrl on tray; methods\.both needs inctrl on cell: switch"):
        load_methods()
    write(both={"categories": {"tray": {}}, "needs": ["ours"], "stages": []})
    assert methods_of("tray") == ["ours", "both"]


def test_a_pool_to_learn_from_is_a_product() -> None:
    write(mine={"categories": {"tray": {"trained_on": "gone"}}, "stages": []})
    with pytest.raises(UserError, match=r"mine\.categories\.\*\.trained_on: 'gone' is no key"):
        load_methods()
