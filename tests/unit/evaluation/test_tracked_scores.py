"""The scores that git keeps."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.core.run.errors import UserError
from stages.evaluation.outputs import parse_tracked_scores, write_tracked_scores


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "image_id,kind,score\na,normal,x\n", "image_id,kind,score\na,normal,nan\n",
             "image_id,kind,score\na,normal,1\na,normal,2\n"],
)  # fmt: skip
def test_damaged_scores_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="here: "):
        parse_tracked_scores(text, where="here")


def test_tracked_scores_come_back(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(scale=1e3, size=50)
    scores = pd.DataFrame({"image_id": [f"test/{n:02d}, x" for n in range(50)], "kind": "normal", "score": values})
    write_tracked_scores(tmp_path / "s.csv", scores.sample(frac=1, random_state=0))
    back = parse_tracked_scores((tmp_path / "s.csv").read_text(), where="s.csv")
    assert back["score"].tolist() == pytest.approx(scores["score"].tolist(), rel=1e-8)
    assert back.index.tolist() == scores["image_id"].tolist()
