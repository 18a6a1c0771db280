"""Open the store of a run: what `--store` names, else a file in the folder of results, else none where none can be."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from commands.verbs import STORE, install_command

if TYPE_CHECKING:
    from commands.verdicts.store import VerdictStore

LOG = logging.getLogger(__name__)


@contextmanager
def store_of_run(named: str | None, default: Path) -> Iterator[VerdictStore | None]:
    """Yield an open store.

    Args:
        named: file or URL that the user names; `default` where None.
        default: file of the run; without the packages of the extra `store` there is none, which is said.

    Raises:
        UserError: it cannot be opened.
        ModuleNotFoundError: a store is named, and the packages are missing.
    """
    try:
        from commands.verdicts.store import VerdictStore

        if find_spec("alembic") is None:  # its absence would be seen in a new store only
            raise ModuleNotFoundError("No module named 'alembic'", name="alembic")
    except ModuleNotFoundError as error:
        if named is not None or error.name not in STORE:
            raise
        LOG.warning(
            "no verdict store is written, as %s is not installed; the tables have all rows: for a store run `%s`",
            error.name, install_command("store"),
        )  # fmt: skip
        yield None
        return
    with VerdictStore(named or default) as store:
        yield store
