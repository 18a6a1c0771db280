"""What a source holds, read as `download` reads it."""

from pathlib import Path

from stages.download.source import open_source


def contents(path: Path) -> dict[str, bytes]:
    """The files of `open_source` by name."""
    found = {}
    with open_source(path) as files:
        for file in files:
            with file.open() as handle:
                found[file.name] = handle.read()
            assert file.size == len(found[file.name])
    return found
