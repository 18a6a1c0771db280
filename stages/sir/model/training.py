"""Train SIR's decoder on features of one category or of several, once for each repetition."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import nn

from stages.core.encoder.device import mixed_precision, pick_device, seed_everything
from stages.core.run.errors import UserError
from stages.core.training.checkpoints import checkpoint_file
from stages.core.training.optimisation import Terms, optimise
from stages.sir.model.batches import Batches, Pick, choose_single_images
from stages.sir.model.decoder import RefinementDecoder, reconstruction_loss
from stages.sir.model.feature_files import TeacherFeatures
from stages.sir.model.model import Shots, SirModel
from stages.sir.model.params import DecoderParams, TrainingParams


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        models: one a repetition.
        drawn: for each repetition the one image_id of every category; empty where all images are learned from.
        curve: see `stages.core.training.curve.TrainingCurve.table`; a column `repetition_<n>` for each repetition.
        loss_by_loop: for each repetition, of every loop after the training, on its images or on one random batch.
    """

    models: list[SirModel]
    drawn: list[dict[str, str]]
    curve: pd.DataFrame
    loss_by_loop: list[list[float]]


def train(
    features: Sequence[TeacherFeatures], decoder: DecoderParams, training: TrainingParams, *, shots: Shots, seed: int
) -> Trained:
    """Train a model for each repetition; the last iteration's weights stay, none is chosen by any score.

    The repetitions are trained side by side. Each one's loss is a term of its own of a sum, so that its gradient is
    what it would be alone; Adam and AdamW step each weight by itself.

    Args:
        features: of each category.
        decoder: its architecture.
        training: batches, loss and optimisation.
        shots: one image of each category, or all.
        seed: of images, initial weights (each repetition has its own) and batches.

    Raises:
        UserError: categories come from different teachers, or widths and weights do not fit the teacher's stages.
    """
    check_consistency(features, decoder, training)
    device, generator = pick_device(), seed_everything(seed)
    rows: list[list[int]] = []
    if shots == "one_shot":
        rows = [choose_single_images(one, repetitions=training.one_shot.repetitions, seed=seed) for one in features]
    count = training.one_shot.repetitions if rows else 1
    models = [new_model(features[0].channels, decoder).to(device) for _ in range(count)]
    batches = Batches(
        features, rows, batch_size=training.full_shot.batch_size, shift=training.one_shot.shift, device=device
    )
    if decoder.standardise:
        batches.standardise(models, seed=seed)
    curve = fit(models, batches, training, decoder, generator=generator)
    drawn = [
        {one.category: one.image_ids[own[n]] for one, own in zip(features, rows, strict=True)}
        for n in range(count if rows else 0)
    ]
    return Trained(models, drawn, curve, loss_by_loop(models, batches, stage_weights=training.stage_weights, seed=seed))


def new_model(channels: Sequence[int], params: DecoderParams) -> SirModel:
    """Build an untrained model, drawn from torch's global generator."""
    decoder = RefinementDecoder(
        channels=channels, widths=params.widths, blocks=params.blocks, entry=params.entry, norm=params.norm,
        groups=params.groups, loops=params.loops, share_weights=params.share_weights, detach_loops=params.detach_loops,
    )  # fmt: skip
    return SirModel(decoder).to(memory_format=torch.channels_last)


def fit(
    models: Sequence[SirModel],
    batches: Batches,
    training: TrainingParams,
    decoder: DecoderParams,
    *,
    generator: torch.Generator,
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
            terms[f"repetition_{number}"] = reconstruction_loss(
                targets, rebuilt, loop_weights=weights, stage_weights=training.stage_weights
            )
        return terms

    together = nn.ModuleList(models).train()
    curve = optimise(
        together, batches.picks(generator), terms_of, weights={f"repetition_{n}": 1.0 for n in range(len(models))},
        iterations=shots.iterations, optimizer=training.optimizer, schedule=training.schedule,
        learning_rate=training.learning_rate, weight_decay=training.weight_decay,
        label=f"decoders of {len(models)} repetitions" if batches.rows else "decoder",
        checkpoint=checkpoint_file(
            "sir", tensors=together.state_dict().values(),
            settings=settings_of(batches, training, decoder, seed=generator.initial_seed()),
        ),
    )  # fmt: skip
    together.eval()
    return curve


@torch.no_grad()
def loss_by_loop(
    models: Sequence[SirModel], batches: Batches, *, stage_weights: Sequence[float], seed: int
) -> list[list[float]]:
    """Return the loss of every loop by itself, of each model."""
    picks, found = next(batches.picks(torch.Generator().manual_seed(seed))), []
    for model, own in zip(models, picks, strict=True):
        targets, loops = model.eval()(batches.load(tuple(own)))
        losses = [
            reconstruction_loss(targets, [loop], loop_weights=[1.0], stage_weights=stage_weights) for loop in loops
        ]
        found.append([float(loss) for loss in losses])
    return found


def settings_of(batches: Batches, training: TrainingParams, decoder: DecoderParams, *, seed: int) -> dict[str, Any]:
    """Collect all that decides a training but its initial weights; a file of the split is named by its content."""
    data = [
        {"category": one.category, "files": one.files, "views": one.views, "teacher": one.teacher}
        for one in batches.features
    ]
    return {
        "training": training.model_dump(mode="json"), "decoder": decoder.model_dump(mode="json"),
        "rows": [list(own) for own in batches.rows], "data": data, "seed": seed,
    }  # fmt: skip


def check_consistency(features: Sequence[TeacherFeatures], decoder: DecoderParams, training: TrainingParams) -> None:
    """Raise a UserError where categories, decoder and loss cannot be brought together."""
    first = features[0]
    for one in features:
        if one.teacher != first.teacher:
            raise UserError(
                f"{first.category} and {one.category} have features of different teachers ({first.teacher}, "
                f"{one.teacher}): run `dvc repro` to make them again"
            )
    stages = len(first.stages)
    if len(decoder.widths) < stages:
        raise UserError(
            f"profile: sir.decoder.widths: the teacher has {stages} stages, this has only {len(decoder.widths)} values"
        )
    if len(training.stage_weights) != stages:
        raise UserError(
            f"profile: sir.training.stage_weights: the teacher has {stages} stages, this has "
            f"{len(training.stage_weights)} values"
        )


def describe(trained: Trained, features: Sequence[TeacherFeatures]) -> dict[str, Any]:
    """Report which images were learned from and how well the loops rebuild them, for `metrics/choices/`."""
    losses = {
        f"repetition_{number}": {f"loop_{loop + 1}": round(value, 6) for loop, value in enumerate(values)}
        for number, values in enumerate(trained.loss_by_loop)
    }
    return {
        "images": {one.category: len(one.image_ids) for one in features},
        "drawn": {f"repetition_{number}": own for number, own in enumerate(trained.drawn)},
        "loss_after_training": losses,
    }
