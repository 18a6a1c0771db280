"""A small trained product and its bundles, made once for all tests of this folder."""

import json
import shutil
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oddpart
from stages.core.io.result import read_result
from stages.core.io.tables import SYNTHETIC, read_images
from stages.core.runtime.manifest import seal_of
from stages.core.runtime.verifying import SCORES, score_error
from stages.export.__main__ import main
from tests.once import made_once, shared_folder
from tests.params_files import change_params
from tests.unit.commands.predict.case import INPUTS

METRICS = Path("m/part.json")


@dataclass(frozen=True)
class Exported:
    """Folder with params.yaml and the trained category `part`, which is the current one, and its bundles."""

    root: Path

    @property
    def bundles(self) -> Path:
        return self.root / "artifacts/export/part"


def export(*, inputs: Path = INPUTS, bundles: str = "artifacts/export/part") -> None:
    """Run the stage."""
    main(["--category", "part", "--inputs", str(inputs), "--scores", "artifacts/scores/part",
          "--evaluation", "artifacts/evaluation/part", "--metrics", str(METRICS), "--trained", "artifacts/aecsad",
          "--bundles", bundles])  # fmt: skip


@pytest.fixture(scope="package", autouse=True)
def exported(trained_part: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    def make(root: Path) -> None:
        shutil.copytree(trained_part, root, dirs_exist_ok=True)
        change_params(
            root, {"categories": {"part": {"source": "sample"}, "bar": {}}, "export": {"categories": {"part": {}}}}
        )
        export()

    shared, own = shared_folder(tmp_path_factory.getbasetemp()), tmp_path_factory.mktemp("exported")
    shutil.copytree(made_once(shared / "exported_part", make), own, dirs_exist_ok=True)
    with chdir(own):
        yield Exported(own)


def change_manifest(folder: Path, changes: dict[str, Any], *, seal: bool) -> None:
    path = folder / "manifest.json"
    content = {**json.loads(path.read_text()), **changes}
    if seal:
        content["sha256"] = seal_of(content)
    path.write_text(json.dumps(content))


def check_verdicts(bundle: oddpart.Bundle) -> None:
    """Hold a bundle of `part` against the results of its stages in all images that those have scored.

    Test images and those with synthetic defects, too, which the gate does not see: new images get a place.

    Raises:
        AssertionError: a score, verdict, p-value or map differs.
    """
    result, calibration = read_result(Path("artifacts/scores/part", bundle.method)), bundle.calibration
    files = read_images(INPUTS).set_index("image_id")["file"]
    assert result.maps is not None
    assert calibration.sureness is not None
    maps = dict(zip(result.maps.image_ids, result.maps.values, strict=True))
    assert set(result.scores["split"]) == {"validation", "test", SYNTHETIC}
    for row in result.scores.to_dict("records"):
        verdict = bundle.predict(INPUTS / "images" / files[row["image_id"]])
        assert score_error(bundle, verdict.score, row["score"]) <= SCORES
        assert verdict.is_anomalous == calibration.calls(row["score"])
        assert verdict.p_value == calibration.sureness.p_value(row["score"])
        for name, value in verdict.branches.items():
            assert value == pytest.approx(row[name], rel=1e-4, abs=1e-4)
        expected = np.asarray(maps[row["image_id"]], dtype=np.float32)
        np.testing.assert_allclose(verdict.anomaly_map, expected, rtol=1e-3, atol=1e-3 * np.ptp(expected))
