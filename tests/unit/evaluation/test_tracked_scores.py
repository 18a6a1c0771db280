"""The scores that git keeps."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.core.run.errors import UserError
from stages.evaluation.outputs import parse_tracked_scores, write_tracked_scores
from tests.table import violations

HEADER = "method,image_id,kind,score\n"


def test_damaged_scores_are_refused() -> None:
    def check(text: str) -> None:
        with pytest.raises(UserError, match="here: "):
            parse_tracked_scores(text, where="here")

    values = [
        "", "a,b\n1,2\n", f"{HEADER}m,a,normal,x\n", f"{HEADER}m,a,normal,nan\n",
        f"{HEADER}m,a,normal,1\nm,a,normal,2\n",
    ]  # fmt: skip
    assert violations(check, zip(values)) == []


def test_no_name_of_an_image_is_a_formula(tmp_path: Path) -> None:
    names = ['=HYPERLINK("x")', "+1", "-1", "@a", "\ta", "a=1"]
    test = pd.DataFrame({"image_id": names, "kind": "normal", "score": 1.0})
    write_tracked_scores(tmp_path / "s.csv", {"m": test})
    with (tmp_path / "s.csv").open(newline="") as file:
        written = [row["image_id"] for row in csv.DictReader(file)]
    assert sorted(written) == sorted(["a=1", *(f"./{name}" for name in names[:-1])])
    assert sorted(parse_tracked_scores((tmp_path / "s.csv").read_text(), where="s")["m"].index) == sorted(written)


def test_tracked_scores_come_back(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(scale=1e3, size=50)
    scores = pd.DataFrame({"image_id": [f"test/{n:02d}, x" for n in range(50)], "kind": "normal", "score": values})
    tests = {"b": scores.sample(frac=1, random_state=0), "a": scores.assign(score=-values)}
    write_tracked_scores(tmp_path / "s.csv", tests)
    back = parse_tracked_scores((tmp_path / "s.csv").read_text(), where="s.csv")
    for method, sign in (("a", -1), ("b", 1)):
        assert back[method]["score"].tolist() == pytest.approx((sign * scores["score"]).tolist(), rel=1e-8)
        assert back[method].index.tolist() == scores["image_id"].tolist()
