"""The packages of the foundation models: one OpenCV, no display libraries, imported only on demand."""

import importlib
import importlib.metadata
import sys
from pathlib import Path

import cv2
import pytest

from stages.aecsad.pseudo_label.foundation.grounding_dino import quietly
from stages.aecsad.pseudo_label.foundation.propose import propose_by_foundation
from stages.aecsad.pseudo_label.params import FoundationParams
from stages.core.run.errors import UserError
from tests.unit.aecsad.drawings import SECTIONS

ALL = "stages.aecsad.pseudo_label.foundation.finder"


def test_opencv_is_the_headless_one_alone() -> None:
    """groundingdino-py asks for opencv-python, which writes into the same folder; whichever comes last would win."""
    owners = {owner.lower() for owner in importlib.metadata.packages_distributions()["cv2"]}
    assert owners == {"opencv-python-headless"}
    gui = next(line for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:"))
    assert gui.split(":")[1].strip() in ("NONE", "")


def test_importing_everything_needs_no_display_library() -> None:
    """Nor does anything else that a process of these tests has imported."""
    with quietly():
        for module in (ALL, "groundingdino.models"):
            importlib.import_module(module)
    assert "libGL" not in Path("/proc/self/maps").read_text(encoding="utf-8")


def test_missing_packages_are_named_before_any_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also those that only GroundingDINO needs, which is built after the tagging."""
    for package in ("segment_anything", "groundingdino", "addict"):
        monkeypatch.setitem(sys.modules, package, None)
    params = FoundationParams.model_validate(SECTIONS["pseudo_label"]["foundation"])
    message = r"needs the package addict, groundingdino, segment_anything: run `pip install -c constraints\.txt"
    with pytest.raises(UserError, match=message):
        propose_by_foundation(tmp_path, [], tmp_path / "m.json", None, params, size=8, min_area=0.001)
