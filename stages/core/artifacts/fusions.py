"""Fitted fusions as JSON, for the predict command and for people."""

import json
from pathlib import Path

from stages.core.fusion import Fusion
from stages.core.running.atomic import replacing_file


def write_fusion(path: Path, fusion: Fusion) -> None:
    """Write the file whole or not at all."""
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(fusion.to_json(), indent=2) + "\n", encoding="utf-8")
