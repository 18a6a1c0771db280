"""What the students learn from is checked before anything is trained."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from stages.aecsad.model.label_maps import PastedImages
from stages.aecsad.student_teacher import training
from stages.aecsad.student_teacher.data import find_penalty_images, load_penalty_image
from stages.aecsad.student_teacher.fitting import fit_student_teacher, pasted_to_learn
from stages.aecsad.student_teacher.params import StudentTeacherParams
from stages.core.encoder.encoder import LITE0
from stages.core.run.errors import UserError
from stages.core.run.params import EncoderParams

ROOT = Path(__file__).parents[4]


def test_images_of_another_size_are_refused_before_anything_is_read() -> None:
    encoder = EncoderParams(name="tf_efficientnet_lite0", image_size=128)
    with pytest.raises(UserError, match="image_size is 128, the global student needs 256"):
        fit_student_teacher(None, Path("nowhere"), None, encoder, seed=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("cpu_threads", "expected"), [(2, 2), (None, 3)])  # the second: one a core
def test_trains_with_as_many_threads_as_the_profile_says_and_scores_with_one(
    cpu_threads: int | None, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # checkpoints
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(training, "optimise", lambda *_, **__: seen.append(torch.get_num_threads()))
    seen: list[int] = []
    noise = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(noise.integers(0, 256, (256, 256, 3), dtype=np.uint8)).save(name)
    images = pd.DataFrame({"file": ["a.png", "b.png"], "split": "train"})
    section = yaml.safe_load((ROOT / "tests/profiles/smoke.yaml").read_text())["aecsad"]["student_teacher"]
    params = StudentTeacherParams.model_validate({**section, "cpu_threads": cpu_threads})
    threads = torch.get_num_threads()
    try:
        fit_student_teacher(images, tmp_path, params, EncoderParams(name=LITE0, image_size=256), seed=0)
        assert [*seen, torch.get_num_threads()] == [expected, 1]
    finally:
        torch.set_num_threads(threads)


def test_pasted_images_must_be_there_and_fit() -> None:
    images = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    pasted = PastedImages(images, tuple("abcdefghijk"[: len(images)]))
    assert pasted_to_learn(pasted, "plain", size=8) is None
    found = pasted_to_learn(pasted, "pasted", size=8)
    assert found is not None
    assert found.shape == (2, 3, 8, 8)
    with pytest.raises(UserError, match=r"set cluster\.pasted_components\.copies"):
        pasted_to_learn(pasted.of([]), "pasted", size=8)
    with pytest.raises(UserError, match="of 8 px"):
        pasted_to_learn(pasted, "pasted", size=16)


def test_the_penalty_image_is_the_middle_of_the_image_twice_as_large(tmp_path: Path) -> None:
    picture = np.zeros((32, 32, 3), dtype=np.uint8)
    picture[8:24, 8:24] = (200, 100, 50)  # the middle half: all of the crop but for the blurred rim
    Image.fromarray(picture).save(tmp_path / "a.png")
    colour = load_penalty_image(tmp_path / "a.png", size=16, grey=False)
    assert colour.shape == (1, 3, 16, 16)
    assert colour[0, :, 2:-2, 2:-2].flatten(1).unique(dim=1).flatten().tolist() == [200, 100, 50]
    grey = load_penalty_image(tmp_path / "a.png", size=16, grey=True)
    assert grey[0, :, 8, 8].tolist() == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)] * 3


def test_penalty_folders_are_checked_and_their_absence_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert find_penalty_images(None) == []
    assert "penalty_images is null" in caplog.text
    with pytest.raises(UserError, match="is not a folder"):
        find_penalty_images(str(tmp_path / "none"))
    with pytest.raises(UserError, match="holds no image"):
        find_penalty_images(str(tmp_path))
    (tmp_path / "deep").mkdir()
    for name in ("b.JPEG", "deep/a.png", "readme.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in find_penalty_images(str(tmp_path))] == ["b.JPEG", "a.png"]
