"""The frozen encoder: the GPU's features equal the CPU's, in the precisions in which the stages run it.

On a CPU it runs in ONNX Runtime, on a GPU in torch, where convolutions take TF32 unless told otherwise: ten bits of
mantissa, so that single features differ by up to a thousandth of the largest and deep networks add these up.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor

from benchmarks.gpu.inputs import draw_images, encoder_name, untrained_encoder
from benchmarks.gpu.measure import Check, Fault, Outcome, Setting, agree, median_of
from stages.core.encoder.device import mixed_precision
from stages.core.encoder.encoder import FrozenEncoder, to_float
from stages.core.encoder.lite0_weights import LITE0

FLOAT32, TF32, BFLOAT16 = 1e-4, 1e-2, 1.5e-1  # tolerances, as shares of the largest feature of a stage


def checks(setting: Setting) -> list[Check]:
    """List the checks: two networks, each as the stages run it, in exact float32 and in bfloat16."""
    found = []
    for name in (LITE0, encoder_name(setting)):
        found += [
            Check(f"encoder {name}: GPU = CPU, as the stages run it", partial(compare, name=name, tolerance=TF32)),
            Check(f"encoder {name}: GPU = CPU, without TF32", partial(compare_exactly, name=name)),
            Check(f"encoder {name}: GPU in bfloat16 = CPU", partial(compare_mixed, name=name)),
        ]
    return [*found, Check(f"encoder {LITE0}: recall stores nothing on a GPU", check_recall)]


def build(name: str, setting: Setting) -> FrozenEncoder:
    """Build an encoder: EfficientNet-Lite0, whose weights come with a package, or an untrained network."""
    torch.manual_seed(0)
    return FrozenEncoder(name).to(setting.device) if name == LITE0 else untrained_encoder(name, setting)


@torch.no_grad()
def on_device(encoder: FrozenEncoder, images: Tensor) -> list[Tensor]:
    """Run an encoder in torch: on a GPU as the stages do, on a CPU in place of ONNX Runtime."""
    features: list[Tensor] = encoder.body(encoder.normalise(images))
    return features


def compare(setting: Setting, *, name: str, tolerance: float, mixed: bool = False) -> Outcome:
    """Compare all stages with what the CPU computes, and time the device on one image."""
    images = to_float(draw_images(2, 64) if setting.small else draw_images(8))
    there = images.to(setting.device)
    encoder = build(name, setting)
    with mixed_precision(setting.device) if mixed else nullcontext():
        ours = [stage.float() for stage in on_device(encoder, there)]
        seconds = median_of(lambda: on_device(encoder, there[:1]), setting, repeats=50)
    theirs = build(name, Setting(torch.device("cpu"), setting.small))(images)
    notes = [agree(*pair, tolerance=tolerance) for pair in zip(ours, theirs, strict=True)]
    return Outcome(ours, seconds, "image", largest(notes))


def compare_exactly(setting: Setting, *, name: str) -> Outcome:
    """Compare without TF32: what is left is rounding."""
    with without_tf32():
        return compare(setting, name=name, tolerance=FLOAT32)


def compare_mixed(setting: Setting, *, name: str) -> Outcome:
    """Compare in bfloat16, in which the finer branch and the trainings run."""
    return compare(setting, name=name, tolerance=BFLOAT16, mixed=True)


@contextmanager
def without_tf32() -> Iterator[None]:
    """Let convolutions on a GPU compute in float32 within the block."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def check_recall(setting: Setting) -> Outcome:
    """Recall an image twice: the second time it comes from disk on a CPU, and is computed again on a GPU."""
    encoder = build(LITE0, setting)
    images = to_float(draw_images(1, 64)).to(setting.device)
    first, second = encoder.recall(images), encoder.recall(images)
    for one, again in zip(first, second, strict=True):
        if not torch.equal(one, again):
            raise Fault("the same image has other features the second time")
    stored = list(encoder.cache.folder.rglob("*.safetensors"))
    if bool(stored) != (setting.device.type == "cpu"):
        raise Fault(f"{len(stored)} files of features were stored on {setting.device.type}")
    return Outcome(first, note=f"{len(stored)} files stored")


def largest(notes: Sequence[str]) -> str:
    """Return the note of the stage that differs most."""
    return max(notes, key=lambda note: float(note.split()[2]))
