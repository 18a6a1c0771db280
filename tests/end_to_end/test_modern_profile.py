"""`make paper PROFILE=modern` offline: DINOv3's architecture, tiny foundation models, a few steps, random weights."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file

from stages.aecsad.pseudo_label.foundation.grounding_dino import quietly
from stages.core.io.tables import read_images
from stages.core.io.weights import read_weights
from stages.core.neighbours.memory import read_bank
from stages.core.run.network import Network
from tests.end_to_end.loose_masks import LOOSE, PROMPTS
from tests.end_to_end.tiny_product import write_fetched_loco
from tests.end_to_end.workspace import Workspace, copy_repository

with quietly():
    from tests.golden.tiny_weights import write_manifest, write_tiny_weights

pytestmark = [pytest.mark.proof, pytest.mark.timeout(3000)]
ENCODER = "vit_tiny_patch16_dinov3_qkvb"  # timm's smallest of the family
BLOCKS = [0, 1, 2]  # what follows is cut off
COUNTS = {"train/good": 12, "validation/good": 3, "test/good": 2, "test/logical_anomalies": 2}
COUNTS["test/structural_anomalies"] = 2
SMALLER = {
    "pseudo_label.foundation.sam": "tiny",
    "pseudo_label.foundation.segmenter": LOOSE,
    "pseudo_label.foundation.tagged_images": 2,
    "cluster.max_spread": float("inf"),  # of masks by random weights
    "cluster.max_count_variation": float("inf"),
    "segmentation.iterations": {"epochs": 1},
    "segmentation.width": 16,
    "student_teacher.training.iterations": 2,
    "student_teacher.teacher.dim": 16,
    "student_teacher.local_student.widths": [8, 16, 16, 16, 16],
    "hybrid_fusion.fine_neighbours.image_size": 280,  # no multiple of the patch's side
    "hybrid_fusion.fine_neighbours.bank_patches": 50,
}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the repository with an archive, weights and natural images, all made up."""
    root = tmp_path_factory.mktemp("modern")
    workspace = copy_repository(root)
    write_fetched_loco(root, counts=COUNTS)
    (root / "work/weights").mkdir()
    write_tiny_weights(root / "work/weights")
    write_manifest(root / "data/foundation_weights.json", weights=root / "work/weights", folder="work/weights")
    (root / "work/penalty_images").symlink_to(root / "tiny/train/good")
    torch.manual_seed(0)
    weights = root / "work/weights/encoder.safetensors"
    save_file(timm.create_model(ENCODER, pretrained=False).state_dict(), weights)
    file = {"file": "work/weights/encoder.safetensors", "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    encoder = {"name": ENCODER, "image_size": 256, "out_indices": BLOCKS, "weights": file}
    workspace.set_params({"profiles.modern.encoder": encoder})
    workspace.set_params({f"profiles.modern.aecsad.{key}": value for key, value in SMALLER.items()})
    pushpins = {"source": "mvtec_loco", "path": "x", "prompts": PROMPTS}
    workspace.set_params({"categories": {"pushpins": pushpins}})
    return workspace


def run(space: Workspace, *command: str, root: Path | None = None) -> str:
    """Run a command in the repository, or in a clone, and return what it printed."""
    return Workspace(root or space.root).run(*command, environment={"HF_HUB_OFFLINE": "1"})


def recipe(space: Workspace, *options: str) -> str:
    command = ["benchmarks.recipes.paper", "--profile", "modern", "--categories", "pushpins"]
    return run(space, *command, "--seeds", "0", *options)


@pytest.fixture(scope="module")
def trained(space: Workspace) -> str:
    """The profile has run; what was printed."""
    return recipe(space)


def test_the_profile_runs_and_its_numbers_are_those_of_its_scores(space: Workspace, trained: str) -> None:
    assert "modern: 1 categories, 1 seeds" in trained
    results, clone = space.root / "work/paper/results/modern", space.root / "work/paper/repository"
    metrics = json.loads((results / "seed-0/pushpins.json").read_text(encoding="utf-8"))
    assert set(metrics) == {"oddpart", "aecsad", "patchcore"}
    scores = (results / "seed-0/pushpins.csv").read_text(encoding="utf-8").splitlines()
    assert len(scores) == 1 + 3 * 6
    assert "found as the scores have them" in run(space, "commands", "verify", str(results))
    bank = read_bank(clone / "artifacts/scores/pushpins/oddpart/bank.safetensors")
    network = Network.parse(bank.encoder)
    assert (network.name, network.out_indices, bank.image_size) == (ENCODER, tuple(BLOCKS), (280, 280))
    _, arguments = read_weights(clone / "artifacts/aecsad/student_teacher/pushpins/model.safetensors")
    assert arguments["encoder"] == bank.encoder
    weights = json.loads((clone / "metrics/choices/pushpins/hybrid_fusion.json").read_text(encoding="utf-8"))
    assert {one["weight"] for one in weights.values()} <= {0.0, 1.0}
    fusion = json.loads((clone / "artifacts/scores/pushpins/oddpart/fusion.json").read_text(encoding="utf-8"))
    assert fusion["combination"] == "fisher"


@pytest.mark.usefixtures("trained")
def test_its_bundle_judges_as_the_pipeline_does(space: Workspace) -> None:
    """Even with classes of random weights, of which many pixels show two nearly alike: the gate compares all."""
    clone, bundles = space.root / "work/paper/repository", space.root / "bundles"
    scored, file = "artifacts/scores/pushpins", clone / "params.yaml"
    before = file.read_text(encoding="utf-8")
    params = yaml.safe_load(before) | {"export": {"categories": {"pushpins": {}}}}
    file.write_text(yaml.safe_dump(params), encoding="utf-8")
    try:
        run(
            space, "stages.export", "--category", "pushpins", "--inputs", "artifacts/split/pushpins/inputs",
            "--trained", "artifacts/aecsad", "--scores", scored, "--evaluation", "artifacts/evaluation/pushpins",
            "--metrics", "metrics/evaluation/pushpins.json", "--bundles", str(bundles), root=clone,
        )  # fmt: skip
    finally:
        file.write_text(before, encoding="utf-8")
    assert "pictures judged, with the pipeline's scores" in run(space, "commands", "verify", str(bundles / "oddpart"))
    manifest = json.loads((bundles / "oddpart/manifest.json").read_text(encoding="utf-8"))
    assert sorted(one["size"] for one in manifest["encoder"]["graphs"]) == [[256, 256], [280, 280]]


@pytest.mark.usefixtures("trained")
def test_predict_scores_as_the_pipeline_does(space: Workspace) -> None:
    """With images that fit the patches (256 px) and others (280 px)."""
    clone = space.root / "work/paper/repository"
    pictures = clone / "artifacts/split/pushpins/inputs"
    run(space, "commands", "predict", "--category", "pushpins", str(pictures / "images"),
        "--output", str(space.root / "out"), root=clone)  # fmt: skip
    predicted = pd.read_csv(space.root / "out/scores.csv")
    by_file = predicted.set_index(predicted["path"].map(lambda path: Path(path).name))["score"]
    files = read_images(pictures).set_index("image_id")["file"]
    table = pd.read_csv(clone / "metrics/scores/pushpins.csv")
    judged = table[table["method"] == "oddpart"]
    assert len(judged) == 6
    ours = by_file[files[judged["image_id"]]].to_numpy()
    np.testing.assert_allclose(ours, judged["score"], rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("trained")
def test_a_variant_of_the_fusion_trains_nothing_again(space: Workspace) -> None:
    output = recipe(space, "--variant", "sum")
    assert "Running stage 'hybrid_fusion@pushpins'" in output
    assert "Running stage 'student_teacher" not in output
    assert "Running stage 'segmentation" not in output
    changed = space.root / "work/paper/results/sum/seed-0/pushpins.json"
    metrics = json.loads(changed.read_text(encoding="utf-8"))
    metrics["oddpart"]["image_auroc"]["logical"] = 1.5  # rounded scores with ties allow any number from 0.5 to 1
    changed.write_text(json.dumps(metrics), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"pushpins oddpart image_auroc logical: stated 1\.5"):
        run(space, "commands", "verify", str(changed.parents[1]))
