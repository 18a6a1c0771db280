"""A small trained product and its bundles, made once for all tests of this folder."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stages.core.runtime.manifest import seal_of
from stages.export.__main__ import main
from tests.params_files import change_params
from tests.unit.commands.predict.case import INPUTS, train_parts

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
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    root = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        train_parts(root)
        change_params(
            root, {"categories": {"part": {"source": "sample"}, "bar": {}}, "export": {"categories": {"part": {}}}}
        )
        export()
        yield Exported(root)


def change_manifest(folder: Path, changes: dict[str, Any], *, seal: bool) -> None:
    path = folder / "manifest.json"
    content = {**json.loads(path.read_text()), **changes}
    if seal:
        content["sha256"] = seal_of(content)
    path.write_text(json.dumps(content))
