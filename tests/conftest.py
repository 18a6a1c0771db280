"""The order of all tests, what they cost, and the graphs of the frozen encoder, which one session exports once."""

import os
import shutil
import tempfile

import pytest

from tests.cost import Costs

ENGINES = "ODDPART_ENGINES"


def pytest_configure(config: pytest.Config) -> None:
    """Name a folder for graphs, before stages.core.encoder.engine is imported here or in a process of a test.

    Exporting the encoder takes more than a second, and a test in a new folder would find no graph. No session takes
    over graphs of an earlier one, whose code for the export may have been another.
    """
    config.pluginmanager.register(Costs(), "costs")
    if not hasattr(config, "workerinput"):  # workers of xdist inherit the variable
        os.environ[ENGINES] = tempfile.mkdtemp(prefix="oddpart-engines-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if ENGINES in os.environ and not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(ENGINES), ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first: of two processes none waits for it at the end."""
    items.sort(key=lambda item: "end_to_end" not in item.path.parts)
