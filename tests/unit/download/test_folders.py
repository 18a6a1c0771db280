"""Folders: what is copied of them, and what is refused before anything is written."""

import os
from pathlib import Path
from typing import Any

import pytest

from stages.core.run.errors import UserError
from stages.download.source import locate, open_source
from stages.download.source_files import is_stray, link_target, name_problem
from tests.table import new_folder
from tests.unit.download.source_contents import contents


def test_what_may_not_be_read_is_no_reason_to_go_on_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as a user who may read everything: the system's answers are stood in for."""
    for name in ("a/1.png", "b/2.png", "c/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    scandir, access = os.scandir, os.access

    def closed(path: str) -> Any:
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("3.png") and access(path, mode))
    with pytest.raises(UserError) as refused:
        contents(tmp_path)
    assert "b: is a folder that cannot be read (Permission denied)" in str(refused.value)
    assert "c/3.png: may not be read: change its permissions" in str(refused.value)


def test_a_pipe_in_a_folder_or_as_the_path(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a/1.png")
    with pytest.raises(UserError, match="1.png: is neither a file nor a folder"):
        contents(tmp_path / "a")
    for path in (tmp_path / "a/1.png", Path("/dev/zero")):
        with pytest.raises(UserError, match="is a pipe, a socket or a device: name a folder or an archive"):
            locate(path)


def test_folder_with_links(tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "ä b").mkdir(parents=True)
    (root / "ä b" / "one.png").write_bytes(b"one")
    (root / "two.png").symlink_to("ä b/one.png")
    assert contents(root) == {"ä b/one.png": b"one", "two.png": b"one"}


def test_links_out_of_a_folder_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "data2").mkdir()
    (root / "file.png").symlink_to(tmp_path / "secret")
    (root / "other.png").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path / "data2")
    (root / "here").symlink_to(".")
    (root / "round.png").symlink_to("round.png")
    message = (
        "(?s)3 unsafe entries.*here: is a link to a folder.*round.png: is a link to a folder, to itself or to nothing.*"
        "file.png: it and 2 others are links that lead out of the "
        "folder: copy the files in their place, or set `links: follow`"
    )
    with pytest.raises(UserError, match=message), open_source(root):
        pass


def test_links_that_may_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that DVC tracks with `cache.type symlink` is made of links into its cache, wherever that is."""
    monkeypatch.chdir(tmp_path)
    for cache, config in ((".dvc/cache", ""), ("far/store", "[cache]\n    type = symlink\n    dir = ../far/store\n")):
        target = tmp_path / cache / "files/md5/ab/cdef"
        target.parent.mkdir(parents=True)
        target.write_bytes(b"one")
        Path(".dvc").mkdir(exist_ok=True)
        Path(".dvc/config.local").write_text(config, encoding="utf-8")
        root = new_folder(tmp_path)
        (root / "a.png").symlink_to(target)
        assert contents(root) == {"a.png": b"one"}
    (tmp_path / "elsewhere").write_bytes(b"two")
    (root / "b.png").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"b\.png: is a link that leads out of the folder"), open_source(root):
        pass
    with open_source(root, follow_links=True) as files:
        assert [file.name for file in files] == ["a.png", "b.png"]


def test_names_that_are_not_utf_8_are_refused() -> None:
    assert name_problem(b"caf\xe9.png".decode("utf-8", errors="surrogateescape")) == "is not valid UTF-8"
    assert name_problem("café 1.png") is None


def test_link_targets() -> None:
    assert link_target("a/b/link", "../c") == "a/c"
    assert link_target("link", "c/./d") == "c/d"
    assert link_target("a/link", "../../c") is None
    assert link_target("a/link", "../x/../../c") is None
    assert link_target("a/link", "/a/c") is None


def test_stray_names() -> None:
    strays = ["a/.DS_Store", "Thumbs.db", "__MACOSX/a/b.png", ".ipynb_checkpoints/a.png", "a/._b.png"]
    assert all(is_stray(name) for name in strays)
    assert not is_stray("a/b.DS_Store.png")
