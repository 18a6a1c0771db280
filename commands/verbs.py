"""How a verb runs: one message for what a user can put right, a closing line, and which extra a package belongs to."""

import functools
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec

import typer

from stages.core.run.console import set_up_logging
from stages.core.run.errors import UserError, machine_problem
from stages.core.run.parent import unwinding_on_sigterm

LOG = logging.getLogger(__name__)
P = ParamSpec("P")
INTERRUPTED = 130  # exit code, as shells have it
CHECKOUT = (Path(__file__).parents[1] / "pyproject.toml").is_file()  # not so where a wheel was installed
OWN = ("benchmarks", "commands", "flows", "oddpart", "stages")
FOUNDATION = ("addict", "groundingdino", "pycocotools", "segment_anything", "tokenizers", "transformers", "yapf")
BY_ITSELF = "groundingdino-py"  # of the extra foundation; pyproject.toml says why it is not listed there
FLOWS = ("prefect",)
STORE = ("alembic", "sqlalchemy")
SERVE = ("fastapi", "prometheus_client", "python_multipart", "starlette", "uvicorn")


@dataclass(frozen=True)
class Closing:
    """Closing counts of a verb that has more than one good end.

    Attributes:
        counts: "420 images scored".
        code: the exit code.
    """

    counts: str
    code: int


def verb(function: Callable[P, str | Closing | None]) -> Callable[P, None]:
    """Turn a function that returns its closing counts ("420 images scored") into one that typer can call.

    A UserError, what the machine refuses (a full disk), or a package that is not installed, ends the process with one
    message and code 1, Ctrl-C with code 130 and SIGTERM with code 143. None instead of counts means that the function
    has closed by itself.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        started = time.perf_counter()
        set_up_logging()
        try:
            with unwinding_on_sigterm():
                closing = function(*args, **kwargs)
        except UserError as error:
            LOG.error("%s", error)
            raise typer.Exit(1) from None
        except OSError as error:
            if (problem := machine_problem(error)) is None:
                raise
            LOG.error("%s", problem)
            raise typer.Exit(1) from None
        except ModuleNotFoundError as error:
            extra = extra_of(error.name)
            if extra is None:
                raise
            LOG.error("%s needs %s: run `%s`", function.__name__, error.name, install_command(extra))
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            LOG.error("%s: interrupted", function.__name__)
            raise typer.Exit(INTERRUPTED) from None
        if closing is None:
            return
        if isinstance(closing, str):
            closing = Closing(closing, 0)
        LOG.info("%s: %s in %.1f s", function.__name__, closing.counts, time.perf_counter() - started)
        if closing.code:
            raise typer.Exit(closing.code)

    return run


def extra_of(module: str | None) -> str | None:
    """The extra that installs a module; None for the repository's own and the standard library's."""
    top = (module or "").partition(".")[0]
    if not top or top in OWN or top in sys.stdlib_module_names:
        return None
    if top in FOUNDATION:
        return "foundation"
    if top in SERVE:
        return "serve"
    if top in STORE:
        return "store"
    if top == "psycopg":
        return "postgres"
    return "flows" if top in FLOWS else "train"


def install_command(extra: str) -> str:
    """Return the command that installs an extra, "" for the base, with the versions that the repository pins.

    Where there is no repository, it is the one of docs/operate.md, beside the wheel.
    """
    install = "pip install -c constraints.txt"
    if not CHECKOUT:
        return f'{install} "$(ls ./*.whl){f"[{extra}]" if extra else ""}"'
    command = f"{install} -e '.[{extra}]'" if extra else f"{install} -e ."
    return f"{command} && {install} --no-deps {BY_ITSELF}" if extra == "foundation" else command
