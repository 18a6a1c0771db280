"""What `oddpart predict` stores: tags, what fails, and what it does without the packages of a store."""

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands.predict.running import Wishes
from commands.predict.scoring import predict_images
from commands.verdicts.store import VerdictStore
from stages.core.run.errors import UserError
from stages.export.parts import Prediction
from tests.unit.commands.predict.light_run import draw, rows, run, score

pytestmark = pytest.mark.usefixtures("quick")


def test_without_the_packages_of_a_store_the_tables_have_all_rows(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "alembic", None)
    draw("in/a.png")
    assert run("in").code == 0
    assert "no verdict store is written, as alembic is not installed" in caplog.text
    assert "pip install -c constraints.txt -e '.[store]'" in caplog.text
    assert len(rows("out/scores.csv")) == 1
    assert not Path("out/verdicts.sqlite").exists()
    with pytest.raises(ModuleNotFoundError):
        predict_images([Path("in")], Wishes(Path("other"), store="named.sqlite"), category="part")


def test_tags_go_into_tables_and_store_and_pictures_that_come_with_others_are_stored_for_them_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    draw("in/a.png", "in/b.png")
    for lot, output in (("1", "out"), ("2", "other"), ("1", "again")):
        wishes = Wishes(Path(output), store="v.sqlite", station="line 1", tags={"lot": lot})
        with caplog.at_level("INFO"):
            predict_images([Path("in")], wishes, category="part")
        assert [row["tags"] for row in rows(f"{output}/scores.csv")] == [f'{{"lot": "{lot}"}}'] * 2
        lines = [json.loads(line)["tags"] for line in Path(output, "scores.jsonl").read_text().splitlines()]
        assert lines == [{"lot": lot}] * 2
    assert "2 rows found in the store already: each stays there as it was" in caplog.text
    with closing(sqlite3.connect("v.sqlite")) as database:
        join = "SELECT picture, value FROM verdicts JOIN tags USING (tag_set) WHERE key = 'lot'"
        found = database.execute(join).fetchall()
    assert found == [("in/a.png", "1"), ("in/b.png", "1"), ("in/a.png", "2"), ("in/b.png", "2")]


def test_a_store_that_fails_loses_no_row_and_nothing_is_judged_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows stay in the unfinished folder; the next run stores them without judging again."""
    draw("in/a.png", "in/b.png", "in/c.png")
    judged: list[float] = []

    def counted(parts: Any, picture: np.ndarray, names: Any) -> Prediction:
        judged.append(float(picture.mean()))
        return score(parts, picture)

    monkeypatch.setattr("commands.predict.scoring.predict", counted)
    wishes = Wishes(Path("out"), store="v.sqlite", station="line 1")
    with monkeypatch.context() as patch:
        VerdictStore("v.sqlite").close()
        with closing(sqlite3.connect("v.sqlite", isolation_level=None)) as other:
            patch.setitem(VerdictStore.__init__.__kwdefaults__, "patience", 0.1)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(UserError, match="v.sqlite: cannot be written or read .database is locked."):
                predict_images([Path("in")], wishes, category="part")
    assert len(judged) == 3
    predict_images([Path("in")], wishes, category="part")
    assert len(judged) == 3
    with closing(sqlite3.connect("v.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM verdicts").fetchone() == (3,)
