"""The proposer `foundation` through the real DAG, with tiny random weights and without any network."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from stages.aecsad.model.label_maps import read_label_maps
from stages.aecsad.pseudo_label.foundation.grounding_dino import quietly
from stages.core.io.components import read_component_maps
from tests.end_to_end.loose_masks import LOOSE, PROMPTS
from tests.end_to_end.tiny_product import write_tiny_product
from tests.end_to_end.workspace import Workspace, copy_repository

with quietly():
    from tests.golden.tiny_weights import write_manifest, write_tiny_weights

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1800)]
SECTION = "profiles.smoke.aecsad.pseudo_label"
CATEGORY = {"source": "mvtec_loco", "path": "data/tiny"}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The repository with the tiny product, the proposer switched on, and no weights yet."""
    root: Path = tmp_path_factory.mktemp("foundation")
    space = copy_repository(root)
    write_tiny_product(root / "data" / "tiny")
    for image in (root / "data" / "tiny" / "train" / "good").glob("*[13579].png"):
        image.unlink()  # half of the images are enough, and the detector takes a second each
    weights = tmp_path_factory.mktemp("mirror")
    write_tiny_weights(weights)
    write_manifest(root / "data/foundation_weights.json", weights=weights, folder="work/weights")
    (root / "mirror").symlink_to(weights)
    space.set_params({"profile": "smoke", "categories": {"tiny": CATEGORY | {"prompts": PROMPTS}}})
    space.set_params({f"{SECTION}.foundation.sam": "tiny", f"{SECTION}.foundation.segmenter": LOOSE})
    plausible = {"max_spread": float("inf"), "max_count_variation": float("inf")}  # of masks by random weights
    space.set_params({f"profiles.smoke.aecsad.cluster.{key}": value for key, value in plausible.items()})
    space.set_params({f"{SECTION}.foundation.tagged_images": 4, f"{SECTION}.proposer": "foundation"})
    return space


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the network gets a refused connection."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def weights_command(space: Workspace, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*space.command()[:1], "-m", "commands", "weights", *options, "--parts"]
    parts = ["ram_plus", "tag_list", "tag_thresholds", "grounding_dino", "text_config", "text_tokenizer"]
    return subprocess.run(
        [*command, *parts, "text_tokenizer_config", "sam_tiny"],
        cwd=space.root, env=space.environment, text=True, capture_output=True, check=False,
    )  # fmt: skip


def test_the_whole_branch_runs_offline(space: Workspace) -> None:
    refused = space.dvc("repro", "pseudo_label@tiny", check=False)
    assert "8 weight files are not ready" in refused
    assert "Traceback" not in refused

    fetched = weights_command(space, "--fetch", "--mirror", "mirror")
    assert fetched.returncode == 0, fetched.stderr
    assert weights_command(space, "--check").returncode == 0
    assert space.stages_run("segmentation@tiny") == {"pseudo_label@tiny", "cluster@tiny", "segmentation@tiny"}
    assert space.stages_run("segmentation@tiny") == set()

    maps = read_component_maps(space.root / "artifacts/aecsad/pseudo_label/tiny/component_maps.npz")
    assert maps.image_ids == tuple(f"train/good/{number:03d}" for number in range(0, 20, 2))
    assert (maps.values.shape, maps.values.dtype, maps.kinds.dtype) == ((10, 256, 256), np.uint16, np.uint8)
    assert maps.values.max() > 0
    labels = read_label_maps(space.root / "artifacts/aecsad/cluster/tiny/label_maps.npz")
    assert labels.image_ids == maps.image_ids
    assert labels.num_classes > 1  # so segmentation really trained
    tags = yaml.safe_load((space.root / "artifacts/aecsad/pseudo_label/tiny/tags.yaml").read_text(encoding="utf-8"))
    assert tags["human_input"] == "prompts of params.yaml, written by a person"
    assert tags["used"]["objects"] == ["disc", "square"]
    assert tags["tagged_images"] == 4
    assert tags["tags"]
