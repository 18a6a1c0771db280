"""The small trained product that several folders test with."""

from pathlib import Path

import pytest

from tests.once import made_once, shared_folder


@pytest.fixture(scope="session")
def trained_part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with params.yaml and the trained category `part`; to be copied, not changed."""
    from tests.unit.commands.predict.case import train_parts  # imports all stages

    return made_once(shared_folder(tmp_path_factory.getbasetemp()) / "trained_part", train_parts)
