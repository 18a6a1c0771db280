"""The methods on CLIP at their published sizes: image features, training steps and scores.

InCTRL trains in float32; MadCLIP's adapters and its text encoder run in bfloat16, as mixed precision.
"""

from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.inputs import draw, draw_images, section_of, write_images
from benchmarks.gpu.measure import Check, Outcome, Setting, agree, median_of, timed_steps, weights_of
from stages.clip.inctrl.data import LabelledImage, encode_files
from stages.clip.inctrl.params import InctrlParams
from stages.clip.inctrl.scoring import score_one
from stages.clip.inctrl.texts import encode_texts, text_scores
from stages.clip.inctrl.training import train_heads
from stages.clip.madclip.data import LabelledShots, Shots, build_training_set
from stages.clip.madclip.losses import abnormal_maps
from stages.clip.madclip.params import VARIANTS, MadclipParams
from stages.clip.madclip.training import train_network
from stages.clip.model.encoder import crop_and_normalise, squash
from stages.clip.model.features import FileFeatures, stack_features
from stages.clip.model.params import ClipParams
from stages.clip.model.weights import load_encoder
from stages.core.encoder.encoder import to_float

FLOAT32 = 1e-3  # tolerance of the GPU's tokens against the CPU's, as a share of the largest: only convolutions are TF32
STEPS, WARM_UP = 20, 5
NAME = "steel part"
TINY: dict[str, Any] = {
    "embed_dim": 32,
    "vision": {"layers": 4, "width": 32, "head_width": 16, "patch_size": 16},
    "text": {"layers": 1, "width": 32, "heads": 2},
}


def checks(setting: Setting) -> list[Check]:
    """List the checks of both methods."""
    return [
        Check("CLIP of InCTRL: image tokens, GPU = CPU", lambda s: compare_tokens(s, inctrl_params(s).clip)),
        Check("CLIP of MadCLIP: image tokens, GPU = CPU", lambda s: compare_tokens(s, madclip_params(s).clip)),
        Check("InCTRL: training step, features cached", train_inctrl),
        Check("MadCLIP: training step, features cached, bfloat16", train_madclip),
    ]


def random_weights(setting: Setting) -> dict[str, Any]:
    """Return the changes to a profile's `clip`: random weights, and a tiny CLIP in small mode."""
    changes: dict[str, Any] = {"clip.weights": {"random_seed": 0}}
    if setting.small:
        changes |= {"clip.architecture": TINY, "clip.image_size": 48, "training.batch_size": 4}
    return changes


def inctrl_params(setting: Setting) -> InctrlParams:
    """Return InCTRL's published settings, but for the number of steps."""
    steps = 3 if setting.small else WARM_UP + STEPS
    changes = {**random_weights(setting), "training.epochs": 1, "training.steps_per_epoch": steps}
    if setting.small:
        changes["blocks"] = [1, 2, 3]
    return section_of(InctrlParams, "inctrl", profile="paper", changes=changes)


def madclip_params(setting: Setting) -> MadclipParams:
    """Return MadCLIP's published settings, but for the number of epochs: 8 of them are 64 steps with 4 shots."""
    changes = {**random_weights(setting), "training.epochs": 1 if setting.small else 4}
    if setting.small:
        changes |= {"blocks": [1, 2, 3, 4], "shots": 1}
    return section_of(MadclipParams, "madclip", profile="paper", changes=changes)


def compare_tokens(setting: Setting, params: ClipParams) -> Outcome:
    """Compare tokens and embedding of two images with the CPU's, and time a single image, as the stages run it."""
    size, depth = params.image_size, 4 if setting.small else 12
    images = to_float(draw_images(2, size))
    ours = load_encoder(params).to(setting.device)
    there = images.to(setting.device)
    found = ours.image_features(there, blocks=(depth // 2, depth))
    wanted = load_encoder(params).image_features(images, blocks=(depth // 2, depth))
    agree(found.embedding, wanted.embedding, tolerance=FLOAT32)
    note = agree(found.tokens, wanted.tokens, tolerance=FLOAT32)
    seconds = median_of(lambda: ours.image_features(there[:1], blocks=(depth,)), setting, repeats=20)
    return Outcome([found.tokens, found.embedding], seconds, "image", note)


def train_inctrl(setting: Setting) -> Outcome:
    """Train InCTRL's heads from image files with the stage's function, then score one image."""
    params, folder = inctrl_params(setting), Path("inctrl")
    table = write_images(folder, ["train"] * 16, params.clip.image_size)
    images = [LabelledImage(folder / file, "part", number % 2 == 1, None) for number, file in enumerate(table["file"])]
    files = FileFeatures(params.clip, blocks=params.blocks, prepare=crop_and_normalise)
    texts = encode_texts(files.encoder, {"part": NAME})
    encode_files(files, [(image.path, None) for image in images])  # so that the steps find them on disk
    with timed_steps(setting, warm_up=1 if setting.small else WARM_UP) as clock:
        heads = train_heads(files, images, texts, params, generator=torch.Generator().manual_seed(0))
    query = encode_files(files, [(images[1].path, None)])
    prompts = encode_files(files, [(image.path, None) for image in images[: 2 * params.shots : 2]])
    score = score_one(heads, query, prompts, text_scores(query.embedding, [texts["part"]]))
    return Outcome([*weights_of(heads), score.final], clock.seconds, "step", f"batch {params.training.batch_size}")


def train_madclip(setting: Setting) -> Outcome:
    """Train MadCLIP's adapters and texts with the stage's function, then make the maps of some shots."""
    params = madclip_params(setting)
    size, count = params.clip.image_size, 2 * params.shots
    drawn = [draw(number, 2 * size) for number in range(count)]
    images = torch.stack([squash(image, size) for image, _ in drawn])
    masks = torch.stack([torch.from_numpy((labels[::2, ::2] == 2).astype("float32")) for _, labels in drawn])
    labels = torch.arange(count).ge(params.shots).float()
    shots = LabelledShots(Shots(images, masks * labels[:, None, None]), labels, torch.ones(count, dtype=torch.bool))
    files = FileFeatures(params.clip, blocks=params.blocks, prepare=squash)
    generator = torch.Generator().manual_seed(0)
    zoom = VARIANTS[params.variant].zoom_and_jitter
    data = build_training_set(shots, files.cached, zoom_and_jitter=zoom, generator=generator)
    with timed_steps(setting, warm_up=1 if setting.small else WARM_UP) as clock:
        network = train_network(data, params, name=NAME, repetition=0, generator=generator)
    tokens = stack_features([files.cached.of_image(image) for image in images[:2]], setting.device).tokens
    with torch.no_grad():
        maps = abnormal_maps(network(tokens, files.encoder).segmentation, size=size)
    return Outcome([*weights_of(network), maps], clock.seconds, "step", f"batch {params.training.batch_size}")
