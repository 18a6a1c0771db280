"""SIR's decoder on features of the published teacher: training steps in bfloat16, one-shot and full-shot."""

from functools import partial

import numpy as np
import torch

from benchmarks.gpu.inputs import section_of
from benchmarks.gpu.measure import Check, Outcome, Setting, timed_steps, weights_of
from stages.sir.model.feature_files import TeacherFeatures
from stages.sir.model.model import Shots
from stages.sir.model.params import DecoderParams, TrainingParams
from stages.sir.model.training import train

STEPS, WARM_UP = 30, 5
STAGES = ((256, 64), (512, 32), (1024, 16))  # channels and cells a side of WideResNet-50-2 at 256 px
TINY_STAGES = ((8, 16), (16, 8), (24, 4))
CATEGORIES = ("first", "second")


def checks(setting: Setting) -> list[Check]:
    """List one check for each number of shots."""
    return [
        Check("SIR: one-shot training step, all repetitions", partial(train_decoder, shots="one_shot")),
        Check("SIR: full-shot training step", partial(train_decoder, shots="full_shot")),
    ]


def random_features(category: str, images: int, *, small: bool) -> TeacherFeatures:
    """Draw features of one category in the layout of the stage sir_features, half of them 0 as behind a ReLU."""
    random = np.random.default_rng(len(category))
    stages = tuple(
        np.maximum(random.standard_normal((images, 1, channels, side, side)), 0).astype(np.float16)
        for channels, side in (TINY_STAGES if small else STAGES)
    )
    names = tuple(f"{category}/{number}" for number in range(images))
    return TeacherFeatures(category, names, names, ("plain",), {"name": "random"}, stages)


def train_decoder(setting: Setting, *, shots: Shots) -> Outcome:
    """Train with the stage's function for some steps; it also returns the loss of every loop."""
    features = [random_features(category, 4 if setting.small else 20, small=setting.small) for category in CATEGORIES]
    changes = {"widths": [8, 8, 8], "groups": 2} if setting.small else {}
    steps = 3 if setting.small else WARM_UP + STEPS
    decoder = section_of(DecoderParams, "sir.decoder", profile="paper", changes=changes)
    training = section_of(
        TrainingParams, "sir.training", profile="paper",
        changes={f"{shots}.iterations": steps} | ({"full_shot.batch_size": 4} if setting.small else {}),
    )  # fmt: skip
    with timed_steps(setting, warm_up=1 if setting.small else WARM_UP) as clock:
        trained = train(features, decoder, training, shots=shots, seed=0)
    values = [*weights_of(*trained.models), torch.tensor(trained.loss_by_loop)]
    note = f"{len(trained.models)} models" if shots == "one_shot" else f"batch {training.full_shot.batch_size}"
    return Outcome(values, clock.seconds, "step", note)
