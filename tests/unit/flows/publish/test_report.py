"""What a run's commit, its error, and its pictures and links in Prefect say."""

import base64
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from flows.dvc.batch import Fault, StageResult
from flows.publish.report import (
    INLINE_BYTES,
    StagesFailed,
    artifact_key,
    commit_message,
    data_url,
    headline,
    pictures_of,
    publish_links,
    publish_pictures,
    raise_for_faults,
)
from flows.schedule.loop import Report

REPORT = Report(
    results={"a@x": StageResult("ran", 61.23), "b@x": StageResult("cached", 0.5), "c@x": StageResult("failed", 2)},
    faults={"c@x": Fault("failed", "stage c@x failed")}, skipped=["d@x"], remarks=["params.yaml: n 8 -> 4"],
)  # fmt: skip


def test_the_commit_message_says_what_ran() -> None:
    assert commit_message(REPORT).splitlines() == [
        "nightly: 2 stages ran, 1 failed (c@x), 1 skipped", "", "params.yaml: n 8 -> 4", "a@x: ran, 61.2 s",
        "b@x: cached, 0.5 s", "c@x: failed, 2.0 s", "d@x: skipped",
    ]  # fmt: skip


def test_a_long_subject_is_shortened() -> None:
    many = Report(faults={f"segmentation@product_{i}": Fault("failed", "") for i in range(9)})
    assert commit_message(many).splitlines()[0] == "nightly: 0 ran, 9 failed, 0 skipped"


def test_the_error_names_every_fault_and_what_to_do() -> None:
    with pytest.raises(StagesFailed, match=r"(?s)stage c@x failed\nnot run, as they need it: d@x\na rerun starts"):
        raise_for_faults(REPORT)
    raise_for_faults(Report())
    assert headline(Report()) == "0 stages ran"


def test_pictures_come_with_the_page(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"abc")
    assert data_url(tmp_path / "a.jpg") == ("data:image/jpeg;base64," + base64.b64encode(b"abc").decode(), "")


def test_pictures_are_found_among_recorded_files_and_in_folders(tmp_path: Path) -> None:
    folder = tmp_path / "metrics/plots/pin_tray/overview"
    folder.mkdir(parents=True)
    for name in ("patchcore.jpg", "aecsad.jpg", "notes.txt"):
        (folder / name).touch()
    recorded = ["c.svg", "metrics/plots/pin_tray/overview", "metrics/plots/pin_tray/roc.csv"]
    assert pictures_of(tmp_path, recorded) == [
        "c.svg", "metrics/plots/pin_tray/overview/aecsad.jpg", "metrics/plots/pin_tray/overview/patchcore.jpg",
    ]  # fmt: skip


def test_a_large_picture_is_made_smaller_and_says_so(tmp_path: Path) -> None:
    noise = Image.effect_noise((600, 300), 100)
    noise.save(tmp_path / "a.png")
    before = (tmp_path / "a.png").stat().st_size
    url, remark = data_url(tmp_path / "a.png", limit=20_000)
    assert url is not None
    kind, _, text = url.partition(",")
    content = base64.b64decode(text)
    assert (kind, len(content) <= 20_000 < before) == ("data:image/jpeg;base64", True)
    with Image.open(BytesIO(content)) as smaller:
        assert smaller.width == 2 * smaller.height < 600
        assert remark == f"made smaller: {smaller.width} px wide, from {before / 1000:.0f} kB"


def test_what_cannot_be_shown_is_listed_and_the_report_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, str] = {}
    for kind, text in (("image", "description"), ("markdown", "markdown"), ("link", "link_text")):

        def create(*given: str, key: str, text: str = text, **more: str) -> None:
            made[key] = more.get(text) or given[0]

        monkeypatch.setattr(f"flows.publish.report.create_{kind}_artifact", create)
    (tmp_path / "a.svg").write_bytes(bytes(INLINE_BYTES + 1))
    (tmp_path / "b.jpg").write_bytes(b"abc")
    assert publish_pictures(tmp_path, ["a.svg", "b.jpg", "gone.jpg"], address=None) == ["b.jpg"]
    assert made["b"] == "b.jpg"
    assert f"in `{tmp_path}` on" in made["pictures-excluded"]
    assert "- `a.svg`: 400 kB are too large for the page" in made["pictures-excluded"]
    assert publish_pictures(tmp_path, ["a.svg"], address="http://files/") == ["a.svg"]
    (tmp_path / "artifacts/report").mkdir(parents=True)
    (tmp_path / "artifacts/report/index.html").touch()
    publish_links(tmp_path, "0" * 40, address=None)
    assert made["report"].startswith(f"{tmp_path}/artifacts/report/index.html on ")


def test_keys_of_artifacts() -> None:
    assert artifact_key("metrics/plots/Pin_tray/overview/aecsad.jpg") == "metrics-plots-pin-tray-overview-aecsad"
