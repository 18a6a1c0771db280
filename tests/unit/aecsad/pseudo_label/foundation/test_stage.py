"""The pseudo_label stage with the proposer `foundation`, tiny random weights, from files to files."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from stages.aecsad.pseudo_label.__main__ import main
from stages.aecsad.pseudo_label.foundation.finder import evenly
from stages.aecsad.pseudo_label.foundation.grounding_dino import quietly
from stages.core.io.components import read_component_maps
from tests.unit.aecsad.drawings import SIZE, draw, write_case

with quietly():
    from tests.golden.tiny_weights import write_manifest, write_tiny_weights

OPTIONS = [
    "--inputs", "inputs", "--weights", "weights.json", "--category", "parts", "--output", "out", "--choice", "c.json",
]  # fmt: skip
PROMPTS = {"objects": ["disc", "square"], "background": ["bag"], "box_threshold": 0.3, "text_threshold": 0.2}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_tiny_weights(folder)
    return folder


@pytest.fixture(autouse=True)
def inputs(here: Path, weights: Path) -> None:
    """Two pictures, and tiny weights with their manifest."""
    write_case(here, [draw(seed) for seed in range(2)], pseudo_label={"proposer": "foundation"})
    write_manifest(here / "weights.json", weights=weights, folder=str(weights))


def change(path: Path, *keys: str, value: object) -> None:
    """Set one value of a YAML or JSON file."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    node = content
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("masks", ["grounded", "automatic", "automatic_inside_grounded"])
def test_a_person_s_prompts_are_used_and_said_to_be(here: Path, masks: str) -> None:
    change(here / "params.yaml", "categories", "parts", "prompts", value={**PROMPTS, "masks": masks})
    main(OPTIONS)
    maps = read_component_maps(here / "out/component_maps.npz")
    assert maps.image_ids == ("000",)
    assert (maps.values.shape, maps.values.dtype, maps.kinds.dtype) == ((1, SIZE, SIZE), np.uint16, np.uint8)
    assert not maps.kinds.any()
    for values in maps.values:
        assert np.unique(values[values > 0]).tolist() == list(range(1, int(values.max()) + 1))
    choice = json.loads((here / "c.json").read_text())
    assert choice["proposer"] == "foundation"
    tags = yaml.safe_load((here / "out/tags.yaml").read_text())
    assert tags["human_input"] == "prompts of params.yaml, written by a person"
    assert tags["used"] == {**PROMPTS, "masks": masks}
    if masks == "automatic":  # the same input gives the same bytes
        before = (here / "out/component_maps.npz").read_bytes()
        main(OPTIONS)
        assert (here / "out/component_maps.npz").read_bytes() == before


def test_without_prompts_tags_are_used_and_said_to_be_unreviewed(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    main(OPTIONS)
    tags = yaml.safe_load((here / "out/tags.yaml").read_text())
    assert tags["human_input"].startswith("none: suggestions from RAM++")
    assert "nobody has reviewed" in caplog.text
    assert tags["tagged_images"] == 1
    assert tags["used"]["objects"] == tags["suggested"]["objects"] != []
    assert {"tag", "share", "probability", "threshold"} == set(tags["tags"][0])
    names = {row["tag"] for row in tags["tags"]}
    assert set(tags["suggested"]["objects"]) | set(tags["suggested"]["background"]) <= names
    assert "red" not in tags["suggested"]["objects"]  # names no thing


def test_without_prompts_and_tags_there_is_nothing_to_look_for(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    change(here / "profiles/tiny.yaml", "aecsad", "pseudo_label", "foundation", "tagged_images", value=0)
    change(here / "weights.json", "files", "ram_plus", "sha256", value="0" * 64)  # not needed then
    with pytest.raises(SystemExit):
        main(OPTIONS)
    assert "no words to look for: write `prompts`" in caplog.text


def test_unknown_words_stop_everything_before_the_tagging(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    prompts = {**PROMPTS, "masks": "automatic", "objects": ["screw", "螺丝"]}
    change(here / "params.yaml", "categories", "parts", "prompts", value=prompts)
    with pytest.raises(SystemExit):
        main(OPTIONS)
    assert "prompt '螺丝': unknown to the text encoder" in caplog.text
    assert "tensors loaded" not in caplog.text
    assert not (here / "out/component_maps.npz").exists()


def test_corrupt_files_stop_everything_before_any_network_is_built(
    here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for part in ("ram_plus", "grounding_dino", "sam_tiny", "text_tokenizer"):
        change(here / "weights.json", "files", part, "sha256", value="0" * 64)
    with pytest.raises(SystemExit) as ended:
        main(OPTIONS)
    assert ended.value.code == 1
    assert "4 weight files are not ready" in caplog.text
    assert "tensors loaded" not in caplog.text
    assert not (here / "out/component_maps.npz").exists()


def test_a_manifest_without_the_wanted_sam_is_said(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    change(here / "profiles/tiny.yaml", "aecsad", "pseudo_label", "foundation", "sam", value="vit_x")
    with pytest.raises(SystemExit):
        main(OPTIONS)
    assert "has no entry sam_vit_x" in caplog.text


def test_tagged_images_are_spread_over_all() -> None:
    files = [Path(str(number)) for number in range(10)]
    assert evenly(files, 3) == [files[0], files[4], files[9]]
    assert evenly(files, 20) == files
    assert evenly(files, 0) == evenly([], 5) == []
