"""Training of SIR on made-up features: which images, the same result again, and after a kill."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.core.run.errors import UserError
from stages.core.training.checkpoints import FOLDER
from stages.core.training.optimisation import CHECKPOINT_SECONDS
from stages.sir.model import training as training_module
from stages.sir.model.batches import (
    Batches,
    Pick,
    choose_single_images,
    full_shot_batches,
    one_shot_batches,
    shots_of,
)
from stages.sir.model.feature_files import read_features
from stages.sir.model.model import SirModel, read_models, write_models
from stages.sir.model.training import Trained, describe, train
from tests.unit.sir.case import TEACHER, decoder_params, make_features, training_params


@pytest.fixture(autouse=True)
def plain_convolutions() -> Iterator[None]:
    """Without oneDNN, which takes up to ten times as long on maps of 8 x 8; test_stages.py trains with it."""
    set_flags = torch.backends.mkldnn.set_flags
    (before, *_) = set_flags(False)
    yield
    set_flags(before)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def weights(trained: Trained) -> list[dict[str, torch.Tensor]]:
    return [dict(model.state_dict()) for model in trained.models]


def equal(first: list[dict[str, torch.Tensor]], second: list[dict[str, torch.Tensor]]) -> bool:
    pairs = list(zip(first, second, strict=True))
    return all(one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one) for one, two in pairs)


def test_a_repetition_is_one_image_of_every_category(here: Path) -> None:
    few, many = make_features(here, "few", images=3), make_features(here, "many", images=40)
    rows = choose_single_images(many, repetitions=5, seed=0)
    assert len(set(rows)) == 5
    assert rows == choose_single_images(many, repetitions=5, seed=0)
    assert rows != choose_single_images(many, repetitions=5, seed=1)
    assert rows[:2] == choose_single_images(many, repetitions=2, seed=0)
    assert rows != choose_single_images(make_features(here, "others", images=40), repetitions=5, seed=0)
    assert (
        Counter(choose_single_images(few, repetitions=5, seed=0)).most_common(1)[0][1] == 2
    )  # 3 images for 5 repetitions
    batch = next(one_shot_batches([few, many], [[1, 2], rows[:2]], torch.Generator(), shift=0))
    assert [[(pick.category, pick.row) for pick in draw] for draw in batch] == [
        [(0, 1), (1, rows[0])],
        [(0, 2), (1, rows[1])],
    ]


def test_categories_of_any_size_are_drawn_alike(here: Path) -> None:
    small, large = make_features(here, "small", images=2), make_features(here, "large", images=60)
    batches = islice(full_shot_batches([small, large], 10, torch.Generator().manual_seed(0)), 200)
    picks = [pick for (batch,) in batches for pick in batch]
    counts = Counter(pick.category for pick in picks)
    assert counts[0] == pytest.approx(1000, abs=4 * (2000 / 4) ** 0.5)  # binomial, four deviations
    assert len({pick.row for pick in picks if pick.category == 1}) == 60


def test_views_are_drawn_and_a_single_view_draws_nothing(here: Path) -> None:
    turned = make_features(here, "turned", images=1, views=3)
    picks = islice(one_shot_batches([turned], [[0]], torch.Generator().manual_seed(0), shift=0), 30)
    assert {draw[0][0].view for draw in picks} == {0, 1, 2}
    generator = torch.Generator().manual_seed(0)
    plain = make_features(here, "plain")
    next(one_shot_batches([plain], [[0]], generator, shift=0))
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(0).get_state())


@pytest.mark.parametrize("shots", ["one_shot", "full_shot"])
def test_the_loss_falls_and_the_result_repeats_bit_by_bit(here: Path, shots: Any) -> None:
    features = [make_features(here, name) for name in ("a", "b")]
    trained = train(features, decoder_params(standardise=True), training_params(), shots=shots, seed=0)
    repetitions = 2 if shots == "one_shot" else 1
    assert list(trained.curve.columns) == ["step", "loss", *(f"repetition_{n}" for n in range(repetitions))]
    assert trained.curve["repetition_0"].iloc[-1] < trained.curve["repetition_0"].iloc[0]
    assert [len(losses) for losses in trained.loss_by_loop] == [3] * repetitions
    assert equal(
        weights(trained),
        weights(train(features, decoder_params(standardise=True), training_params(), shots=shots, seed=0)),
    )
    other = train(features, decoder_params(standardise=True), training_params(), shots=shots, seed=1)
    assert not equal(weights(trained), weights(other))
    assert not list(here.glob(f"{FOLDER}/*.pt"))


def test_one_image_is_rebuilt_better_the_longer_it_is_seen(here: Path) -> None:
    features = [make_features(here, "a")]
    longer = training_params(one_shot={"iterations": 60, "repetitions": 1, "shift": 0})
    trained = train(features, decoder_params(widths=[16, 32]), longer, shots="one_shot", seed=0)
    assert max(trained.loss_by_loop[0]) < 0.5 < trained.curve["repetition_0"].iloc[0]


def test_repetitions_train_side_by_side_as_they_would_alone(here: Path) -> None:
    """The first of two repetitions has the weights of a training with one."""
    features = [make_features(here, name) for name in ("a", "b")]
    both = train(features, decoder_params(), training_params(), shots="one_shot", seed=0)
    one = training_params(one_shot={"iterations": 12, "repetitions": 1, "shift": 0})
    alone = train(features, decoder_params(), one, shots="one_shot", seed=0)
    assert equal(weights(both)[:1], weights(alone))
    assert not equal(weights(both)[:1], weights(both)[1:])


def test_universal_and_specialised_learn_from_the_same_images(here: Path) -> None:
    first, second = make_features(here, "a", images=20), make_features(here, "b", images=20)
    together = train([first, second], decoder_params(), training_params(), shots="one_shot", seed=3)
    alone = train([second], decoder_params(), training_params(), shots="one_shot", seed=3)
    assert [draw["b"] for draw in together.drawn] == [draw["b"] for draw in alone.drawn]
    described = describe(together, [first, second])
    assert described["images"] == {"a": 20, "b": 20}
    assert set(described["drawn"]["repetition_1"]) == {"a", "b"}
    assert set(described["loss_after_training"]["repetition_0"]) == {"loop_1", "loop_2", "loop_3"}


def test_the_loss_of_the_last_loop_alone_is_another_training(here: Path) -> None:
    features = [make_features(here, "a")]
    mean, last = (
        train(features, decoder_params(), training_params(loss_loops=kind), shots="full_shot", seed=0)
        for kind in ("mean", "last")
    )
    assert not equal(weights(mean), weights(last))


class Killed(Exception):
    pass


@pytest.mark.parametrize("shots", ["one_shot", "full_shot"])
def test_an_interrupted_training_ends_with_the_same_weights_and_curve(
    here: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, shots: Any
) -> None:
    features = [make_features(here, name, views=2) for name in ("a", "b")]
    expected = train(features, decoder_params(), training_params(), shots=shots, seed=0)
    monkeypatch.setenv(CHECKPOINT_SECONDS, "0")
    working, calls = training_module.reconstruction_loss, []

    def killed(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) > 14:
            raise Killed
        return working(*arguments, **options)

    monkeypatch.setattr(training_module, "reconstruction_loss", killed)
    if shots == "full_shot":
        calls.extend([1] * 7)
    with pytest.raises(Killed):
        train(features, decoder_params(), training_params(), shots=shots, seed=0)
    assert len(list(here.glob(f"{FOLDER}/*.pt"))) == 1
    monkeypatch.setattr(training_module, "reconstruction_loss", working)
    caplog.set_level("INFO")
    resumed = train(features, decoder_params(), training_params(), shots=shots, seed=0)
    assert "continuing after iteration" in caplog.text
    assert equal(weights(resumed), weights(expected))
    assert resumed.curve.equals(expected.curve)
    assert not list(here.glob(f"{FOLDER}/*.pt"))


@pytest.mark.slow
@pytest.mark.timeout(900)  # several processes, each importing torch, perhaps on a busy machine
def test_a_killed_process_continues(here: Path) -> None:
    """SIGKILL in the middle, then the same command again."""
    make_features(here, "a")
    code = (
        "import sys\nfrom pathlib import Path\nfrom stages.core.run.console import set_up_logging\n"
        "from stages.sir.model.feature_files import read_features\n"
        "from stages.sir.model.model import write_models\nfrom stages.sir.model.training import train\n"
        "from tests.unit.sir.case import decoder_params, training_params\n"
        "set_up_logging()\nfeatures = [read_features(Path('a'), category='a')]\n"
        "params = training_params(one_shot={'iterations': 80, 'repetitions': 2, 'shift': 1})\n"
        "trained = train(features, decoder_params(), params, shots='one_shot', seed=0)\n"
        "write_models(Path(sys.argv[1]), trained.models, features[0].teacher, shots='one_shot', drawn=trained.drawn)\n"
    )
    environment = {**os.environ, CHECKPOINT_SECONDS: "0", "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", code]
    subprocess.run([*command, "whole.safetensors"], env=environment, check=True, capture_output=True)
    process = subprocess.Popen([*command, "killed.safetensors"], env=environment, stderr=subprocess.DEVNULL)
    while not list(here.glob(f"{FOLDER}/*.pt")):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (here / "killed.safetensors").exists()
    again = subprocess.run(
        [*command, "killed.safetensors"], env=environment, check=True, capture_output=True, text=True
    )
    assert "continuing after iteration" in again.stderr
    assert (here / "killed.safetensors").read_bytes() == (here / "whole.safetensors").read_bytes()


def test_a_model_file_rebuilds_every_repetition(here: Path) -> None:
    trained = train([make_features(here, "a")], decoder_params(), training_params(), shots="one_shot", seed=0)
    write_models(here / "model.safetensors", trained.models, TEACHER, shots="one_shot", drawn=trained.drawn)
    found = read_models(here / "model.safetensors")
    assert (found.teacher, found.shots, found.drawn) == (TEACHER, "one_shot", trained.drawn)
    models = found.models
    assert equal([dict(model.state_dict()) for model in models], weights(trained))
    assert not any(value.requires_grad for model in models for value in model.parameters())
    assert not any(model.training for model in models)
    assert isinstance(models[0], SirModel)


def test_mistakes_are_named(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = make_features(here, "a"), make_features(here, "b", image_size=32)
    with pytest.raises(UserError, match="a and b have features of different teachers"):
        train([first, second], decoder_params(), training_params(), shots="one_shot", seed=0)
    with pytest.raises(UserError, match=r"sir.decoder.widths: the teacher has 2 stages, this has only 1 values"):
        train([first], decoder_params(widths=[8]), training_params(), shots="one_shot", seed=0)
    with pytest.raises(UserError, match=r"sir.training.stage_weights: the teacher has 2 stages, this has 3 values"):
        train([first], decoder_params(), training_params(stage_weights=[1, 1, 1]), shots="one_shot", seed=0)
    with pytest.raises(UserError, match=r"methods\.sir\.universal: there is no setting 'sir_one_shot_specialised'"):
        shots_of("sir_one_shot_specialised", scope="universal")
    train([make_features(here, "c", images=1)], decoder_params(), training_params(), shots="one_shot", seed=0)
    assert "c has 1 images for 2 repetitions: some are used again" in caplog.text
    (here / "a" / "stage_1.npy").unlink()
    with pytest.raises(UserError, match="no readable features"):
        read_features(here / "a", category="a")
    (here / "bad.safetensors").write_bytes(b"x")
    with pytest.raises(UserError, match="no readable weights"):
        read_models(here / "bad.safetensors")


def test_one_shot_images_are_moved_by_whole_cells_of_the_coarsest_stage(here: Path) -> None:
    """Every stage by the same part of the image, and each iteration by another one."""
    features = make_features(here, "a")
    batches = Batches([features], [[0]], batch_size=1, shift=1, device=torch.device("cpu"))
    picks = list(islice(batches.picks(torch.Generator().manual_seed(0)), 60))
    assert {pick.shift for batch in picks for own in batch for pick in own} == set(product((-1, 0, 1), repeat=2))
    whole = features.of(0, 0)
    found = batches.read((Pick(0, 0, 0, (1, -1)),))
    factor = whole[0].shape[-1] // whole[1].shape[-1]
    assert torch.equal(found[1][0, :, 1:, :-1], whole[1][:, :-1, 1:])
    assert torch.equal(found[0][0, :, factor:, :-factor], whole[0][:, :-factor, factor:])
    still = Batches([features], [[0]], batch_size=1, shift=0, device=torch.device("cpu"))
    assert {own[0].shift for batch in islice(still.picks(torch.Generator()), 5) for own in batch} == {(0, 0)}
