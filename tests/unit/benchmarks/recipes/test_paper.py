"""`make paper`: the files that it needs, and the settings of each category and variant."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.recipes import paper_files
from benchmarks.recipes.paper import FILES, METHOD, params_of
from benchmarks.recipes.paper import main as paper
from benchmarks.recipes.paper_files import answers, check_files, read_paper_files
from stages.core.run.errors import UserError
from stages.core.run.params import PARAMS_FILE
from tests.architecture.source_files import ROOT

CATEGORIES = ["breakfast_box", "juice_bottle", "pushpins", "screw_bag", "splicing_connectors"]
PROFILE = Path("profiles/paper.yaml")


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


def test_every_file_that_is_not_available_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    with pytest.raises(SystemExit):
        paper(["--variant", "thessi"])
    assert "has no variant thessi: known are thesis" in caplog.text


def test_values_of_categories_and_variants_are_keys_of_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    files, _ = read_paper_files(FILES)
    assert {name: len(values) for name, values in files.variants.items()} == {"thesis": 17}
    before = params_of({}, {}, seed=0)[PROFILE]["aecsad"]
    for overrides in (*files.categories.values(), *files.variants.values()):
        changed = params_of({}, overrides, seed=0)[PROFILE]["aecsad"]
        for key, value in overrides.items():
            old, new = before, changed
            for part in key.split("."):
                old, new = old[part], new[part]
            assert new == value != old, key
    with pytest.raises(UserError, match=r"profiles/paper\.yaml has no aecsad\.pasting\.copies: correct it"):
        params_of({}, {"pasting.copies": 4}, seed=0)


def test_one_method_runs_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    params = params_of({"pushpins": {}}, {}, seed=2)[PARAMS_FILE]
    assert (params["profile"], params["seed"], list(params["categories"])) == ("paper", 2, ["pushpins"])
    active = {name: entry["categories"] for name, entry in params["methods"].items() if entry["categories"]}
    assert active == {METHOD: params["categories"]}
