"""AeCSAD's students: steps as published, what bfloat16, channels_last and torch.compile gain, and the cheap ones.

Every step sees what a published one does: two images, the same two in other colours through teacher and students, and a
natural image for the penalty. "As the stage runs it" is `train_students` itself; the four other rows run its terms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.gpu.measure import Check, Outcome, Setting, median_of, timed_steps, weights_of
from benchmarks.gpu.student_networks import PlainViews, natural_images, params_of, students_of, views_of
from stages.aecsad.student_teacher.data import Views, load_penalty_image
from stages.aecsad.student_teacher.training import (
    draw_iterations,
    imitate,
    imitation_terms,
    penalty_loss,
    train_students,
)
from stages.core.encoder import device as precision
from stages.core.training.adam import build_optimizer

STEPS, WARM_UP = 30, 5
PUBLISHED_STEPS = 60_000
IMAGES, NATURAL = 16, 4


@dataclass(frozen=True)
class Variant:
    """How a published step is computed."""

    name: str
    channels_last: bool = True
    bfloat16: bool = True
    compiled: bool = False


VARIANTS = (
    Variant("float32", channels_last=False, bfloat16=False),
    Variant("float32, channels_last", bfloat16=False),
    Variant("bfloat16", channels_last=False),
    Variant("bfloat16, channels_last"),
    Variant("bfloat16, channels_last, torch.compile", compiled=True),
)


def checks(setting: Setting) -> list[Check]:
    """List the checks, the compiled step last: it takes longest to prepare."""
    return [
        Check("students of profile embedded: all steps", check_cheap),
        Check("students as published: step, as the stage runs it", check_published),
        *(Check(f"students as published: step, {one.name}", partial(check_variant, variant=one)) for one in VARIANTS),
    ]


def check_cheap(setting: Setting) -> Outcome:
    """Train the cheap students for all their iterations by the stage's function; the time is that of all steps."""
    steps = 3 if setting.small else params_of(setting, profile="embedded").training.iterations
    params = params_of(setting, profile="embedded", changes={"training.iterations": steps})
    views = views_of(setting, profile="embedded", images=4 if setting.small else 64)
    with timed_steps(setting, warm_up=0) as clock:
        curve = train_students(
            views.module, views, params.training, pasted=None, penalty_files=[],
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
    losses = torch.from_numpy(curve["loss"].to_numpy(copy=True))
    values = [losses, *weights_of(students_of(views))]
    return Outcome(values, steps * clock.seconds, f"{steps} steps", f"batch {params.training.batch_size}")


def check_published(setting: Setting) -> Outcome:
    """Time the steps of `train_students` with all that CSAD's code has, the penalty on natural images included."""
    steps = 3 if setting.small else WARM_UP + STEPS
    params = params_of(setting, profile="paper", changes={"training.iterations": steps})
    views = views_of(setting, profile="paper", images=4 if setting.small else IMAGES)
    with timed_steps(setting, warm_up=1 if setting.small else WARM_UP) as clock:
        curve = train_students(
            views.module, views, params.training, pasted=None, penalty_files=natural_images(NATURAL),
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
    losses = torch.from_numpy(curve["loss"].to_numpy(copy=True))
    return Outcome([losses, *weights_of(students_of(views))], clock.seconds, "step", projected(clock.seconds, setting))


def projected(seconds: float, setting: Setting) -> str:
    """Say how long the published number of steps takes; nothing of tiny networks."""
    if setting.small:
        return ""
    return f"{PUBLISHED_STEPS * seconds / 3600:.2g} h for {PUBLISHED_STEPS:,} steps"


def check_variant(setting: Setting, *, variant: Variant) -> Outcome:
    """Time one way to compute a published step; the losses must be finite to the last."""
    views = views_of(
        setting, profile="paper", images=4 if setting.small else IMAGES,
        kind=Views if variant.channels_last else PlainViews,
    )  # fmt: skip
    students = students_of(views).train()
    layout = torch.channels_last if variant.channels_last else torch.contiguous_format
    for network in (students, views.encoder.body):
        network.to(memory_format=layout)
    if variant.compiled:
        compile_networks(views, setting)
    losses: list[Tensor] = []
    step = step_of(views, setting, losses)
    fast = precision.has_fast_bfloat16(setting.device) and variant.bfloat16
    with patch.object(precision, "has_fast_bfloat16", lambda device: fast):
        seconds = median_of(step, setting, repeats=STEPS)
    return Outcome([torch.stack(losses), *weights_of(students)], seconds, "step", projected(seconds, setting))


def compile_networks(views: Views, setting: Setting) -> None:
    """Compile both students and the encoder in place; without a GPU only their graphs are taken, no code is made."""
    torch.compiler.reset()
    for network in (views.module.local_student, views.module.global_student, views.encoder.body):
        network.compile(backend="aot_eager" if setting.small else "inductor")


def step_of(views: Views, setting: Setting, losses: list[Tensor]) -> Callable[[], None]:
    """Return a step of the published training: its draws, its terms, and Adam; it adds each loss to a list."""
    params = params_of(setting, profile="paper").training
    natural = natural_images(NATURAL)
    optimizer = build_optimizer(
        params.optimizer, students_of(views).parameters(), learning_rate=params.learning_rate,
        weight_decay=params.weight_decay,
    )  # fmt: skip
    draws = draw_iterations(
        len(views.images), params.batch_size, torch.Generator().manual_seed(0), global_images=params.global_images.kind,
        colour_strength=params.global_images.colour_strength, pasted=0, penalty=len(natural),
    )  # fmt: skip

    def step() -> None:
        draw = next(draws)
        assert draw.penalty is not None
        terms = imitation_terms(views.module, views, draw, None, hard_quantile=params.hard_quantile)
        image = load_penalty_image(natural[draw.penalty.row], size=views.images.shape[-1], grey=draw.penalty.grey)
        terms["penalty"] = penalty_loss(imitate(views.module, views.local_inputs(image)))
        optimizer.zero_grad()
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())

    return step
