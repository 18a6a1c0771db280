"""The packages of the foundation models: one OpenCV, no display libraries, imported only on demand."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

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
    program = (
        f"import warnings; warnings.simplefilter('ignore'); import {ALL}; import groundingdino.models; "
        "import pathlib, sys; sys.exit('libGL' in pathlib.Path('/proc/self/maps').read_text())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_stage_imports_none_of_them_until_it_is_asked_to() -> None:
    program = (
        "import sys, stages.aecsad.pseudo_label.__main__; "
        "sys.exit(str([m for m in ('transformers', 'segment_anything', 'groundingdino', 'pycocotools') "
        "if m in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "", done.stderr


def test_missing_packages_are_named_before_any_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also those that only GroundingDINO needs, which is built after the tagging."""
    for package in ("segment_anything", "groundingdino", "addict"):
        monkeypatch.setitem(sys.modules, package, None)
    params = FoundationParams.model_validate(SECTIONS["pseudo_label"]["foundation"])
    message = r"needs the package addict, groundingdino, segment_anything: run `pip install -c constraints\.txt"
    with pytest.raises(UserError, match=message):
        propose_by_foundation(tmp_path, [], tmp_path / "m.json", None, params, size=8, min_area=0.001)
