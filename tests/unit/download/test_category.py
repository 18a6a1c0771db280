"""Names of components have a section of their own: in a product they would run its first stages again."""

import json
from pathlib import Path

import pytest

from stages.core.run.errors import UserError
from stages.download.category import load_category


def test_names_of_components_are_sent_to_their_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"source": "folder", "path": "data", "components": {"1": "label"}}
    (tmp_path / "params.yaml").write_text(json.dumps({"categories": {"tray": entry}}))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"categories\.tray.*names of components go into the section `components`"):
        load_category("tray")
