"""The doctor's lines: each check on a folder in which it fails, and none that breaks."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands.doctor import machine, repository
from commands.doctor.findings import Finding, guarded
from commands.doctor.report import CHECKS, examine
from flows.dvc.products import refuse_products
from stages.core.run.errors import UserError
from tests.architecture.source_files import ROOT

GOOD: dict[str, Any] = {
    "profile": "own",
    "seed": 0,
    "categories": {"part": {"source": "folder", "path": "pictures"}},
    "methods": {"aecsad": {"categories": {"part": {}}, "stages": []},
                "inctrl": {"auxiliary": {}, "categories": {}, "stages": []},
                "madclip": {"categories": {}, "stages": []}},
}  # fmt: skip
PROFILE: dict[str, Any] = {
    "encoder": {"name": "tf_efficientnet_lite0", "image_size": 256},
    "aecsad": {"pseudo_label": {"proposer": "auto", "foundation": {"sam": "vit_h", "tagged_images": 0}}},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "profiles").mkdir()
    write(GOOD, PROFILE)
    return tmp_path


def write(params: dict[str, Any], profile: dict[str, Any] = PROFILE) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    Path("profiles/own.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")


def lines(check: Callable[[], Iterable[Finding]]) -> list[str]:
    return [str(finding) for finding in guarded(check)]


def embedded() -> dict[str, Any]:
    profile: dict[str, Any] = yaml.safe_load((ROOT / "profiles/embedded.yaml").read_text(encoding="utf-8"))
    return profile


def test_settings_are_checked_before_a_stage_reads_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = embedded()
    del profile["sir"]["maps"]  # of a method that is off: no fault
    write({**GOOD, "evaluation": None}, profile)
    assert lines(repository.check_settings)[0].startswith("fail  params.yaml: evaluation is null: expected section (")
    profile["uninformed_students"]["variance_weight"] = float("inf")
    profile["aecsad"]["histogram"] = None
    profile["inctrl"]["clip"]["quick_gelu"] = 7
    write({**GOOD, "seed": "zero", "methods": {**GOOD["methods"], "inctrl": {"categories": {"part": {}}}}}, profile)
    assert examine() == 4  # CLIP's section is found by two checks, and named once
    printed = " ".join(capsys.readouterr().out.split())
    for fault in (
        "params.yaml: seed is 'zero': expected integer from 0 to", "aecsad.histogram is null: expected section (",
        "uninformed_students.variance_weight is inf: expected number from 0",
        "inctrl.clip.quick_gelu is 7: expected true or false",
    ):  # fmt: skip
        assert printed.count(fault) == 1
    Path("profiles/own.yaml").write_text("sir: {}\nsir: {}", encoding="utf-8")
    _, twice = lines(repository.check_settings)
    assert "the key 'sir' is there twice" in twice


def test_a_method_without_stages_in_the_pipeline() -> None:
    stages = {"aecsad": {}, "uninformed_students": {}}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}), encoding="utf-8")
    write({**GOOD, "methods": {"aecsad": {"categories": {}}, "uninformed_student": {"categories": {}},
                               "own": {"categories": {}, "stages": ["aecsad", "more"]}}})  # fmt: skip
    assert lines(repository.check_methods)[:2] == [
        "fail  params.yaml: methods.own: dvc.yaml has no stage more: correct the name, or remove the entry",
        "fail  params.yaml: methods.uninformed_student: dvc.yaml has no stage uninformed_student: "
        "did you mean uninformed_students?",
    ]


def test_a_good_folder_has_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    write(GOOD, embedded())
    assert examine() == 0
    printed = capsys.readouterr().out
    assert "ok    1 product: part" in printed
    assert "ok    methods that are on: aecsad" in printed
    assert "warn " in printed  # it is no git repository


def test_an_empty_folder_is_one_failure_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert examine() == 1
    printed = capsys.readouterr().out
    assert "params.yaml is missing: run from the repository's root" in printed
    assert "no git repository" in printed
    assert "no DVC repository" in printed


def test_what_is_wrong_with_products_and_methods() -> None:
    products = {"a b": {"path": "pictures"}, 12: {"path": "pictures"}, "gone": {"path": "nowhere"}, "none": {}}
    methods = {**GOOD["methods"], "madclip": {"categories": {"lost": {}}, "stages": []}}
    write({**GOOD, "categories": products, "methods": methods})
    assert lines(repository.check_products) == [
        "fail  params.yaml: the name 'a b' does not consist of letters, digits, - and _: rename it",
        "fail  params.yaml: the name 12 is not read as text: put it in quotes",
        "fail  nowhere of the product gone does not exist: correct params.yaml",
        "fail  params.yaml: the product none has no `path`: add it",
    ]
    (line,) = lines(repository.check_methods)
    assert line.startswith(
        "fail  params.yaml: methods.aecsad.categories: 'part' is no key of `categories`; methods.mad"
    )
    write({**GOOD, "methods": {"aecsad": {"stages": []}}})
    assert lines(repository.check_methods) == [
        "fail  params.yaml: methods.aecsad.categories is missing: expected section"
    ]
    write({**GOOD, "categories": {}, "methods": {}})
    (line,) = lines(repository.check_products)
    assert line == "fail  params.yaml: there is no product below `categories`: `oddpart add NAME FOLDER`"
    write({**GOOD, "categories": None, "methods": {"aecsad": {"categories": None, "stages": []}}})  # *all of nothing
    assert [*lines(repository.check_products), *lines(repository.check_methods)] == [line]


def test_products_of_which_no_bundle_can_be_made(folder: Path) -> None:
    def found(exported: Any) -> str:
        write({**GOOD, "export": {"categories": exported}})
        return "; ".join(lines(repository.check_products))

    assert {found({"part": {}}), found({"part": None}), found({})} == {"ok    1 product: part"}
    assert found({"lost": {}}) == (
        "fail  params.yaml: export.categories: 'lost' is no key of `categories`: add the product there, or remove it "
        "here"
    )
    assert "export.categories.part is {'methods': ['aecsad']}: it takes no settings" in found(
        {"part": {"methods": ["aecsad"]}}
    )
    for value in (["part"], "part", None):
        assert f"export.categories is {value!r}: write a section" in found(value)
    with pytest.raises(UserError, match="export.categories is None"):
        refuse_products(folder)


def test_no_name_reaches_a_shell_that_could_command_it(folder: Path) -> None:
    sir = {"categories": {"part": {}}, "universal": ["m; touch pwned;"], "specialised": ["-x"]}
    pool = {"categories": {"part": {"trained_on": "$(touch pwned)"}}, "stages": []}
    part = GOOD["categories"]["part"]
    write({**GOOD, "categories": {"x'; touch pwned; echo 'y": part, "part": part},
           "methods": {"sir": sir, "madclip": pool}})  # fmt: skip
    with pytest.raises(UserError) as refused:
        refuse_products(folder)
    for name in ("x'; touch pwned; echo 'y", "m; touch pwned;", "-x", "$(touch pwned)"):
        assert f"the name {name!r} does not consist of letters, digits, - and _" in str(refused.value)


def test_what_dvc_stumbles_over_is_said_before(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(GOOD, embedded())
    assert examine(data=True) == 0
    assert capsys.readouterr().out == ""
    write({**GOOD, "seed": "zero"}, embedded())
    assert examine(data=True) == 1
    assert "params.yaml: seed is 'zero'" in capsys.readouterr().out
    os.mkfifo(folder / "pictures/a.png")
    (folder / "pictures/b.png").symlink_to("/dev/zero")
    (folder / "pictures/gone.png").symlink_to("nothing")
    Path(os.fsdecode(bytes(folder) + b"/pictures/Tr\xe4ger.png")).touch()
    products = {"part": GOOD["categories"]["part"], "home": {"path": "~/x"}, "typo": {"paths": "x"},
                "device": {"path": "/dev/zero"}, "again": GOOD["categories"]["part"]}  # fmt: skip
    write({**GOOD, "categories": products}, embedded())
    assert examine(data=True) == 6
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "fail  /dev/zero: is a pipe, a socket or a device, which would be read for ever: remove it",
        "fail  params.yaml: the path ~/x of the product home: write it out, `~` and `$` are not replaced",
        "fail  params.yaml: the product typo has no `path`: add it; is `paths` meant to be `path`?",
        "fail  pictures/Tr\\udce4ger.png: its name is not valid UTF-8: rename it (`convmv` does so for whole folders)",
        "fail  pictures/a.png: is a pipe, a socket or a device, which would be read for ever: remove it",
        "fail  pictures/b.png: is a pipe, a socket or a device, which would be read for ever: remove it",
    ]
    with pytest.raises(UserError, match="pictures/a.png: is a pipe"):
        refuse_products(folder)
    write({**GOOD, "categories": {"gone": {"path": "nowhere"}}})
    refuse_products(folder)  # DVC names it


def test_a_method_needs_those_that_it_combines() -> None:
    everywhere: dict[str, Any] = {"categories": {"part": {}}, "stages": []}
    nowhere: dict[str, Any] = {"categories": {}, "stages": []}
    both = {**everywhere, "needs": ["aecsad", "patchcore"]}
    write({**GOOD, "methods": {"oddpart": both, "aecsad": everywhere, "patchcore": nowhere}})
    (line,) = lines(repository.check_methods)
    assert line.startswith("fail  params.yaml: methods.oddpart needs patchcore on part: switch it on there")
    write({**GOOD, "methods": {"oddpart": both, "aecsad": everywhere, "patchcore": everywhere}})
    assert lines(repository.check_methods) == ["ok    methods that are on: aecsad, oddpart, patchcore"]


def test_a_profile_that_is_not_there() -> None:
    write({**GOOD, "profile": "gone"})
    (line,) = lines(repository.check_profile)
    assert line.startswith("fail  params.yaml: profile: there is no profiles/gone.yaml (known profiles: own)")


def test_weights_that_the_settings_need(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(folder / "hf"))
    section = {"pseudo_label": {**PROFILE["aecsad"]["pseudo_label"], "proposer": "foundation"}}
    write(GOOD, {"encoder": {"name": "resnet", "image_size": 256}, "aecsad": section})
    Path("data").mkdir()
    files = {part: {"file": f"{part}.pth"} for part in ("ram_plus", "grounding_dino", "sam_vit_b", "sam_vit_h")}
    repository.FOUNDATION_WEIGHTS.write_text(json.dumps({"folder": "w", "files": files}), encoding="utf-8")
    assert lines(repository.check_weights) == [
        "warn  the weights of resnet are not on this machine: the first run fetches them from the hub",
        "fail  2 weight files of the proposer `foundation` are missing: "
        "`oddpart weights --fetch --parts grounding_dino sam_vit_h`",
    ]
    for path in ("hf/hub/models--timm--resnet/x", "w/grounding_dino.pth", "w/sam_vit_h.pth"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    assert [line[:5] for line in lines(repository.check_weights)] == ["ok   ", "ok   "]
    own = {"name": "resnet", "image_size": 256, "weights": {"file": "w/own.pth", "sha256": "0" * 64}}
    write(GOOD, {"encoder": own, "aecsad": PROFILE["aecsad"]})
    assert lines(repository.check_weights)[0].startswith("fail  w/own.pth, the weights of resnet, is missing: put it")
    Path("w/own.pth").touch()
    assert lines(repository.check_weights)[0].startswith("ok    weights of resnet: w/own.pth")


def test_missing_packages_are_named_with_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    required = {"": ["numpy"], "train": ["numpy", *"abcdef"], "foundation": ["zz"], "flows": []}
    monkeypatch.setattr(machine, "requirements", lambda: required)
    monkeypatch.setattr(machine, "is_installed", lambda name: name == "numpy")
    found = lines(machine.check_packages)
    assert found[0] == "ok    packages for the commands: 1 installed"
    missing = (
        "packages for training and evaluation: 6 of 7 missing (a, b, c, d and 2 more): "
        "`pip install -c constraints.txt -e '.[train]'`"
    )
    assert found[1] == f"warn  {missing}"
    Path("dvc.yaml").touch()
    assert lines(machine.check_packages)[1] == f"fail  {missing}"


def test_requirements_are_those_of_pyproject() -> None:
    found = machine.requirements()
    assert {"typer", "rich"} <= set(found[""])
    assert {"torch", "dvc"} <= set(found["train"])
    assert "prefect" in found["flows"]
    assert {"transformers", "groundingdino-py"} <= set(found["foundation"])


def test_a_check_that_breaks_is_a_finding() -> None:
    for error, expected in (
        (RuntimeError("no\n  luck"), "warn  luck could not be checked (RuntimeError: no luck)"),
        (KeyError("four"), "fail  luck could not be checked: the key 'four' is missing"),
        (UserError("none:\n  - here"), "fail  none: - here"),
    ):

        def check_luck(error: Exception = error) -> Iterable[Finding]:
            yield Finding("ok", "found before")
            raise error

        assert lines(check_luck) == ["ok    found before", expected]
    Path("params.yaml").write_text("categories: [", encoding="utf-8")
    assert all(line for check in CHECKS for line in lines(check))
