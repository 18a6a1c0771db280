"""How many images are decoded at once."""

import os
from pathlib import Path

import pytest
from PIL import Image

from stages.core.images.memory import available_memory, threads_for
from tests.dicom_files import write_dicom_header


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 16 cores with 8 GB free, and no limits of a container."""
    folder = tmp_path / "machine"
    folder.mkdir()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    for name in ("MEMORY", "GROUP", "GROUPS"):
        monkeypatch.setattr(f"stages.core.images.memory.{name}", folder / name)
    (folder / "MEMORY").write_text("MemTotal: 9 kB\nMemAvailable: 8000000 kB\n", encoding="ascii")
    (folder / "GROUPS").mkdir()
    return folder


def test_large_images_are_decoded_by_fewer_threads(tmp_path: Path) -> None:
    Image.new("1", (10_000, 8_000)).save(tmp_path / "large.png")  # 80 MP: 2 GB with all copies
    Image.new("RGB", (1000, 1000)).save(tmp_path / "small.jpg")
    (tmp_path / "none.jpg").write_text("not pixels", encoding="utf-8")
    assert threads_for([tmp_path / "small.jpg", tmp_path / "none.jpg", tmp_path / "missing.jpg"]) == 16
    assert threads_for([tmp_path / "small.jpg", tmp_path / "large.png"]) == 2
    assert threads_for([]) == 16


def test_slices_count_by_their_header(tmp_path: Path) -> None:
    for preamble in (True, False):
        write_dicom_header(tmp_path / "a", preamble=preamble, size=8_900)  # 79 MP of 64 bits: 4 GB with all copies
        assert threads_for([tmp_path / "a"]) == 1
        write_dicom_header(tmp_path / "a", preamble=preamble, size=5_000)
        assert threads_for([tmp_path / "a"]) == 3


def test_the_limit_of_a_container_counts(machine: Path) -> None:
    assert available_memory() == 8_192_000_000
    for kinds, limit, used in (
        ("", "memory.max", "memory.current"), ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):  # fmt: skip
        (machine / "GROUP").write_text(f"3:{kinds}:/docker/own\n2:cpu:/x\n", encoding="ascii")
        own = machine / "GROUPS" / kinds / "docker/own"
        own.mkdir(parents=True)
        (own / limit).write_text("max\n")
        (own / used).write_text("1\n")
        assert available_memory() == 8_192_000_000
        (own.parent / limit).write_text("3000\n")
        (own.parent / used).write_text("1000\n")
        assert available_memory() == 2000
