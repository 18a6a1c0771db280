"""The results table in README.md."""

from pathlib import Path

import pytest

from commands.readme import END, START, main

TEXT = f"# A\n\n{START}old\n| \\1 |\n{END}\nmore\n"


def test_the_table_between_the_markers_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    readme, table = tmp_path / "README.md", tmp_path / "table.md"
    readme.write_text(TEXT)
    table.write_text("| a |\n| \\2 |\n")
    main(["--table", str(table), "--readme", str(readme)])
    assert readme.read_text() == f"# A\n\n{START}| a |\n| \\2 |\n{END}\nmore\n"


@pytest.mark.parametrize(("text", "count"), [("# A\n", 0), (TEXT + TEXT, 2)])
def test_without_one_pair_of_markers_nothing_is_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, count: int
) -> None:
    readme, table = tmp_path / "README.md", tmp_path / "table.md"
    readme.write_text(text)
    table.write_text("| a |\n")
    with pytest.raises(SystemExit):
        main(["--table", str(table), "--readme", str(readme)])
    assert f"{count} tables between" in caplog.text
    assert readme.read_text() == text
