"""The simulation of false alarms: what it counts, and where its table goes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.false_alarms import END, METHODS, NEW, START, draw_scores, main, normals_of, share_of_alarms, simulate


def test_rates_agree_with_what_is_stated() -> None:
    assert [normals_of(text) for text in ("4", "2+2")] == [(4, 0), (2, 2)]
    rates = simulate((4, 0), [0.05], draws=4, seed=1)
    assert [key[1] for key in rates] == list(METHODS)
    for rate in rates.values():
        assert rate.stated == pytest.approx(0.2)
        assert abs(rate.found - rate.stated) < 2 * rate.error


@pytest.mark.slow
def test_rates_with_images_held_out_in_turns_are_not_exceeded() -> None:
    for rate in simulate((2, 8), [0.05], draws=7, seed=1).values():
        assert rate.stated == pytest.approx(1 / 11)
        assert 0 < rate.found < rate.stated + rate.error


def test_alarms_are_new_images_above_the_threshold() -> None:
    scores = pd.DataFrame({"split": ["validation"] * 4 + ["test"] * 4, "score": [1.0, 2, 3, 4, 0, 4, 5, 6]})
    assert share_of_alarms(scores, budget=0.05) == 0.5
    assert share_of_alarms(scores, budget=0.4) == 0.75  # above 3, the third of four


def test_a_draw_has_normal_images_of_one_kind_and_higher_copies() -> None:
    table = draw_scores(np.random.default_rng(0), (40, 5), "lognormal")
    assert table["split"].value_counts().to_dict() == {"validation": 40, "rotated": 5, "synthetic": 40, "test": NEW}
    validation, synthetic = (table[table["split"] == split].iloc[:, 2:] for split in ("validation", "synthetic"))
    assert (synthetic.to_numpy() >= validation.to_numpy()).all()
    assert (validation.to_numpy() > 0).all()


def test_the_table_replaces_the_one_between_the_markers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.false_alarms.MANY", 8)  # two draws of the fewer images: for speed
    document = tmp_path / "page.md"
    document.write_text(f"before\n{START}old\n{END}after\n")
    options = ["--normals", "2+2", "3", "--budgets", "0.05", "--draws", "1", "--write", str(document)]
    main(options)
    text = document.read_text()
    assert text.startswith(f"before\n{START}| normal images | asked for | stated | patchcore |")
    assert "| 2 and 2 in turns | 5 | 20.0 | " in text
    assert "| 3 | 5 | 25.0 | " in text
    assert text.endswith(f"|\n{END}after\n")
    main(options)
    assert document.read_text() == text  # seeded
    document.write_text("no markers")
    with pytest.raises(SystemExit):
        main(options)
    assert "0 places between" in caplog.text
