"""The registry of medical data sets, and the command that says what is missing before it runs anything."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.recipes import paper_files
from benchmarks.recipes.medical import FILES, SIR, compare_counts, params_of
from benchmarks.recipes.medical import main as medical
from benchmarks.recipes.medical_files import entry_of, find_dataset, read_medical_datasets
from stages.core.run.errors import UserError
from stages.download.category import load_category
from stages.split.sources import load_split_params
from tests.architecture.source_files import ROOT
from tests.medical_layouts import OPTIONS, WRITERS
from tests.table import new_folder, violations

NAMES = ["rsna", "vindr_cxr", "lag", "brats2021", "camelyon16", "isic2018", "oct2017", "aptos2019", "br35h"]
SMALL = [name for name in NAMES if name != "aptos2019"]  # whose layout has a thousand pictures


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the command reads, and the current one."""
    for name in ("data/medical.json", "data/paper.json", "data/mvtec_loco.json", "params.yaml", "profiles/paper.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "profiles/smoke.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change_params(**values: Any) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    Path("params.yaml").write_text(yaml.safe_dump(params | values), encoding="utf-8")


def test_the_nine_data_sets_have_entries_that_both_stages_take(repository: Path) -> None:
    datasets = read_medical_datasets(FILES)
    assert list(datasets) == NAMES
    change_params(categories={name: entry_of(dataset, Path("data")) for name, dataset in datasets.items()})
    for name, dataset in datasets.items():
        assert load_category(name).equal_files == "exclude"
        assert load_split_params(name).source == dataset.category["source"]
        assert all(re.match(r"(original: )?https://", source) for source in dataset.sources)


def test_params_yaml_and_documents_name_the_same_data_sets() -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    commented = [line.strip().removeprefix("# ") for line in text.splitlines() if "/data/medical/" in line]
    entries = {k: v for line in commented if line.startswith(tuple(NAMES)) for k, v in yaml.safe_load(line).items()}
    datasets = read_medical_datasets(ROOT / FILES)
    assert list(entries) == NAMES
    page = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    section = page.split("## Medical data sets")[1].split("\n## ")[0]
    for name, dataset in datasets.items():
        assert entries[name] == dataset.category | {"path": f"/data/medical/{dataset.places[0]}"}
        assert f"`{name}`" in section
        assert all(address in section for address in re.findall(r"https://[^\s,()]+", " ".join(dataset.sources)))


def test_a_layout_that_the_readers_take_lacks_nothing(tmp_path: Path) -> None:
    def check(name: str) -> None:
        folder = new_folder(tmp_path)
        dataset = read_medical_datasets(ROOT / FILES)[name]
        source = dataset.category["source"]
        WRITERS[source](folder / dataset.places[0])
        assert find_dataset(folder, dataset).lacking == ()
        assert {key: dataset.category[key] for key in OPTIONS.get(source, {})} == OPTIONS.get(source, {})

    assert violations(check, zip(SMALL)) == []


def test_folders_archives_and_what_is_not_there(tmp_path: Path) -> None:
    dataset = read_medical_datasets(ROOT / FILES)["rsna"]
    assert find_dataset(tmp_path, dataset).path is None
    (tmp_path / "RSNA.tar.gz").touch()
    assert find_dataset(tmp_path, dataset).path == tmp_path / "RSNA.tar.gz"
    (tmp_path / "RSNA/images").mkdir(parents=True)
    place = find_dataset(tmp_path, dataset)
    assert (place.path, place.lacking) == (tmp_path / "RSNA", ("data.json",))


def refused(caplog: pytest.LogCaptureFixture, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        medical(["--folder", "sets", *arguments])
    assert stop.value.code == 1
    assert not Path("work").exists()
    return caplog.text


def test_the_command_stops_before_any_work_with_the_list(
    repository: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(paper_files, "answers", lambda url: False)
    monkeypatch.setattr(paper_files, "try_to_load_from_cache", lambda model, file: None)
    WRITERS["brats"](Path("sets/BraTS2021"))
    Path("sets/OCT2017/train/NORMAL").mkdir(parents=True)
    with caplog.at_level(logging.INFO):
        message = refused(caplog)
    for part in (
        "nothing was run, 9 of what it takes are missing",  # eight data sets and the weights
        f'brats2021: {{"source": "brats", "path": "{Path("sets/BraTS2021").resolve()}", "equal_files": "exclude"}}',
        "put it to sets/RSNA with data.json, images (also looked for: RSNA.tar.gz)",
        "from https://zenodo.org/records/12677223 (RSNA.tar.gz), original: https://www.kaggle.com/c/rsna-pneumonia",
        "terms: its authors: academic use only",
        "sets/OCT2017 is there and lacks test/NORMAL, test/CNV, test/DME, test/DRUSEN",
        "hf download timm/wide_resnet50_2.tv2_in1k model.safetensors",
    ):
        assert part in message, part


def test_check_of_what_is_there(repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    WRITERS["br35h"](Path("sets/Br35H"))
    with caplog.at_level(logging.INFO):
        medical(["--folder", "sets", "--check", "--profile", "smoke", "--datasets", "br35h"])
    assert "1 data sets ready" in caplog.text
    assert not Path("work").exists()
    assert "has no data set br53h: known are rsna" in refused(caplog, "--datasets", "br53h")


def test_sir_alone_is_switched_on_for_all_of_them(repository: Path) -> None:
    params = params_of("paper", {"br35h": {"source": "br35h"}, "lag": {"source": "medianomaly"}}, SIR)
    assert params["profile"] == "paper"
    assert list(params["categories"]) == ["br35h", "lag"]
    sir = params["methods"].pop("sir")
    assert sir["categories"] == params["categories"]
    assert sir["universal"] == ["sir_one_shot_universal", "sir_full_shot_universal"]
    assert sir["specialised"] == ["sir_one_shot_specialised", "sir_full_shot_specialised"]
    assert sir["stages"]
    assert {name for name, entry in params["methods"].items() if entry["categories"]} == set()
    assert params["evaluation"] == yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["evaluation"]


def test_other_methods_are_switched_on_without_sir(repository: Path) -> None:
    methods = params_of("smoke", {"lag": {}}, ["patchcore"])["methods"]
    active = {name: entry["categories"] for name, entry in methods.items() if entry["categories"]}
    assert active == {"patchcore": {"lag": {}}}
    with pytest.raises(UserError, match="methods: there is no patchcor: known are oddpart, aecsad, patchcore"):
        params_of("smoke", {"lag": {}}, ["patchcor"])


def test_other_numbers_of_images_than_published_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    datasets = read_medical_datasets(ROOT / FILES)
    (tmp_path / "metrics/split").mkdir(parents=True)
    counts = {"train": {"normal": 900}, "validation": {"normal": 99}, "test": {"normal": 500, "unspecified": 1500}}
    counts["equal_files"] = {"seen_twice": 1, "contradicting": 0}
    (tmp_path / "metrics/split/br35h.json").write_text(json.dumps(counts), encoding="utf-8")
    compare_counts(tmp_path, datasets, ["br35h"])
    message = " ".join(caplog.text.split())
    assert "br35h: 999 images of train (with validation), published are 1000: part of it may be missing" in message
    assert "or it is another version of the data set, whose results do not compare; excluded as equal files" in message
    assert "images of test" not in caplog.text


def test_a_damaged_registry_is_named(tmp_path: Path) -> None:
    (tmp_path / "medical.json").write_text('{"lag": {"title": "LAG"}}', encoding="utf-8")
    with pytest.raises(UserError, match=r"medical\.json: .*validation errors?"):
        read_medical_datasets(tmp_path / "medical.json")
