"""Files and folders are whole or as they were; nothing foreign goes; what a killed process leaves goes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.core.run.atomic import MARK, replacing_file, replacing_folder
from stages.core.run.errors import UserError
from tests.table import new_folder, violations

HOLDS = "from stages.core.run.atomic import replacing_folder; import sys, time; from pathlib import Path\n"
HOLDS += "with replacing_folder(Path(sys.argv[1])) as f: print(f, flush=True); time.sleep(60)"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(path: Path, text: str, *, only_new: bool = False) -> None:
    with replacing_folder(path, only_new=only_new) as folder:
        (folder / "a.txt").write_text(text)


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "maps"
    for text in ("old", "new"):
        with replacing_folder(target) as folder:
            assert names(folder) == []
            (folder / "a.txt").write_text(text)
            assert target.exists() == (text == "new")  # nothing to see before the end, then still the old one
    assert (target / "a.txt").read_text() == "new"
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


def test_a_foreign_folder_stays_and_the_work_is_not_lost(tmp_path: Path) -> None:
    def check(there: list[str], only_new: bool, problem: str | None) -> None:
        folder = new_folder(tmp_path)
        target = folder / "mine"
        target.mkdir()
        for name in there:
            (target / name).parent.mkdir(exist_ok=True)
            (target / name).write_text("mine")
        if problem is None:
            write(target, "new", only_new=only_new)
            assert (target / "a.txt").read_text() == "new"
            return
        with pytest.raises(UserError, match=f"mine {problem}: it was left as it is, and the new folder is .*/mine-2;"):
            write(target, "new", only_new=only_new)
        assert all((target / name).read_text() == "mine" for name in there)
        assert (folder / "mine-2/a.txt").read_text() == "new"
        assert names(folder) == ["mine", "mine-2"]

    rows = [
        (["a.txt", "thesis.doc"], False, "holds thesis.doc, which is not written here"),
        (["images/mine.jpg"], False, "holds images, which is not written here"),
        (["a.txt"], True, "holds a.txt, which is not written here"),
        ([], False, None),
        ([], True, None),
    ]
    assert violations(check, rows) == []


def test_a_folder_with_less_than_what_is_written_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "mine/images").mkdir(parents=True)
    with pytest.raises(UserError, match=r"mine has no table, so"), replacing_folder(tmp_path / "mine") as folder:
        (folder / "images").mkdir()
        (folder / "table").touch()
    assert names(tmp_path / "mine") == ["images"]


def test_what_appears_in_the_last_moment_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the renaming a file comes to the old folder, or a folder to the place of the new one."""
    target, rename = tmp_path / "out", Path.rename
    write(target, "old")
    os.removexattr(target, MARK)  # as DVC leaves a folder that it puts back

    def adding(self: Path, other: Path) -> Path:
        if self == target:
            (target / "thesis.doc").write_text("mine")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", adding)
    with pytest.raises(UserError, match=r"out holds thesis\.doc, which"):
        write(target, "new")
    assert (target / "thesis.doc").read_text() == "mine"
    assert (target / "a.txt").read_text() == "old"
    shutil.rmtree(target)

    def appearing(self: Path, other: Path) -> Path:
        if other == target:
            target.mkdir()
            (target / "thesis.doc").write_text("mine")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", appearing)
    with pytest.raises(UserError, match=r"out cannot be replaced \(Directory not empty\)"):
        write(target, "new")
    assert names(target) == ["thesis.doc"]
    assert (tmp_path / "out-3/a.txt").read_text() == "new"


def test_what_was_written_here_gives_way_whatever_is_in_it(tmp_path: Path) -> None:
    """A stage that is run again by hand may have other files than before."""
    write(tmp_path / "maps", "old")
    for only_new in (False, True):
        with replacing_folder(tmp_path / "maps", only_new=only_new) as folder:
            (folder / f"{only_new}.txt").touch()
    assert names(tmp_path / "maps") == ["True.txt"]


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    target = tmp_path / "maps"
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(target)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        temporary = Path(other.stdout.readline().strip()).parent
        write(target, "mine")
        assert temporary.is_dir()
        other.kill()
        other.wait()
    assert temporary.is_dir()
    write(target, "again")
    assert names(tmp_path) == ["maps"]


def test_a_kill_between_the_two_renamings_loses_nothing(tmp_path: Path) -> None:
    target = tmp_path / "maps"
    write(target, "old")
    left = tmp_path / ".maps.0123abcd.tmp"
    (left / "new").mkdir(parents=True)
    target.rename(left / "old")
    with replacing_folder(target) as folder:
        (folder / "a.txt").write_text("new")
        assert (target / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["maps"]


def test_what_a_killed_process_left_of_a_file_goes(tmp_path: Path) -> None:
    (tmp_path / ".table.0123abcd.tmp").mkdir()
    (tmp_path / ".table.0123abcd.tmp/new").touch()
    with replacing_file(tmp_path / "another") as file:
        file.write_text("x")
    assert names(tmp_path) == ["another"]


def test_only_our_temporary_folders_go(tmp_path: Path) -> None:
    kept = [".maps.0123abcd.tmp", ".mapsX.0123abcd.tmp", ".maps.mine.tmp"]
    for name in kept:
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.doc").touch()
    write(tmp_path / "maps", "new")
    assert names(tmp_path) == sorted([*kept, "maps"])


def test_names_may_be_as_long_as_the_file_system_takes_them(tmp_path: Path) -> None:
    for name in ("ß" * 127, "a" * 255):
        write(tmp_path / name, "new")
        with replacing_file(tmp_path / name / "a.txt") as file:
            file.write_text("newer")
        assert (tmp_path / name / "a.txt").read_text() == "newer"


def test_a_link_or_a_file_is_no_earlier_version(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    for name in ("file", "link"):
        with pytest.raises(UserError, match=f"{name} is no folder: it was left as it is"):
            write(tmp_path / name, "new")
    assert (tmp_path / "link").readlink() == Path("there")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_in_a_temporary_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "result") as folder:
        with replacing_file(folder / "whole.txt") as temporary:
            temporary.write_text("all of it")
            assert not (folder / "whole.txt").exists()
        with pytest.raises(OSError, match="disk"), replacing_file(folder / "half.txt") as temporary:
            temporary.write_text("half of")
            raise OSError("the disk is full")
    assert [path.name for path in (tmp_path / "result").iterdir()] == ["whole.txt"]
