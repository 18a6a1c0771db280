"""Train the heads on episodes of the auxiliary data."""

import logging
from collections.abc import Callable, Mapping, Sequence

import torch

from stages.clip.inctrl.data import Episode, LabelledImage, draw_episodes, encode_files
from stages.clip.inctrl.network import InContextHeads, loss_terms
from stages.clip.inctrl.params import InctrlParams
from stages.clip.inctrl.texts import Texts, text_scores
from stages.clip.model.encoder import ImageFeatures
from stages.clip.model.features import FileFeatures
from stages.core.training.checkpoints import checkpoint_file
from stages.core.training.optimisation import Terms, minimise

LOG = logging.getLogger(__name__)


def train_heads(
    files: FileFeatures,
    images: Sequence[LabelledImage],
    texts: Mapping[str, Texts],
    params: InctrlParams,
    *,
    generator: torch.Generator,
) -> InContextHeads:
    """Train new heads for a fixed number of steps; the last step's weights stay, none is chosen by any score.

    Args:
        files: features of image files.
        images: to train on.
        texts: by category.
        params: of the stage.
        generator: draws the episodes; the weights come from torch's global generator.
    """
    device, training = files.encoder.device, params.training
    heads = InContextHeads(embed_dim=files.encoder.embed_dim, patches=files.encoder.grid**2).to(device).train()
    episodes = draw_episodes(
        images, shots=params.shots, batch_size=training.batch_size, exclude_query=params.exclude_query,
        generator=generator,
    )  # fmt: skip
    cache = files.cached.cache
    settings = {
        "params": params.model_dump(mode="json"), "seed": generator.initial_seed(), "clip": cache.folder.name,
        "images": [f"{image.category} {image.path.name} {image.is_anomalous} {image.window}" for image in images],
    }  # fmt: skip
    tensors = [*heads.state_dict().values(), *(value for name in sorted(texts) for value in texts[name])]
    optimizer = torch.optim.AdamW(
        [value for value in heads.parameters() if value.requires_grad],
        lr=training.learning_rate, weight_decay=training.weight_decay,
    )  # fmt: skip
    minimise(
        heads, episodes, terms_function(heads, files, images, texts, params), optimizer=optimizer,
        schedule=torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=0),
        weights={"final": 1.0, "image": 1.0}, iterations=training.epochs * training.steps_per_epoch, label="inctrl",
        checkpoint=checkpoint_file("inctrl", tensors=tensors, settings=settings),
    )  # fmt: skip
    LOG.info(
        "%d of the images' features were computed, the others came from %s",
        files.cached.computed,
        files.cached.cache.root,
    )
    return heads.eval().requires_grad_(False)


def terms_function(
    heads: InContextHeads,
    files: FileFeatures,
    images: Sequence[LabelledImage],
    texts: Mapping[str, Texts],
    params: InctrlParams,
) -> Callable[[Episode], Terms]:
    """Return the function that computes the loss terms of an episode."""

    def terms_of(episode: Episode) -> Terms:
        query = encode_rows(files, images, episode.queries)
        flat = encode_rows(files, images, [row for rows in episode.prompts for row in rows])
        shape = (len(episode.queries), params.shots)
        prompts = ImageFeatures(flat.tokens.unflatten(0, shape), flat.embedding.unflatten(0, shape))
        text = text_scores(query.embedding, [texts[images[row].category] for row in episode.queries])
        labels = torch.tensor([float(images[row].is_anomalous) for row in episode.queries], device=text.device)
        scores = heads(query, prompts, text, as_published=params.batching == "published")
        return loss_terms(scores, labels, double_sigmoid=params.double_sigmoid)

    return terms_of


def encode_rows(files: FileFeatures, images: Sequence[LabelledImage], rows: Sequence[int]) -> ImageFeatures:
    """Compute the features of some rows."""
    return encode_files(files, [(images[row].path, images[row].window) for row in rows])
