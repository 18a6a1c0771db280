"""Files and folders are whole or as they were."""

from pathlib import Path

import pytest

from stages.core.run.atomic import replacing_file, replacing_folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "maps"
    for text in ("old", "new"):
        with replacing_folder(target) as folder:
            assert names(folder) == []
            (folder / f"{text}.txt").write_text(text)
            assert target.exists() == (text == "new")  # nothing to see before the end, then still the old one
    assert names(target) == ["new.txt"]
    assert names(target.parent) == ["maps"]


def test_an_exception_keeps_the_old_folder_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "maps"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with pytest.raises(RuntimeError, match="half-way"), replacing_folder(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "new.txt").write_text("new")
        raise RuntimeError("half-way")
    assert names(tmp_path) == ["maps"]
    assert (target / "old.txt").read_text() == "old"


def test_an_interrupt_leaves_no_temporary(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing_folder(tmp_path / "maps"):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), replacing_file(tmp_path / "table") as file:
        file.write_text("half")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_file_is_replaced_or_kept(tmp_path: Path) -> None:
    target = tmp_path / "new" / "table.json"
    with replacing_file(target) as file:
        file.write_text("old")
        assert not target.exists()
    with pytest.raises(RuntimeError, match="half-way"), replacing_file(target) as file:
        file.write_text("new")
        raise RuntimeError("half-way")
    assert target.read_text() == "old"
    assert names(target.parent) == ["table.json"]


def test_a_read_only_link_into_dvcs_cache_is_replaced_not_edited(tmp_path: Path) -> None:
    """DVC hard-links outputs to its cache: writing through the link would damage the cached version."""
    cached, output = tmp_path / "cached", tmp_path / "output"
    cached.write_text("cached")
    output.hardlink_to(cached)
    output.chmod(0o444)
    with replacing_file(output) as file:
        file.write_text("new")
    assert (cached.read_text(), output.read_text()) == ("cached", "new")
