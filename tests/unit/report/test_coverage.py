"""What a method can see of a product, in a sentence; without labels of test images."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.core.runtime.calibration import Threshold
from stages.report.coverage import Evidence, coverage, level, read_evidence
from tests.table import new_folder, violations

KEPT = Threshold(1.0, 0.05, 0.048, 40, 19)
FEW = Threshold(1.0, 0.05, 0.167, 5, 19)
SEEN = Evidence({"edited pictures": 0.998}, None, {"synthetic defects": 0.97}, None, KEPT, 200, "graph_merging")
THRESHOLD = {"value": 1.0, "false_alarm_budget": 0.05, "attainable_false_alarm_rate": 0.048, "normals": 40,
             "normals_needed": 19}  # fmt: skip
STAGES = ("pseudo_label", "cluster", "histogram", "hybrid_fusion")


def test_what_is_covered_is_said_with_its_number() -> None:
    assert coverage(SEEN).sentence == (
        "Logical anomalies: covered well (edited pictures score above normal images in 99.8% of the cases). "
        "Structural anomalies: covered well (synthetic defects score above normal images in 97.0% of the cases). "
        "False alarms: 4.8% of good products expected, from 40 validation images."
    )


def test_the_worst_kind_decides_and_each_is_named() -> None:
    found = coverage(Evidence({"cut": 0.97, "exchanged": 0.55}, None, {"large": 0.99, "small": 0.7}, None, KEPT))
    assert found.logical.startswith("Logical anomalies: not covered (cut score")
    assert "exchanged score above normal images in 55.0% of the cases" in found.logical
    assert found.structural.startswith("Structural anomalies: covered hardly (large score")


def test_levels() -> None:
    assert [level(auroc) for auroc in (1.0, 0.95, 0.949, 0.8, 0.6, 0.59)] == [
        "covered well", "covered well", "covered in part", "covered in part", "covered hardly", "not covered"
    ]  # fmt: skip


def test_what_would_help() -> None:
    def check(evidence: Evidence, *expected: str) -> None:
        found = coverage(evidence).helps
        assert len(found) == len(expected), found
        for line, words in zip(found, expected, strict=True):
            assert words in line

    weak = {"synthetic defects": 0.83}
    off = "components were not found reliably"
    rows = [
        (SEEN,),
        (Evidence(SEEN.logical, None, SEEN.structural, 0.2, FEW), "14 more normal validation images"),
        (Evidence({}, off, SEEN.structural, None, KEPT, 200, "graph_merging"), "words for the proposer `foundation`"),
        (Evidence({}, off, SEEN.structural, None, KEPT, 200, "foundation", words=True), "other words"),
        (Evidence({}, off, SEEN.structural, None, KEPT, 60, None), "more normal training images, there are 60"),
        (Evidence(SEEN.logical, None, weak, 0.09, KEPT, 200), "a higher resolution"),
        (Evidence(SEEN.logical, None, weak, 0.01, KEPT, 200),),
        (Evidence(SEEN.logical, None, weak, 0.09, FEW, 20), "14 more", "a higher resolution", "there are 20"),
    ]
    assert violations(check, rows) == []


def test_a_budget_that_cannot_be_kept_is_said() -> None:
    found = coverage(Evidence({}, None, {}, None, FEW)).false_alarms
    assert found.endswith(
        "16.7% of good products expected, from 5 validation images, the budget of 5.0% cannot be kept"
    )


def test_one_image_is_no_images() -> None:
    one = coverage(Evidence({}, None, {}, None, Threshold(1.0, 0.5, 0.5, 1, 2)))
    assert one.false_alarms.endswith("from 1 validation image")
    assert "1 more normal validation image, to keep" in one.helps[0]
    assert Threshold(1.0, 0.5, 0.5, 1, 2).source == "1 normal validation image"


def test_images_held_out_in_turns_are_named() -> None:
    found = coverage(Evidence({}, None, {}, None, Threshold(1.0, 0.05, 1 / 18, 17, 19, rotated=14)))
    assert "5.6% of good products expected, from 17 normal images (3 of validation, 14 held out in turns)" in (
        found.false_alarms
    )
    assert found.helps[0].startswith("2 more normal images, to keep the false alarms asked for")


def branch(weight: float, synthetic: float, edit: float | None = None, reason: str = "why") -> dict[str, Any]:
    return {"weight": weight, "synthetic_auroc": synthetic, "edit_auroc": edit, "reason": reason}


def column(weight: float, edit: float, reason: str = "grid") -> dict[str, Any]:
    edits = {"cut": edit, "exchanged": edit - 0.125}
    return {"weight": weight, "edit_auroc": edit, "edits": edits, "reason": reason}


def test_evidence_is_read_from_the_choices(tmp_path: Path) -> None:
    def check(choices: dict[str, Any], expected: Evidence) -> None:
        folder = new_folder(tmp_path)
        for stage, content in choices.items():
            (folder / f"{stage}.json").write_text(json.dumps(content))
        health = {"counts": {"train": {"normal": 200}}}
        assert read_evidence(folder, stages=STAGES, threshold=THRESHOLD, health=health) == expected

    on = {"columns": {"1x1": column(0.0, 0.5), "2x2": column(0.9, 0.95), "4x4": column(0.8, 0.9)}}
    off = {"columns": {"1x1": column(0.0, 0.5), "2x2": column(0.0, 0.6, "excluded: sees 60% of edits")}}
    edits = {"pictures with a part cut out": 0.95, "pictures with a part exchanged": 0.825}
    hybrid = {"histogram": branch(0.9, 0.58, 0.95), "far": branch(0.5, 0.75), "fine_far": branch(0.6, 0.875),
              "weak": branch(0.0, 0.99)}  # fmt: skip
    blind = {"histogram": branch(0.0, 0.5, None, "excluded: every image has the same score"), "far": branch(0.5, 0.75)}
    seen = {"synthetic defects": 0.875}
    rows = [
        (
            {"histogram": on, "hybrid_fusion": hybrid, "pseudo_label": {"proposer": "p", "human_input": "screw"}},
            Evidence(edits, None, seen, 0.125, KEPT, 200, "p", words=True),
        ),
        (
            {"histogram": off, "hybrid_fusion": blind, "cluster": {"reasons": ["areas differ", "few images"]}},
            Evidence({}, "components were not found reliably: areas differ; few images", {"synthetic defects": 0.75},
                     None, KEPT, 200),
        ),
        (
            {"histogram": off, "cluster": {"reasons": []}},
            Evidence({}, "the branch of components is off: sees 60% of edits", {}, None, KEPT, 200),
        ),
        (
            {"histogram": on, "hybrid_fusion": blind},
            Evidence({}, "the branch of components is off: every image has the same score",
                     {"synthetic defects": 0.75}, None, KEPT, 200),
        ),
        ({"histogram": on}, Evidence(edits, None, {}, None, KEPT, 200)),
        ({"other": {}}, Evidence({}, "the method looks for no components", {}, None, KEPT, 200)),
    ]  # fmt: skip
    assert violations(check, rows) == []


def test_numbers_of_parts_cover_logical_anomalies_where_areas_add_nothing_and_a_needless_branch_shows_the_gain(
    tmp_path: Path,
) -> None:
    """Numbers say what areas say, and more; the finer branch what the coarser one says."""
    areas = {"columns": {"1x1": column(0.9, 0.875)}}
    weights = {"histogram": branch(0.0, 0.5), "far": branch(0.0, 0.75), "fine_far": branch(0.75, 0.875)}
    (tmp_path / "histogram.json").write_text(json.dumps({**areas, "parts": column(0.9, 0.95)}))
    for weight, logical in ((0.9, {"pictures with a part cut out": 0.95, "pictures with a part exchanged": 0.825}),
                            (0.0, {})):  # fmt: skip
        choice = {**weights, "parts": branch(weight, 0.5, 0.95)}
        (tmp_path / "hybrid_fusion.json").write_text(json.dumps(choice))
        found = read_evidence(tmp_path, stages=STAGES, threshold=THRESHOLD, health=None)
        assert (found.logical, found.no_logical is None, found.resolution_gain) == (logical, weight > 0, 0.125)


def test_choices_of_other_methods_stages_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "hybrid_fusion.json").write_text(json.dumps({"far": branch(0.5, 0.75)}))
    found = read_evidence(tmp_path, stages=("patchcore",), threshold=THRESHOLD, health=None)
    assert (found.structural, found.training) == ({}, None)
    assert "not known, no synthetic defect was judged" in coverage(found).structural


def test_a_choice_without_its_numbers_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "hybrid_fusion.json").write_text(json.dumps({"far": {"weight": 1.0}}))
    with pytest.raises(KeyError, match="synthetic_auroc"):
        read_evidence(tmp_path, stages=STAGES, threshold=THRESHOLD, health=None)
