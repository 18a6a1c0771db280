"""SIR in the real DAG: off by default, four settings by one edit, one model for two products, judged like the rest."""

import json
from typing import Any

import pandas as pd
import pytest

from stages.core.io.result import read_result
from stages.core.io.tables import read_images
from tests.end_to_end.toy_parts import write_toy_part
from tests.end_to_end.workspace import Workspace, copy_repository

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1500)]
PRODUCTS = {"plate": 16, "panel": 12}
CATEGORIES = {
    name: {"source": "folder", "path": f"data/{name}", "ratios": [40, 30, 30]} for name in (*PRODUCTS, "bystander")
}
SETTINGS = {
    scope: [f"sir_{shots}_{scope}" for shots in ("one_shot", "full_shot")] for scope in ("universal", "specialised")
}
METHODS = [method for methods in SETTINGS.values() for method in methods]
TARGETS = [f"evaluation@{category}" for category in PRODUCTS]


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two products that take part and one that does not."""
    space = copy_repository(tmp_path_factory.mktemp("sir"))
    for name, period in (*PRODUCTS.items(), ("bystander", 20)):
        write_toy_part(space.root / "data" / name, period=period, seed=period, unmasked=5)
    space.set_params({"profile": "smoke", "categories": CATEGORIES})
    off = space.dvc("stage", "list", "--name-only").split()
    assert "patchcore@plate" in off
    assert not [name for name in off if "sir" in name]
    space.set_params({f"methods.{name}.categories": {} for name in ("oddpart", "aecsad", "patchcore")})
    space.set_params({"methods.sir.categories": {name: {} for name in PRODUCTS}})
    space.set_params({f"methods.sir.{scope}": methods for scope, methods in SETTINGS.items()})
    space.dvc("repro", *TARGETS)
    return space


def read(space: Workspace, name: str) -> Any:
    return json.loads((space.root / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("category", PRODUCTS)
def test_it_beats_chance_on_defects_that_show_in_the_pixels(space: Workspace, method: str, category: str) -> None:
    metrics = read(space, f"metrics/evaluation/{category}.json")[method]
    assert metrics["images"]["normal"] == 15
    assert metrics["image_auroc"]["all"] > 0.75
    assert metrics["pixel_auroc"]["all"] > 0.75
    repetitions = {"repetition_0", "repetition_1"} if "one_shot" in method else set()
    assert set(metrics.get("branches", {})) == repetitions
    if repetitions:
        both = [metrics["branches"][name]["all"] for name in sorted(repetitions)]
        over = metrics["repetitions"]
        assert over["count"] == 2
        assert over["image_auroc_mean"]["all"] == pytest.approx(sum(both) / 2, abs=1e-5)
        assert over["image_auroc_deviation"]["all"] == pytest.approx(abs(both[0] - both[1]) / 2**0.5, abs=1e-5)
    else:
        assert "repetitions" not in metrics


def test_synthetic_defects_score_higher_than_their_images(space: Workspace) -> None:
    for method in METHODS:
        scores = read_result(space.root / f"artifacts/scores/plate/{method}").scores.set_index("split")["score"]
        assert scores.loc["synthetic"].mean() > scores.loc["validation"].mean(), method


def test_one_normal_training_image_of_each_category_and_the_same_in_both_scopes(space: Workspace) -> None:
    universal = read(space, "metrics/choices/sir/sir_one_shot_universal.json")["drawn"]
    assert {frozenset(draw) for draw in universal.values()} == {frozenset(PRODUCTS)}
    for category in PRODUCTS:
        images = read_images(space.root / f"artifacts/split/{category}/inputs").set_index("image_id")
        own = read(space, f"metrics/choices/{category}/sir_one_shot_specialised.json")["drawn"]
        for number, draw in universal.items():
            assert images["split"][draw[category]] == "train"
            assert own[number] == {category: draw[category]}
    assert read(space, "metrics/choices/sir/sir_full_shot_universal.json")["drawn"] == {}


def test_scores_curves_and_costs_are_kept_like_those_of_other_methods(space: Workspace) -> None:
    images = read_images(space.root / "artifacts/split/plate/inputs")
    scores = read_result(space.root / "artifacts/scores/plate/sir_one_shot_universal").scores
    assert set(scores["image_id"]) == set(images["image_id"][images["split"] != "train"])
    curve = pd.read_csv(space.root / "metrics/plots/training/sir/sir_one_shot_universal.csv")
    assert curve["repetition_1"].iloc[-1] < curve["repetition_1"].iloc[0]
    costs = space.root / "metrics/cost"
    found = {path.relative_to(costs).as_posix() for path in costs.rglob("sir_*.json")}
    each = {f"{category}/sir_features.json" for category in PRODUCTS}
    each |= {f"{method}/sir_universal.json" for method in SETTINGS["universal"]}
    pairs = [(method, category) for method in SETTINGS["specialised"] for category in PRODUCTS]
    each |= {f"{method}-{category}/sir_specialised.json" for method, category in pairs}
    for scope, methods in SETTINGS.items():
        each |= {f"{method}-{category}/sir_{scope}_scores.json" for method in methods for category in PRODUCTS}
    assert found == each


def test_a_second_run_runs_nothing_and_a_changed_value_what_depends_on_it(space: Workspace) -> None:
    assert space.stages_run(*TARGETS) == set()
    space.set_params({"profiles.smoke.patchcore.neighbours": 4})
    assert space.stages_run(*TARGETS) == set()
    space.set_params({"profiles.smoke.sir.maps.loops": "mean"})
    scoring = {f"sir_{scope}_scores@{m}-{c}" for scope, ms in SETTINGS.items() for m in ms for c in PRODUCTS}
    run = space.stages_run(*TARGETS)
    assert scoring <= run <= {*scoring, *TARGETS}


def test_a_category_less_trains_the_universal_models_again_and_no_specialised_one(space: Workspace) -> None:
    space.set_params({"methods.sir.categories": {"plate": {}}})
    run = space.stages_run(*(target for target in TARGETS if target.endswith("plate")))
    assert {name for name in run if name.startswith(("sir_features", "sir_universal@", "sir_specialised@"))} == {
        f"sir_universal@{method}" for method in SETTINGS["universal"]
    }
