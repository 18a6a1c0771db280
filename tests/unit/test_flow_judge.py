"""Which runs pass, what their commit says, and how the evaluation stage's JSON is read."""

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.batch import StageResult
from flows.comparison import MetricRow, read_rows
from flows.faults import Fault
from flows.judge import judge
from flows.picture import INLINE_BYTES, data_url
from flows.publish import artifact_key, pictures_of, publish_links, publish_pictures
from flows.schedule import Report
from flows.summary import StagesFailed, commit_message, headline, raise_for_faults
from stages.core.run.errors import UserError

ROW: dict[str, Any] = {
    "category": "pin_tray", "method": "aecsad", "kind": "logical", "metric": "image_auroc", "old": 0.95, "new": 0.951,
    "difference": 0.001, "low": -0.01, "high": 0.012, "verdict": "noise",
}  # fmt: skip


def row(**changes: Any) -> MetricRow:
    return MetricRow(**{**ROW, **changes})


def test_a_run_with_all_metrics_and_no_drop_passes_also_if_nothing_ran() -> None:
    rows = [row(), row(verdict="gain"), row(verdict="added", old=None)]
    assert judge(rows, Report()).passed


def test_a_drop_is_named_in_percent() -> None:
    verdict = judge([row(), row(verdict="drop", new=0.9)], Report())
    assert verdict.reasons == ("1 metrics dropped significantly: pin_tray aecsad image_auroc logical 95.0 -> 90.0",)


def test_a_missing_metric_fails() -> None:
    verdict = judge([row(), row(verdict="missing", new=None)], Report())
    assert verdict.reasons == ("1 metrics of the baseline are missing: pin_tray aecsad image_auroc logical",)


@pytest.mark.parametrize("rows", [[], [row(new=None, verdict="missing")]])
def test_a_run_without_any_metric_fails(rows: list[MetricRow]) -> None:
    assert "there is no metric that could be judged" in judge(rows, Report()).reasons[0]


def test_failed_and_skipped_stages_and_other_problems_fail() -> None:
    report = Report(faults={"a": Fault("failed", "a broke")}, skipped=["b", "c"])
    reasons = judge([row()], report, problems=["not pushed"]).reasons
    assert reasons == ("a broke", "not run, as they need a stage that failed: b, c", "not pushed")


def test_a_long_list_is_cut() -> None:
    (reason,) = judge([row(verdict="drop")] * 12, Report()).reasons
    assert reason.startswith("12 metrics dropped")
    assert reason.endswith("and 2 more")


def test_rows_are_read_and_unknown_keys_left_out() -> None:
    assert list(read_rows(json.dumps({"rows": [{**ROW, "confidence": 0.95}]}))) == [row()]


@pytest.mark.parametrize("text", ["", "[]", '{"rows": [{"category": "x"}]}', '{"rows": 3}'])
def test_another_form_is_an_error(text: str) -> None:
    with pytest.raises(UserError, match="wrote JSON of another form"):
        read_rows(text)


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
    assert pictures_of(["a/b.jpg", "a/b.json", "c.svg"]) == ["a/b.jpg", "c.svg"]


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

        monkeypatch.setattr(f"flows.publish.create_{kind}_artifact", create)
    (tmp_path / "a.svg").write_bytes(bytes(INLINE_BYTES + 1))
    (tmp_path / "b.jpg").write_bytes(b"abc")
    assert publish_pictures(tmp_path, ["a.svg", "b.jpg", "gone.jpg"], address=None) == ["b.jpg"]
    assert made["b"] == "b.jpg"
    assert f"in `{tmp_path}` on" in made["pictures-left-out"]
    assert "- `a.svg`: 400 kB are too large for the page" in made["pictures-left-out"]
    assert publish_pictures(tmp_path, ["a.svg"], address="http://files/") == ["a.svg"]
    (tmp_path / "artifacts/report").mkdir(parents=True)
    (tmp_path / "artifacts/report/index.html").touch()
    publish_links(tmp_path, "0" * 40, address=None)
    assert made["report"].startswith(f"{tmp_path}/artifacts/report/index.html on ")


def test_keys_of_artifacts() -> None:
    assert artifact_key("metrics/plots/aecsad/Pin_tray/overview.jpg") == "metrics-plots-aecsad-pin-tray-overview"
