"""Damaged artefacts of every kind: one message that names the file and the remedy."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from stages.core.io.arrays import read_arrays
from stages.core.io.components import read_component_maps
from stages.core.io.decision import read_choice
from stages.core.io.explanations import read_explanations
from stages.core.io.maps import read_anomaly_maps
from stages.core.io.result import read_result
from stages.core.io.tables import read_images
from stages.core.io.weights import read_weights
from stages.core.run.errors import UserError

READERS: dict[Callable[[Path], object], str] = {
    read_images: "images.parquet",
    read_result: "scores.parquet",
    read_anomaly_maps: "maps.npy",
    read_explanations: "explanations.json",
    read_weights: "",
    read_choice: "",
    read_component_maps: "",
    lambda path: read_arrays(path, ["a"]): "",
}
CONTENTS = (None, b"", b"no artefact", b"\x93NUMPY\x01\x00")


def message_of(read: Callable[[Path], object], target: Path) -> str:
    try:
        read(target)
    except UserError as error:
        return str(error)
    return "no error"


def test_damage_is_a_user_error_with_the_remedy(tmp_path: Path) -> None:
    wrong = []
    for number, (read, inner) in enumerate(READERS.items()):
        for row, content in enumerate(CONTENTS):
            target = tmp_path / f"{number}_{row}" / "artefact"
            file = target / inner if inner else target
            file.parent.mkdir(parents=True)
            (file.parent / "image_ids.json").write_text(json.dumps(["a"]))
            if content is not None:
                file.write_bytes(content)
            message = message_of(read, target)
            if not re.search("(?s)artefact.*: .*(delete it and|correct the name, or) run `dvc repro`", message):
                wrong.append(f"{read} of {content!r}: {message}")
    assert wrong == []
