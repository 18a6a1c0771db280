"""Train SIR's decoder on features of one category or of several, once for each draw of images."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from stages.core.encoder.device import mixed_precision, pick_device, seed_everything
from stages.core.run.errors import UserError
from stages.core.training.checkpoints import checkpoint_file
from stages.core.training.optimisation import Terms, optimise
from stages.sir.model.decoder import reconstruction_loss
from stages.sir.model.feature_files import TeacherFeatures
from stages.sir.model.model import DecoderParams, SirModel, TrainingParams
from stages.sir.train.shots import Pick, Shots, draw_single_images, full_shot_batches, one_shot_batches

LOG = logging.getLogger(__name__)
SCALE_BATCHES = 10  # full-shot batches from which the channels' scales are taken


@dataclass(frozen=True)
class Trained:
    """What a training gives.

    Attributes:
        drawn: for each draw the one image_id of every category; empty where all images are learned from.
        curve: see `stages.core.training.curve.TrainingCurve.table`; a column `draw_<n>` each.
        loss_by_loop: for each draw, of every loop after the training, on the draw's images or on one random batch.
    """

    models: list[SirModel]
    drawn: list[dict[str, str]]
    curve: pd.DataFrame
    loss_by_loop: list[list[float]]


def train(
    features: Sequence[TeacherFeatures], decoder: DecoderParams, training: TrainingParams, *, shots: Shots, seed: int
) -> Trained:
    """Train a model for each draw; the last iteration's weights stay, none is chosen by any score.

    The draws are trained side by side. Each one's loss is a term of its own of a sum, so that its gradient is what it
    would be alone; Adam and AdamW step each weight by itself.

    Args:
        features: of each category.
        seed: of images, initial weights (each draw has its own) and batches.

    Raises:
        UserError: categories come from different teachers, or widths and weights do not fit the teacher's stages.
    """
    refuse_what_does_not_fit(features, decoder, training)
    device, generator = pick_device(), seed_everything(seed)
    rows: list[list[int]] = []
    if shots == "one_shot":
        rows = [draw_single_images(one, draws=training.one_shot.draws, seed=seed) for one in features]
        warn_of_few_images(features, draws=training.one_shot.draws)
    arguments = {"channels": features[0].channels, **decoder.model_dump(exclude={"standardise"}, mode="json")}
    count = training.one_shot.draws if rows else 1
    models = [SirModel(**arguments).to(memory_format=torch.channels_last).to(device) for _ in range(count)]
    batches = Batches(features, rows, training, device)
    if decoder.standardise:
        batches.standardise(models, seed=seed)
    curve = fit(models, batches, training, generator=generator, decoder=decoder)
    drawn = [
        {one.category: one.image_ids[own[n]] for one, own in zip(features, rows, strict=True)}
        for n in range(count if rows else 0)
    ]
    return Trained(models, drawn, curve, batches.loss_by_loop(models, training, seed=seed))


class Batches:
    """The features of what an iteration sees, on the device; repeated batches are read once."""

    def __init__(
        self,
        features: Sequence[TeacherFeatures],
        rows: Sequence[Sequence[int]],
        training: TrainingParams,
        device: torch.device,
    ) -> None:
        """Args:
        rows: of each category, a row a draw; none for all images.
        """
        self.features, self.rows, self.device = features, rows, device
        self.batch_size = training.full_shot.batch_size
        self.load = lru_cache(maxsize=max(1, len(rows[0]) if rows else 0))(self.read)

    def picks(self, generator: torch.Generator) -> Iterator[list[list[Pick]]]:
        """Endless batches, one a draw."""
        if self.rows:
            return one_shot_batches(self.features, self.rows, generator)
        return full_shot_batches(self.features, self.batch_size, generator)

    def read(self, picks: tuple[Pick, ...]) -> list[Float[Tensor, "B C h w"]]:
        """A batch of each stage's features."""
        images = [self.features[pick.category].of(pick.row, pick.view) for pick in picks]
        stages = [torch.stack(stage) for stage in zip(*images, strict=True)]
        return [stage.to(self.device).contiguous(memory_format=torch.channels_last) for stage in stages]

    def standardise(self, models: Sequence[SirModel], *, seed: int) -> None:
        """Take each model's scale of the channels from the images that it learns from."""
        found = list(islice(self.picks(torch.Generator().manual_seed(seed)), 1 if self.rows else SCALE_BATCHES))
        for number, model in enumerate(models):
            picks = [pick for batches in found for pick in batches[number]]
            model.standardise(self.features[pick.category].of(pick.row, pick.view) for pick in picks)

    @torch.no_grad()
    def loss_by_loop(self, models: Sequence[SirModel], training: TrainingParams, *, seed: int) -> list[list[float]]:
        """The loss of every loop by itself, of each model."""
        picks, found = next(self.picks(torch.Generator().manual_seed(seed))), []
        for model, own in zip(models, picks, strict=True):
            targets, loops = model.eval()(self.load(tuple(own)))
            losses = [
                reconstruction_loss(targets, [loop], loop_weights=[1.0], stage_weights=training.stage_weights)
                for loop in loops
            ]
            found.append([float(loss) for loss in losses])
        return found


def fit(
    models: Sequence[SirModel],
    batches: Batches,
    training: TrainingParams,
    *,
    generator: torch.Generator,
    decoder: DecoderParams,
) -> pd.DataFrame:
    """Minimise every model's loss, in place."""
    shots = training.one_shot if batches.rows else training.full_shot
    last = decoder.loops - 1
    weights = [1 / decoder.loops if training.loss_loops == "mean" else float(n == last) for n in range(decoder.loops)]

    def terms_of(picks: list[list[Pick]]) -> Terms:
        terms: Terms = {}
        for number, (model, own) in enumerate(zip(models, picks, strict=True)):
            with mixed_precision(batches.device):
                targets, loops = model(batches.load(tuple(own)))
            rebuilt = [[stage.float() for stage in loop] for loop in loops]
            terms[f"draw_{number}"] = reconstruction_loss(
                targets, rebuilt, loop_weights=weights, stage_weights=training.stage_weights
            )
        return terms

    together = nn.ModuleList(models).train()
    curve = optimise(
        together, batches.picks(generator), terms_of, weights={f"draw_{n}": 1.0 for n in range(len(models))},
        iterations=shots.iterations, optimizer=training.optimizer, schedule=training.schedule,
        learning_rate=training.learning_rate, weight_decay=training.weight_decay,
        label=f"decoders of {len(models)} draws" if batches.rows else "decoder",
        checkpoint=checkpoint_file(
            "sir", tensors=together.state_dict().values(),
            settings=settings_of(batches, training, decoder, seed=generator.initial_seed()),
        ),
    )  # fmt: skip
    together.eval()
    return curve


def settings_of(batches: Batches, training: TrainingParams, decoder: DecoderParams, *, seed: int) -> dict[str, Any]:
    """All that decides a training besides its initial weights; a file of the split is named by its content."""
    data = [
        {"category": one.category, "files": one.files, "views": one.views, "teacher": one.teacher}
        for one in batches.features
    ]
    return {
        "training": training.model_dump(mode="json"), "decoder": decoder.model_dump(mode="json"),
        "rows": [list(own) for own in batches.rows], "data": data, "seed": seed,
    }  # fmt: skip


def refuse_what_does_not_fit(
    features: Sequence[TeacherFeatures], decoder: DecoderParams, training: TrainingParams
) -> None:
    """Raise a UserError where categories, decoder and loss cannot be brought together."""
    first = features[0]
    for one in features:
        if one.teacher != first.teacher:
            raise UserError(
                f"{first.category} and {one.category} have features of different teachers ({first.teacher}, "
                f"{one.teacher}): run `dvc repro` to make them again"
            )
    for name, values in (("decoder.widths", decoder.widths), ("training.stage_weights", training.stage_weights)):
        if len(values) != len(first.stages):
            raise UserError(
                f"profile: sir.{name}: the teacher has {len(first.stages)} stages, this has {len(values)} values"
            )


def warn_of_few_images(features: Sequence[TeacherFeatures], *, draws: int) -> None:
    """Say where draws repeat an image."""
    for one in features:
        if len(one.image_ids) < draws:
            LOG.warning("%s has %d images for %d draws: some are drawn again", one.category, len(one.image_ids), draws)


def describe(trained: Trained, features: Sequence[TeacherFeatures]) -> dict[str, Any]:
    """What was drawn and how well the loops rebuild it, for `metrics/choices/`."""
    losses = {
        f"draw_{number}": {f"loop_{loop + 1}": round(value, 6) for loop, value in enumerate(values)}
        for number, values in enumerate(trained.loss_by_loop)
    }
    return {
        "images": {one.category: len(one.image_ids) for one in features},
        "drawn": {f"draw_{number}": own for number, own in enumerate(trained.drawn)},
        "loss_after_training": losses,
    }
