"""Put the results table of metrics/table.md into README.md, between its markers (`make docs`; a test compares them)."""

import re
from collections.abc import Sequence
from pathlib import Path

from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError
from stages.core.run.stage import command_entry, parse_paths

START, END = "<!-- table: metrics/table.md -->\n", "<!-- /table -->\n"
BETWEEN = re.compile(f"(?<={re.escape(START)}).*?(?={re.escape(END)})", re.DOTALL)


@command_entry
def main(argv: Sequence[str]) -> str:
    """Read, replace, write."""
    paths = parse_paths(argv, reads=["table", "readme"], about=__doc__)
    text = with_table(paths.readme.read_text(encoding="utf-8"), paths.table.read_text(encoding="utf-8"), paths.readme)
    with replacing_file(paths.readme) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return f"{paths.readme} has the table of {paths.table}"


def with_table(text: str, table: str, name: Path) -> str:
    """Return the text with another table between its markers.

    Raises:
        UserError: the markers are not there, or more than once.
    """
    changed, count = BETWEEN.subn(lambda _: table, text)
    if count != 1:
        raise UserError(f"{name}: {count} tables between {START.strip()} and {END.strip()}, needed is one: put them in")
    return changed


if __name__ == "__main__":
    main()
