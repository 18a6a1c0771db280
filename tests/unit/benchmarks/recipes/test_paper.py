"""`make paper`: the files that it needs, and the settings of each category and variant."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.recipes import paper_files
from benchmarks.recipes.paper import main as paper
from benchmarks.recipes.paper import params_of, settings_of
from benchmarks.recipes.paper_files import answers, check_files, read_paper_files, with_absolute_paths
from stages.core.run.errors import UserError
from stages.core.run.params import PARAMS_FILE
from tests.architecture.source_files import ROOT

CATEGORIES = ["breakfast_box", "juice_bottle", "pushpins", "screw_bag", "splicing_connectors"]
FILES = {profile: Path(f"data/{profile}.json") for profile in ("paper", "modern")}
VARIANTS = {"paper": {"thesis": 17}, "modern": {"sum": 1, "reliability": 1}}
METHODS = {"paper": {"aecsad"}, "modern": {"oddpart", "aecsad", "patchcore"}}


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
        check_files(files, manifest, archive=tmp_path / "loco.tar.xz", settings=settings_of("paper"))
    for part in (
        "nothing was run", manifest.url, manifest.sha256, "CC BY-NC-SA 4.0", str(tmp_path / "loco.tar.xz"),
        "hf download timm/wide_resnet50_2.tv2_in1k model.safetensors", "276 MB",
    ):  # fmt: skip
        assert part in str(caught.value)
    monkeypatch.setattr(paper_files, "try_to_load_from_cache", lambda model, file: str(tmp_path / file))
    (tmp_path / "loco.tar.xz").touch()
    check_files(files, manifest, archive=tmp_path / "loco.tar.xz", settings=settings_of("paper"))


def test_local_files_of_a_profile_are_listed_and_found_by_a_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    files, manifest = read_paper_files(FILES["modern"])
    settings = settings_of("modern")
    settings["encoder"]["weights"] = {"file": "weights/own.pth", "sha256": "0" * 64}
    monkeypatch.chdir(tmp_path)
    Path("loco.tar.xz").touch()

    def check() -> None:
        check_files(files, manifest, archive=Path("loco.tar.xz"), settings=settings)

    monkeypatch.setattr(paper_files, "missing_weights", lambda weights: pytest.fail("the hub was asked"))
    with pytest.raises(UserError) as caught:
        check()
    assert f"the encoder's weights\n      to {tmp_path}/weights/own.pth" in str(caught.value)
    penalty = tmp_path / "work" / "penalty_images"
    assert f"natural images, for the students' penalty\n      to {penalty}" in str(caught.value)
    Path("weights").mkdir()
    Path("weights/own.pth").touch()
    Path("work/penalty_images").mkdir(parents=True)
    check()
    with_absolute_paths(settings)
    assert settings["encoder"]["weights"]["file"] == str(tmp_path / "weights/own.pth")
    training = settings["aecsad"]["student_teacher"]["training"]
    assert training["penalty_images"] == str(tmp_path / "work/penalty_images")


def test_the_command_stops_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "profiles").mkdir()
    for name in ("data/paper.json", "data/mvtec_loco.json", "profiles/paper.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paper_files, "answers", lambda url: False)
    with pytest.raises(SystemExit):
        paper(["--seeds", "0"])
    assert "nothing was run" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "profiles"]
    with pytest.raises(SystemExit):
        paper(["--categories", "teapot"])
    assert "has no category teapot" in caplog.text
    with pytest.raises(SystemExit):
        paper(["--variant", "thessi"])
    assert "has no variant thessi: known are thesis" in caplog.text
    with pytest.raises(SystemExit):
        paper(["--profile", "embedded"])
    assert "data/embedded.json or profiles/embedded.yaml is missing: take paper or modern" in caplog.text


@pytest.mark.parametrize("profile", FILES)
def test_values_of_categories_and_variants_are_keys_of_the_profile(
    monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    monkeypatch.chdir(ROOT)
    files, _ = read_paper_files(FILES[profile])
    assert {name: len(values) for name, values in files.variants.items()} == VARIANTS[profile]
    section = Path(f"profiles/{profile}.yaml")

    def settings(overrides: dict[str, object]) -> dict[str, object]:
        params = params_of({}, overrides, profile=profile, files=files, seed=0)
        return dict(params[section]["aecsad"])

    before = settings({})
    for overrides in (*files.categories.values(), *files.variants.values()):
        changed = settings(overrides)
        for key, value in overrides.items():
            old: object = before
            new: object = changed
            for part in key.split("."):
                assert isinstance(old, dict) and isinstance(new, dict)
                old, new = old[part], new[part]
            assert new == value != old, key
    with pytest.raises(UserError, match=rf"profiles/{profile}\.yaml has no aecsad\.pasting\.copies: correct it"):
        settings({"pasting.copies": 4})


@pytest.mark.parametrize("profile", FILES)
def test_the_profiles_methods_run_and_no_other(monkeypatch: pytest.MonkeyPatch, profile: str) -> None:
    monkeypatch.chdir(ROOT)
    files, _ = read_paper_files(FILES[profile])
    params = params_of({"pushpins": {}}, {}, profile=profile, files=files, seed=2)[PARAMS_FILE]
    assert (params["profile"], params["seed"], list(params["categories"])) == (profile, 2, ["pushpins"])
    active = {name: entry["categories"] for name, entry in params["methods"].items() if entry["categories"]}
    assert active == dict.fromkeys(METHODS[profile], params["categories"])
