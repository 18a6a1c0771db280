"""`make paper` with the proposer `foundation`: its weights and prompts reach the clone, or nothing is run."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.recipes import paper, paper_files
from benchmarks.recipes.paper_foundation import WEIGHTS, foundation_files, prompts_of
from stages.aecsad.pseudo_label.foundation import propose
from stages.aecsad.pseudo_label.foundation.prompts import load_prompts
from stages.aecsad.pseudo_label.foundation.weights import parts_of, read_weight_files, require
from stages.core.run.errors import UserError
from stages.core.run.params import PARAMS_FILE
from stages.download.category import AnyCategory
from tests.architecture.source_files import ROOT
from tests.params_files import change_params, read_params, write_params

PARTS = parts_of(sam="vit_h", tagged_images=50)
PROFILE = Path("profiles/paper.yaml")
PROMPTS = {
    "objects": ["pin", "pushpin"], "background": ["tray"], "box_threshold": 0.15, "text_threshold": 0.2,
    "masks": "grounded",
}  # fmt: skip


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the command reads, with small files of weights, the proposer switched on, and every server answering."""
    here = tmp_path / "repository"
    (here / "data").mkdir(parents=True)
    for name in ("data/paper.json", "data/mvtec_loco.json"):
        (here / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    write_params(here, read_params(ROOT))
    change_params(here, {"profiles.paper.aecsad.pseudo_label.proposer": "foundation"})
    change_params(here, {"categories": {"pushpins": {"source": "mvtec_loco", "path": "x", "prompts": PROMPTS}}})
    (here / "work/weights").mkdir(parents=True)
    for part in PARTS:
        (here / "work/weights" / part).write_text(part, encoding="utf-8")
    entry = {"url": "https://example.invalid/x", "size": "tiny", "licence": "CC0"}
    files = {p: {**entry, "file": p, "sha256": hashlib.sha256(p.encode()).hexdigest()} for p in PARTS}
    (here / WEIGHTS).write_text(json.dumps({"folder": "work/weights", "files": files}), encoding="utf-8")
    monkeypatch.chdir(here)
    monkeypatch.setattr(paper_files, "answers", lambda url: True)
    return here


@pytest.fixture
def runs(repository: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[Path, Any]]:
    """The params of every run of the pipeline, which does not run; nor do the download and the table."""
    found: list[dict[Path, Any]] = []

    def evaluated(clone: Path, category: str, params: dict[Path, Any], *, data: str) -> Path:
        found.append(params)
        (repository / "done").mkdir(exist_ok=True)
        for name in ("metrics.json", "scores.csv"):
            (repository / "done" / name).touch()
        return repository / "done"

    monkeypatch.setattr(paper, "evaluated", evaluated)
    monkeypatch.setattr(paper, "fetch", lambda manifest, folder: repository / "loco.tar")
    monkeypatch.setattr(paper, "prepare_clone", lambda folder: folder)
    monkeypatch.setattr(paper, "show_runs", lambda folder, method: None)
    return found


def test_prompts_and_weights_go_along(
    runs: list[dict[Path, Any]], repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paper.main(["--seeds", "0", "--categories", "pushpins", "screw_bag"])
    pushpins, screw_bag = (run[PARAMS_FILE]["categories"] for run in runs)
    assert pushpins["pushpins"]["prompts"] == PROMPTS
    assert pushpins["pushpins"]["path"] == str(repository / "loco.tar")
    AnyCategory.model_validate(pushpins["pushpins"])
    assert "prompts" not in screw_bag["screw_bag"]
    assert "screw_bag: params.yaml has no prompts" in caplog.text
    assert all(WEIGHTS in run for run in runs)


def test_a_clone_finds_the_weights_and_reads_the_prompts(
    runs: list[dict[Path, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper.main(["--seeds", "0", "--categories", "pushpins"])
    for file, values in runs[0].items():
        (tmp_path / "clone" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "clone" / file).write_text(paper.text_of(file, values), encoding="utf-8")
    expected = load_prompts("pushpins")
    monkeypatch.chdir(tmp_path / "clone")
    require(read_weight_files(WEIGHTS), PARTS)
    assert load_prompts("pushpins") == expected is not None


def test_classical_proposers_need_and_get_nothing(runs: list[dict[Path, Any]], repository: Path) -> None:
    change_params(repository, {"profiles.paper.aecsad.pseudo_label.proposer": "auto"})
    WEIGHTS.unlink()
    paper.main(["--seeds", "0", "--categories", "pushpins"])
    assert sorted(runs[0]) == [PARAMS_FILE, PROFILE]
    assert "prompts" not in runs[0][PARAMS_FILE]["categories"]["pushpins"]


def test_missing_weights_stop_the_command_before_any_work(
    runs: list[dict[Path, Any]], repository: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(paper, "fetch", lambda manifest, folder: pytest.fail("the archive was fetched"))
    (repository / "work/weights/sam_vit_h").unlink()
    with pytest.raises(SystemExit):
        paper.main(["--seeds", "0", "--categories", "pushpins"])
    assert "--fetch --parts sam_vit_h" in caplog.text
    assert not runs


def test_everything_that_is_missing_is_listed_at_once(
    runs: list[dict[Path, Any]], repository: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(paper_files, "answers", lambda url: False)
    monkeypatch.setattr(paper_files, "try_to_load_from_cache", lambda model, file: None)
    monkeypatch.setattr(propose, "PACKAGES", ("no_such_package",))
    (repository / "work/weights/sam_vit_h").unlink()
    with pytest.raises(SystemExit):
        paper.main(["--seeds", "0", "--categories", "pushpins"])
    for part in ("mvtec_loco_anomaly_detection", "wide_resnet50_2", "no_such_package", "--parts sam_vit_h"):
        assert part in caplog.text
    assert not runs


def test_prompts_that_the_stage_would_refuse(repository: Path) -> None:
    assert prompts_of("breakfast_box") == {}
    change_params(repository, {"categories.pushpins.prompts": PROMPTS | {"background": ["pin"]}})
    with pytest.raises(UserError, match="pin is under objects and under background"):
        prompts_of("pushpins")


def test_an_absolute_folder_stays(repository: Path) -> None:
    manifest = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    folder = str(repository / "work/weights")
    WEIGHTS.write_text(json.dumps(manifest | {"folder": folder}), encoding="utf-8")
    assert foundation_files(PROFILE)[WEIGHTS]["folder"] == folder
