"""What stages have in common: options, errors, closing line, cost, and no life after DVC's death."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from stages.core.run.errors import UserError
from stages.core.run.stage import command_entry, cost_file, parse_paths, stage_entry, write_cost

# In a file named dvc: starts a stage as DVC does, tells its process id, and waits to be killed.
DVC = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], env={**os.environ, "DVC_STAGE": "train"})
print(child.pid, flush=True)
time.sleep(60)
"""
CHILD = """
import sys, time
from pathlib import Path
from stages.core.run.stage import {entry}

@{entry}
def main(argv):
    Path(argv[0]).touch()
    time.sleep(60)

main()
"""


def wait_until(condition: object, seconds: float = 20) -> bool:
    """Poll; the time is an upper limit for a busy machine, never waited for when all is well."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if callable(condition) and condition():
            return True
        time.sleep(0.02)
    return False


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but not yet collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def orphan(entry: str, tmp_path: Path) -> int:
    """Start DVC and its child, SIGKILL DVC when the child's main runs; the child's process id."""
    ready, dvc = tmp_path / "ready", tmp_path / "dvc"
    dvc.write_text(DVC, encoding="utf-8")
    command = [sys.executable, str(dvc), CHILD.format(entry=entry), str(ready)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert wait_until(ready.exists), "the child did not start"
        assert is_alive(child)
        parent.send_signal(signal.SIGKILL)
    return child


@pytest.mark.skipif(sys.platform != "linux", reason="process handles are Linux only")
def test_a_stage_dies_when_dvc_is_killed(tmp_path: Path) -> None:
    child = orphan("stage_entry", tmp_path)
    assert wait_until(lambda: not is_alive(child)), "the stage outlived DVC"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux only")
def test_a_command_outlives_its_parent(tmp_path: Path) -> None:
    """The counter-check: without the bond a child goes on."""
    child = orphan("command_entry", tmp_path)
    time.sleep(0.3)
    alive = is_alive(child)
    os.kill(child, signal.SIGKILL)
    assert alive


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A stage as DVC starts it; returns where its cost goes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "cluster@pin_tray")
    return tmp_path / "metrics/cost/pin_tray/cluster.json"


def test_closing_line_and_cost(instance: Path, caplog: pytest.LogCaptureFixture) -> None:
    @stage_entry
    def main(argv: Sequence[str]) -> str:
        assert argv == ["--images", "x"]
        return "3 images scored"

    with caplog.at_level(logging.INFO):
        main(["--images", "x"])
    assert "3 images scored in 0.0 s" in caplog.text
    written = json.loads(instance.read_text())
    assert set(written) == {"seconds", "processor_seconds", "peak_mb"}
    assert 0 < written["processor_seconds"] < 1000
    assert 0 <= written["seconds"] < 5
    assert 5 < written["peak_mb"] < 100_000


def test_a_cost_that_cannot_be_written_does_not_undo_the_work(instance: Path, caplog: pytest.LogCaptureFixture) -> None:
    @stage_entry
    def main(argv: Sequence[str]) -> str:
        return "3 images scored"

    Path("metrics").write_text("no folder")
    with caplog.at_level(logging.INFO):
        main([])
    assert "metrics/cost/pin_tray/cluster.json: the cost is not kept" in caplog.text
    assert "3 images scored in" in caplog.text


def test_costs_are_kept_by_product_and_not_of_the_report() -> None:
    """The report reads the folder: were its own cost there, it would change what it depends on."""
    assert cost_file("sir_scores@full_shot-plate") == Path("metrics/cost/full_shot-plate/sir_scores.json")
    assert cost_file("report") is None
    assert cost_file("export@plate") is None
    assert cost_file("") is None


def test_a_user_error_is_one_message_and_code_1(instance: Path, caplog: pytest.LogCaptureFixture) -> None:
    @stage_entry
    def main(argv: Sequence[str]) -> str:
        raise UserError("photo.jpg: zero bytes: remove it")

    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 1
    assert [record.getMessage() for record in caplog.records] == ["photo.jpg: zero bytes: remove it"]
    assert caplog.records[0].exc_info is None
    assert not instance.exists()


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    @stage_entry
    def main(argv: Sequence[str]) -> str:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        main([])


def test_an_interrupted_command_ends_with_130(caplog: pytest.LogCaptureFixture) -> None:
    @command_entry
    def main(argv: Sequence[str]) -> str:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 130
    assert "interrupted" in caplog.text


def test_paths_are_parsed_and_the_folders_of_outputs_made(tmp_path: Path) -> None:
    table, out = tmp_path / "ä b.parquet", tmp_path / "new" / "deep" / "scores"
    table.touch()
    argv = ["--label-maps", str(table), "--scores", str(out), "--category", "pin_tray"]
    paths = parse_paths(argv, reads=["label_maps"], writes=["scores"], values=["category"], about="About.")
    assert (paths.label_maps, paths.scores, paths.category) == (table, out, "pin_tray")
    assert out.parent.is_dir()
    assert not out.exists()


def test_a_missing_input_is_a_user_error_and_makes_nothing(tmp_path: Path) -> None:
    argv = ["--label-maps", str(tmp_path / "gone"), "--scores", str(tmp_path / "new" / "scores")]
    with pytest.raises(UserError, match=r"gone \(--label-maps\) does not exist: run `dvc repro`"):
        parse_paths(argv, reads=["label_maps"], writes=["scores"], about=None)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("argv", [[], ["--images", ".", "--unknown", "x"]])
def test_missing_and_unknown_options_end_with_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_paths(argv, reads=["images"], about=None)
    assert "usage:" in capsys.readouterr().err


def test_cost_is_json_of_two_numbers(tmp_path: Path) -> None:
    write_cost(tmp_path / "cost.json", 12.3456)
    assert json.loads((tmp_path / "cost.json").read_text())["seconds"] == 12.3


def test_sigterm_ends_a_stage_without_leftovers(tmp_path: Path) -> None:
    """As `docker stop` and systemd send it."""
    code = (
        "import time\nfrom pathlib import Path\nfrom stages.core.run.atomic import replacing_folder\n"
        "from stages.core.run.stage import stage_entry\n"
        "@stage_entry\ndef main(argv):\n    with replacing_folder(Path(argv[0])):\n"
        "        print('ready', flush=True)\n        time.sleep(60)\nmain()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stage:
        assert stage.stdout is not None
        assert stage.stdout.readline() == "ready\n"
        stage.terminate()
        assert stage.wait(timeout=20) == 143
    assert list(tmp_path.iterdir()) == []


def test_what_the_machine_refuses_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Any other OSError may be a fault of the program, whose traceback tells where."""

    @stage_entry
    def main(argv: Sequence[str]) -> str:
        raise OSError(int(argv[0]), "x", "a/b.png")

    for number, message in ((28, "a/b.png: the disk is full"), (13, "a/b.png: permission denied"), (36, "is too long")):
        caplog.clear()
        with pytest.raises(SystemExit) as stop:
            main([str(number)])
        assert stop.value.code == 1
        assert message in caplog.text
        assert "Traceback" not in caplog.text
    with pytest.raises(FileNotFoundError):
        main(["2"])


def test_a_mistake_is_the_last_word_of_a_process_that_loaded_a_compiler() -> None:
    """torchvision loads Triton, which reports leaks where the end of the process does not collect it."""
    code = (
        "import torchvision\nfrom stages.core.run.errors import UserError\n"
        "from stages.core.run.stage import stage_entry\n"
        "@stage_entry\ndef main(argv):\n    raise UserError('a mistake')\nmain()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    (line,) = (ended.stdout + ended.stderr).splitlines()
    assert "a mistake" in line
