"""`make paper` offline: the command and the DAG with the publications' networks, random weights and two iterations."""

import json
import re
from typing import Any

import pytest

from stages.aecsad.model.label_maps import read_pasted_images
from stages.core.io.components import read_component_maps
from stages.core.io.weights import read_weights
from tests.end_to_end.hub_cache import write_hub_cache
from tests.end_to_end.tiny_product import write_fetched_loco
from tests.end_to_end.workspace import Workspace, copy_repository
from tests.params_files import read_params

pytestmark = [pytest.mark.proof, pytest.mark.timeout(3000)]
ENCODER = "wide_resnet50_2.tv2_in1k"
COUNTS = {"train/good": 20, "validation/good": 2, "test/good": 1, "test/logical_anomalies": 1}
COUNTS["test/structural_anomalies"] = 1
SHORTER = {
    "pseudo_label.proposer": "background_difference",  # components are then described and clustered
    "segmentation.iterations": {"epochs": 1},
    "cluster.pasted_components.copies": 1,
    "student_teacher.training.iterations": 2,
}
SMALLER = {  # the profile's and the variant's networks are the same, so one test of them is enough
    "student_teacher.training.batch_size": 2,
    "student_teacher.local_student.widths": [8, 16, 16, 16, 16],
    "segmentation.batch_size": 2,
    "segmentation.width": 16,
}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, str]]:
    """A copy of the repository whose archive is fetched already, and what the environment has of the hub cache."""
    root = tmp_path_factory.mktemp("paper")
    workspace = copy_repository(root)
    write_fetched_loco(root, counts=COUNTS)
    workspace.set_params({f"profiles.paper.aecsad.{key}": value for key, value in SHORTER.items()})
    change_variant(workspace, {**SHORTER, **SMALLER})
    return workspace, write_hub_cache(root / "hub_home", ENCODER)


def change_variant(workspace: Workspace, values: dict[str, Any]) -> None:
    """Set values of the variant `thesis`, which take the place of the profile's."""
    file = workspace.root / "data/paper.json"
    files = json.loads(file.read_text(encoding="utf-8"))
    files["variants"]["thesis"] |= values
    file.write_text(json.dumps(files), encoding="utf-8")


def reproduce(space: tuple[Workspace, dict[str, str]], variant: str | None) -> str:
    """Run the command for one category and one seed and return what it printed."""
    workspace, environment = space
    options = [*(["--variant", variant] if variant else []), "--seeds", "0", "--categories", "pushpins"]
    return workspace.run("benchmarks.recipes.paper", *options, environment=environment)


@pytest.mark.parametrize(
    ("variant", "maps", "widths"),
    [
        (None, ["local", "global_local"], [256, 512, 512, 512, 512]),
        ("thesis", ["local", "global", "global_local"], [8, 16, 16, 16, 16]),
    ],
)
def test_the_published_settings_run_through_the_dag(
    space: tuple[Workspace, dict[str, str]], variant: str | None, maps: list[str], widths: list[int]
) -> None:
    output = reproduce(space, variant)
    root = space[0].root / "work/paper"
    clone = root / "repository/artifacts"
    _, arguments = read_weights(clone / "aecsad/student_teacher/pushpins/model.safetensors")
    assert arguments["encoder"] == ENCODER
    assert arguments["module"]["channels"] == [256, 512, 1024]
    assert (arguments["module"]["dim"], arguments["module"]["map_size"]) == (512, 64)
    assert arguments["module"]["maps"] == maps
    assert arguments["module"]["local_student"]["widths"] == widths
    assert (
        read_params(root / "repository")["profiles"]["paper"]["aecsad"]["cluster"]["groups"] == "union"
    )  # of this category only
    metrics = json.loads((root / f"results/{variant or 'paper'}/seed-0/pushpins.json").read_text(encoding="utf-8"))[
        "aecsad"
    ]
    assert metrics["images"]["normal"] == 1
    ours = f"{100 * metrics['image_auroc']['logical']:.1f}"
    (row,) = [line for line in output.splitlines() if line.split()[:2] == ["pushpins", "logical"]]
    assert row.split()[2:] == ["69.0", "63.6", "65.1", "97.7", "95.7", "99.6", "100.0", ours]
    assert read_component_maps(clone / "aecsad/pseudo_label/pushpins/component_maps.npz").values.shape == (20, 256, 256)
    choice = json.loads((root / "repository/metrics/choices/pushpins/cluster.json").read_text(encoding="utf-8"))
    assert choice["plausible"]
    assert len(read_pasted_images(clone / "aecsad/cluster/pushpins/pasted.npz").images) == 20


def test_what_was_done_before_is_not_done_again(space: tuple[Workspace, dict[str, str]]) -> None:
    """Though the variant ran in between, in the same clone."""
    output = reproduce(space, None)
    assert "done before" in output
    assert "Running stage" not in output


def test_a_changed_setting_runs_what_depends_on_it(space: tuple[Workspace, dict[str, str]]) -> None:
    change_variant(space[0], {"score_fusion.branch_weights.histogram": 0.0})
    stages = re.findall(r"Running stage '([^']+)'", reproduce(space, "thesis"))
    assert stages == ["score_fusion@pushpins", "evaluation@pushpins"]
