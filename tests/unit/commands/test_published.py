"""Our numbers beside the published ones, and the list of files that a run with the published settings needs."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from commands.published.__main__ import KINDS, REPORTED, THESIS, main, read_runs, text_of, with_averages

from benchmarks.recipes import paper_files
from benchmarks.recipes.paper import main as paper
from benchmarks.recipes.paper_files import answers, check_files, read_paper_files
from stages.core.run.errors import UserError
from tests.architecture.source_files import ROOT
from tests.params_files import read_params

CATEGORIES = ["breakfast_box", "juice_bottle", "pushpins", "screw_bag", "splicing_connectors"]


def write_run(folder: Path, run: str, category: str, logical: float | None, structural: float) -> None:
    (folder / run).mkdir(parents=True, exist_ok=True)
    metrics = {"image_auroc": {"logical": logical, "structural": structural}}
    (folder / run / f"{category}.json").write_text(json.dumps(metrics), encoding="utf-8")


def test_the_reference_tables_agree_with_themselves() -> None:
    """The averages that table 5.1 prints are those of its rows, rounded, and its totals those of its averages."""
    table = pd.read_csv(THESIS).set_index(["category", "kind"])
    for kind in KINDS:
        rows = table.loc[[(category, kind) for category in CATEGORIES]]
        assert (rows.mean() - table.loc[("average", kind)]).abs().max() < 0.061  # one of them is cut, not rounded
    both = (table.loc[("average", "logical")] + table.loc[("average", "structural")]) / 2
    assert (both - table.loc[("average", "total")]).abs().max() < 0.11
    reported = pd.read_csv(REPORTED).set_index("method")["mean"]
    assert reported["AeCSAD"] == table.loc[("average", "total"), "aecsad"]
    assert reported["CSAD"] == 95.3


def test_averages_go_over_categories_within_each_run(tmp_path: Path) -> None:
    for seed, (first, second) in enumerate([(0.9, 0.7), (0.8, 0.6)]):
        write_run(tmp_path, f"seed-{seed}", "pushpins", first, 0.5)
        write_run(tmp_path, f"seed-{seed}", "screw_bag", second, 0.7)
    runs = with_averages(read_runs(tmp_path))
    assert runs["average", "logical"] == pytest.approx([80.0, 70.0])
    assert runs["average", "structural"] == pytest.approx([60.0, 60.0])
    assert runs["average", "total"] == pytest.approx([70.0, 65.0])
    assert text_of(runs["average", "logical"]) == "75.0 ± 7.1"
    assert text_of([91.26]) == "91.3"
    assert text_of([]) == "–"


def test_the_table_has_our_column_and_no_average_of_some_categories(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    write_run(tmp_path, "seed-0", "pushpins", 0.987, 0.912)
    main(["--runs", str(tmp_path)])
    rows = {tuple(line.split()[:2]): line.split()[2:] for line in capsys.readouterr().out.splitlines() if line.split()}
    assert rows["pushpins", "logical"] == ["69.0", "63.6", "65.1", "97.7", "95.7", "99.6", "100.0", "98.7"]
    assert rows["pushpins", "structural"][-1] == "91.2"
    assert rows["screw_bag", "logical"][-1] == "–"
    assert rows["average", "total"][-2:] == ["95.0", "–"] or rows["average", "total"][-2:] == ["95.1", "–"]
    assert rows["ours", "98.7"][:2] == ["91.2", "95.0"]


def test_missing_numbers_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run in it"):
        read_runs(tmp_path)
    write_run(tmp_path, "seed-0", "pushpins", None, 0.9)
    with pytest.raises(UserError, match=r"pushpins\.json: no logical image AUROC"):
        read_runs(tmp_path)
    write_run(tmp_path, "seed-0", "pushpins", 0.9, 0.9)
    write_run(tmp_path, "seed-1", "pushpins", 0.9, 0.9)
    write_run(tmp_path, "seed-1", "screw_bag", 0.9, 0.9)
    with pytest.raises(UserError, match="different numbers of runs"):
        with_averages(read_runs(tmp_path))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server on this machine with one file."""
    (tmp_path / "there").write_text("x", encoding="utf-8")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(tmp_path), **kwargs)  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_server_is_asked_for_the_file(server: str) -> None:
    assert answers(f"{server}/there")
    assert not answers(f"{server}/not_there")
    assert not answers("http://127.0.0.1:9/closed")


def test_every_file_that_cannot_be_had_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    files, manifest = read_paper_files(Path("data/paper.json"))
    assert sorted(files.categories) == CATEGORIES
    monkeypatch.setattr(paper_files, "answers", lambda url: False)
    monkeypatch.setattr(paper_files, "try_to_load_from_cache", lambda model, file: None)
    with pytest.raises(UserError) as caught:
        check_files(files, manifest, archive=tmp_path / "loco.tar.xz")
    for part in (
        "nothing was run", manifest.url, manifest.sha256, "CC BY-NC-SA 4.0", str(tmp_path / "loco.tar.xz"),
        "hf download timm/wide_resnet50_2.tv2_in1k model.safetensors", "276 MB",
    ):  # fmt: skip
        assert part in str(caught.value)
    monkeypatch.setattr(paper_files, "try_to_load_from_cache", lambda model, file: str(tmp_path / file))
    (tmp_path / "loco.tar.xz").touch()
    check_files(files, manifest, archive=tmp_path / "loco.tar.xz")


def test_the_command_stops_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    for name in ("paper.json", "mvtec_loco.json"):
        (tmp_path / "data" / name).write_text((ROOT / "data" / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paper_files, "answers", lambda url: False)
    with pytest.raises(SystemExit):
        paper(["--seeds", "0"])
    assert "nothing was run" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    with pytest.raises(SystemExit):
        paper(["--categories", "teapot"])
    assert "has no category teapot" in caplog.text


def test_what_a_category_sets_otherwise_exists_in_both_profiles() -> None:
    params = read_params(ROOT)
    overrides = json.loads((ROOT / "data/paper.json").read_text(encoding="utf-8"))["categories"]
    for profile in ("paper", "paper_thesis"):
        for key in {key for values in overrides.values() for key in values}:
            node = params["profiles"][profile]["aecsad"]
            for part in key.split("."):
                assert part in node, key
                node = node[part]
