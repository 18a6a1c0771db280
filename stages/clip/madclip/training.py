"""Train adapters and contexts on the shots of one repetition."""

import math

import torch

from stages.clip.madclip.data import TrainingSet, draw_rows
from stages.clip.madclip.losses import loss_terms
from stages.clip.madclip.network import MadClip
from stages.clip.madclip.params import VARIANTS, MadclipParams
from stages.core.encoder.device import mixed_precision
from stages.core.training.checkpoints import checkpoint_file
from stages.core.training.optimisation import Terms, minimise


def train_network(
    data: TrainingSet, params: MadclipParams, *, name: str, repetition: int, generator: torch.Generator
) -> MadClip:
    """Train a new network for a fixed number of epochs; the last weights stay, none is chosen by any score.

    Args:
        data: the shots' variants.
        params: of the stage.
        name: of the object, in words.
        repetition: its number.
        generator: draws the batches; the weights come from torch's global generator.

    Raises:
        UserError: the name has no token or is too long.
    """
    encoder, training = data.cached.encoder, params.training
    network = MadClip(encoder, name=name, variant=params.variant, learned=params.texts).to(encoder.device).train()

    def terms_of(rows: torch.Tensor) -> Terms:
        batch = data.batch(rows)
        with mixed_precision(encoder.device):  # as published, there in float16; losses and scores are in float32
            found = network(batch.tokens, encoder)
        return loss_terms(found, batch.labels, batch.masks, batch.has_mask, decision=params.decision)

    settings = {
        "params": params.model_dump(mode="json"), "name": name, "repetition": repetition,
        "seed": generator.initial_seed(), "features": data.cached.cache.folder.name, "keys": data.keys,
    }  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), lr=training.learning_rate, betas=VARIANTS[params.variant].betas)
    minimise(
        network, draw_rows(len(data.keys), training.batch_size, generator), terms_of, optimizer=optimizer,
        schedule=torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=0),
        weights={"siglip": 1.0, "focal": 1.0, "dice": 1.0},
        iterations=training.epochs * math.ceil(len(data.keys) / training.batch_size),
        label=f"madclip, repetition {repetition}",
        checkpoint=checkpoint_file(
            "madclip", tensors=[*network.state_dict().values(), data.labels, data.masks], settings=settings
        ),
    )  # fmt: skip
    return network.eval().requires_grad_(False)
