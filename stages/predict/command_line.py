"""The arguments of the command."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Arguments:
    """As given by the user.

    Attributes:
        inputs: files and folders, at least one.
        output: folder of the results.
        overwrite: whether results that lie there already may be replaced.
    """

    category: str
    inputs: tuple[Path, ...]
    output: Path
    overwrite: bool


def parse_arguments(argv: Sequence[str], *, about: str | None) -> Arguments:
    """Parse the command line; `--help` and wrong arguments end the process with argparse's messages.

    Args:
        about: the module's docstring.
    """
    parser = argparse.ArgumentParser(
        prog="python -m stages.predict", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IMAGE_OR_FOLDER")
    parser.add_argument("--category", required=True, help="a key of `categories` in params.yaml")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder to make for the results")
    parser.add_argument("--overwrite", action="store_true", help="replace earlier results of this command in DIR")
    given = parser.parse_intermixed_args(argv)
    return Arguments(given.category, tuple(given.inputs), given.output, given.overwrite)
