"""DVC that forks its Python stages: the libraries whose imports take seconds are imported once for all of them.

Run as `python -m tests.end_to_end.forking_dvc dvc repro`; the second `dvc` is the word by which a stage knows what
started it. All else is as in DVC: the stages' lines, arguments, environment, streams, exit codes, one process each.
"""

import importlib
import os
import runpy
import shlex
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from dvc.cli import main
from dvc.stage import run
from dvc.stage.exceptions import StageCmdFailedError

from tests.architecture.source_files import WITHOUT_TORCH

LIBRARIES, NETWORKS = ("pandas", "scipy.stats", "cv2"), ("torch", "torch._dynamo", "sklearn.cluster")  # nothing of ours
FOR_A_SHELL = frozenset("$`;&|<>*?(){}")
run_in_shell = run._run


def run_line(executable: str, line: str, **options: Any) -> None:
    """Run a stage's line, in a fork where it is `python -m stages...` with nothing for a shell to expand.

    Raises:
        StageCmdFailedError: it ended with another code than 0.
    """
    words = [] if FOR_A_SHELL & set(line) else shlex.split(line)
    if words[:2] != ["python", "-m"] or not words[2].startswith("stages."):
        run_in_shell(executable, line, **options)
        return
    light = words[2].removeprefix("stages.") in WITHOUT_TORCH
    for library in LIBRARIES if light else LIBRARIES + NETWORKS:
        importlib.import_module(library)
    sys.stdout.flush()
    sys.stderr.flush()
    stage = os.fork()
    if stage == 0:
        os._exit(run_module(words[2], words[3:], folder=options["cwd"], environment=options["env"]))
    code = os.waitstatus_to_exitcode(os.waitpid(stage, 0)[1])
    if code != 0:
        raise StageCmdFailedError(line, code)


def run_module(module: str, arguments: list[str], *, folder: str, environment: Mapping[str, str]) -> int:
    """Do as `python -m MODULE ARGUMENTS` and return the exit code."""
    try:
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    run._run = run_line
    sys.exit(main(sys.argv[2:]))
