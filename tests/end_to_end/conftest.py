"""One run of the real pipeline that the tests of this folder share."""

from pathlib import Path

import pytest

from tests.end_to_end.tiny_product import write_tiny_product
from tests.end_to_end.workspace import Workspace, copy_repository

DATA = "data/tiny product's $(photos) & more"  # nothing that a shell may take apart


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the repository with the tiny product, reproduced once."""
    root: Path = tmp_path_factory.mktemp("pipeline") / "with a space"
    root.mkdir()
    space = copy_repository(root)
    write_tiny_product(root / DATA)
    space.set_params({"profile": "smoke", "categories": {"tiny": {"source": "mvtec_loco", "path": DATA}}})
    space.set_params({"evaluation.bootstrap_resamples": 50})  # its intervals are not asked about here
    space.dvc("repro")
    return space
