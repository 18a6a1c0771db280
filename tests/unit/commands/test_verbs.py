"""How verbs and commands run and end, and what the console script says of itself."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from commands.app import Format, app
from commands.compare.comparison import FORMATS
from commands.verbs import extra_of, verb
from stages.core.run.errors import UserError
from stages.core.run.stage import command_entry
from tests.architecture.source_files import ROOT

RUNNER = CliRunner()
HEAVY = ("cv2", "dvc", "matplotlib", "numpy", "pandas", "prefect", "scipy", "torch")
EXTRAS = (  # what the base install does not have
    *HEAVY[:3], *HEAVY[4:], "hdbscan", "higra", "huggingface_hub", "jaxtyping", "jinja2", "open_clip", "pyarrow",
    "pydicom", "safetensors", "skimage", "sklearn", "timm", "torchvision", "transformers",
)  # fmt: skip


def ended(error: BaseException | None) -> int:
    """The exit code of a verb that returns its counts, or raises an error."""

    def work() -> str:
        if error is not None:
            raise error
        return "3 images"

    own = typer.Typer()
    own.command()(verb(work))
    return RUNNER.invoke(own).exit_code


def test_a_verb_ends_with_counts_or_one_message(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert ended(None) == 0
    assert "work: 3 images in " in caplog.text
    for error, code, message in (
        (UserError("a.png is empty: replace it"), 1, "a.png is empty: replace it"),
        (
            ModuleNotFoundError("x", name="torch.nn"),
            1,
            "needs torch.nn: run `pip install -c constraints.txt -e '.[train]'`",
        ),
        (OSError(28, "No space left on device"), 1, "the disk is full: make space"),
        (KeyboardInterrupt(), 130, "work: interrupted"),
    ):
        caplog.clear()
        assert ended(error) == code
        (record,) = caplog.records
        assert message in record.getMessage()
        assert record.exc_info is None


def test_sigterm_ends_a_verb_orderly() -> None:
    """What it cleans up at its end is cleaned up, and the process takes signals as before."""
    cleaned, before = [], signal.getsignal(signal.SIGTERM)

    def work() -> str:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            cleaned.append("temporary files")
        return "never"

    own = typer.Typer()
    own.command()(verb(work))
    assert RUNNER.invoke(own).exit_code == 143
    assert cleaned == ["temporary files"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_missing_module_of_our_own_is_a_fault() -> None:
    assert RUNNER.invoke(app, ["table", "--metrics", "gone"]).exit_code == 1
    assert ended(ModuleNotFoundError("x", name="stages.gone")) == 1
    assert [extra_of(name) for name in ("stages.gone", "json", None)] == [None] * 3
    assert [extra_of(name) for name in ("cv2", "transformers.x", "prefect")] == ["train", "foundation", "flows"]
    assert [extra_of(name) for name in ("sqlalchemy", "alembic", "psycopg")] == ["store", "store", "postgres"]
    assert [extra_of(name) for name in ("fastapi", "uvicorn", "prometheus_client", "python_multipart")] == ["serve"] * 4


def test_every_verb_is_explained_with_an_example() -> None:
    root = get_command(app)
    verbs = getattr(root, "commands", {})
    known = {"add", "attention", "compare", "doctor", "enough", "predict", "published", "seeds", "serve", "table"}
    known |= {"history", "verify", "weights"}
    assert set(verbs) >= known
    overview = RUNNER.invoke(app, ["--help"]).output
    assert "..." not in overview.partition("Commands:")[2]  # no summary is cut
    for name, command in verbs.items():
        shown = " ".join(RUNNER.invoke(app, [name, "--help"]).output.split())
        assert f"oddpart {name}" in shown.partition("Example")[2], name
        assert [option.name for option in command.params if not getattr(option, "help", None)] == [], name


def test_compare_answers_in_its_own_name(caplog: pytest.LogCaptureFixture) -> None:
    assert "text|markdown|json" in RUNNER.invoke(app, ["compare", "--help"]).output
    done = RUNNER.invoke(app, ["compare", "a", "b", "--format", "html"], prog_name="oddpart")
    assert done.exit_code == 2
    assert "Usage: oddpart compare" in done.output
    assert RUNNER.invoke(app, ["compare", "a", "b", "--confidence", "2"]).exit_code == 1
    assert "--confidence 2.0 is not between 0 and 1" in caplog.text
    assert tuple(Format) == tuple(FORMATS)


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, commands.app; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_base_install_has_help_and_doctor_and_names_what_is_missing() -> None:
    hide = f"import sys; sys.modules |= dict.fromkeys({EXTRAS}); from commands.app import main; "
    for words, code, message in (
        (["--help"], 0, "Usage: oddpart"),
        (["predict", "--help"], 0, "Example: oddpart predict"),
        (["doctor"], None, "ok    Python"),
        (["predict", "a.png", "--category", "x", "--output", "y"], 1, "params.yaml has no category 'x'"),
        (["seeds", "HEAD"], 1, "run `pip install -c constraints.txt -e '.[train]'`"),
    ):
        run = [sys.executable, "-c", f"{hide}sys.argv = {['oddpart', *words]}; main()"]
        done = subprocess.run(run, cwd=ROOT, text=True, capture_output=True, check=False)
        assert code in (None, done.returncode), done.stderr
        assert message in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_the_command_outlives_its_parent(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("stages.core.run.stage.die_with_dvc", lambda: pytest.fail("only stages die with DVC"))
    monkeypatch.setattr("sys.argv", ["predict", "a", "b"])
    seen: list[Sequence[str]] = []

    def note(argv: Sequence[str]) -> str:
        seen.append(argv)
        return "2 letters"

    with caplog.at_level("INFO"):
        command_entry(note)()
    assert seen == [["a", "b"]]
    assert "2 letters in " in caplog.text


def test_an_interrupt_ends_with_one_message(caplog: pytest.LogCaptureFixture) -> None:
    def stop(argv: Sequence[str]) -> str:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match="130"):
        command_entry(stop)([])
    assert "interrupted" in caplog.text
