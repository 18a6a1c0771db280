"""What the trainings of the teacher and of the students share: batches, losses, precision, and what a kill leaves.

Losses are those of Bergmann et al., "Uninformed Students", CVPR 2020.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from stages.core.training.checkpoints import checkpoint_file, load_checkpoint, save_checkpoint
from stages.core.training.optimisation import Terms, optimise
from stages.uninformed_students.params import Epochs, StudentsParams

LARGEST_SEED = 2**31
Train = Callable[[Path], pd.DataFrame]


@dataclass(frozen=True)
class Batch:
    """Rows of the training images, a row may come more than once, and one seed of the augmentation for each."""

    rows: Int64[Tensor, " B"]
    seeds: list[int]


@dataclass(frozen=True)
class Described:
    """What is said of a teacher in a training of its students.

    Attributes:
        name: for the progress bar.
        phase: the training's name in the curve.
        tensors: that decide its outputs.
        settings: that decide the training, besides the students'.
    """

    name: str
    phase: str
    tensors: Sequence[Tensor]
    settings: Mapping[str, Any]


def draw_batches(images: int, batch_size: int, generator: torch.Generator, *, per_image: int = 1) -> Iterator[Batch]:
    """Yield endless batches: every epoch each image `per_image` times in a new order, without its short rest.

    With fewer than `batch_size` in an epoch every batch holds all of them.
    """
    count = images * per_image
    size = min(count, batch_size)
    while True:
        order = torch.randperm(count, generator=generator) % images
        for start in range(0, count - size + 1, size):
            seeds = torch.randint(LARGEST_SEED, (size,), generator=generator).tolist()
            yield Batch(order[start : start + size], seeds)


def number_of_iterations(wanted: int | Epochs, *, images: int, batch_size: int, per_image: int = 1) -> int:
    """Convert epochs to iterations, within their limits."""
    if isinstance(wanted, int):
        return wanted
    iterations = max(wanted.at_least, wanted.epochs * max(1, images * per_image // batch_size))
    return iterations if wanted.at_most is None else min(iterations, wanted.at_most)


def distillation_loss(descriptors: Float[Tensor, "B D"], targets: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Average over patches ||T(p) - P(p)||², P being the pretrained backbone's descriptor of the patch (L_D).

    Bergmann et al., CVPR 2020, section 3.1, equation 1, without an extra decoder: both sides have D numbers.

    Raises:
        ValueError: shapes differ (broadcasting would hide it).
    """
    check_same_shape(descriptors, targets)
    return (descriptors - targets).square().sum(dim=1).mean()


def compactness_loss(descriptors: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Sum |Corr(T_i, T_j)| over the batch for the dimensions i < j of the descriptor (L_C).

    Bergmann et al., CVPR 2020, section 3.1, equation 4: descriptors should not be redundant. A dimension that is
    constant over the batch has no correlation; it adds nothing, and no gradient. The sum has D (D - 1) / 2 terms:
    random descriptors of 512 numbers in batches of 64 have 1.3e4, so its weight is a parameter.

    Raises:
        ValueError: fewer than two descriptors.
    """
    if len(descriptors) < 2:
        raise ValueError("the correlation of descriptor dimensions needs two patches in a batch at least")
    centred = descriptors - descriptors.mean(dim=0)
    squares = centred.square().sum(dim=0)
    varies = squares > torch.finfo(squares.dtype).eps * descriptors.square().sum(dim=0)
    unit = torch.where(varies, centred / torch.where(varies, squares, torch.ones_like(squares)).sqrt(), 0.0)
    correlations = (unit.T @ unit).abs()
    return (correlations.sum() - correlations.diagonal().sum()) / 2


def imitation_loss(student: Float[Tensor, "B D h w"], teacher: Float[Tensor, "B D h w"]) -> Float[Tensor, ""]:
    """Average over pixels ||S - T^||², T^ being the normalised teacher (L_S).

    Bergmann et al., CVPR 2020, section 3.2, equation 6.

    Raises:
        ValueError: shapes differ (broadcasting would hide it).
    """
    check_same_shape(student, teacher)
    return (student - teacher).square().sum(dim=1).mean()


def check_same_shape(first: Tensor, second: Tensor) -> None:
    """Raise ValueError where two tensors differ in shape."""
    if first.shape != second.shape:
        raise ValueError(f"shapes differ: {tuple(first.shape)} and {tuple(second.shape)}")


def name_of(number: int) -> str:
    """Name a student and its loss."""
    return f"student_{number + 1}"


def train_together(
    students: nn.ModuleList,
    terms_of: Callable[[Batch], Terms],
    images: UInt8[Tensor, "N 3 S S"],
    params: StudentsParams,
    *,
    teacher: Described,
    finished: "FinishedNetworks",
    seed: int,
) -> None:
    """Train M students in place on one teacher pass an iteration; the last iteration's weights stay.

    Each student's loss is its own term of a sum, so that its gradient is what it would be alone; Adam and AdamW step
    each weight by itself, and so the result equals M trainings on the same images.

    Args:
        students: untrained.
        terms_of: loss of each student on a batch, by `name_of`.
        images: of training.
        params: of the students.
        teacher: whom they imitate.
        finished: keeps networks of a killed run.
        seed: of the batches.
    """
    training = params.training
    batches = draw_batches(len(images), training.batch_size, torch.Generator().manual_seed(seed))
    finished.train(
        students,
        lambda checkpoint: optimise(
            students, batches, terms_of, weights={name_of(number): 1.0 for number in range(len(students))},
            iterations=number_of_iterations(training.iterations, images=len(images), batch_size=training.batch_size),
            optimizer=training.optimizer, schedule=training.schedule, learning_rate=training.learning_rate,
            weight_decay=training.weight_decay, label=f"{len(students)} students of {teacher.name}",
            checkpoint=checkpoint,
        ),
        phase=teacher.phase, label="uninformed_students", tensors=[images, *teacher.tensors],
        settings={**params.model_dump(), **teacher.settings, "seed": seed},
    )  # fmt: skip


class FinishedNetworks:
    """Keeps the trained weights in the scratch folder of the checkpoints until the stage is done.

    `stages.core.training.optimisation` deletes its checkpoint at the end of a training. A stage that trains several
    networks one after the other and is killed would otherwise train the first ones again.
    """

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.curves: list[pd.DataFrame] = []

    def train(
        self,
        network: nn.Module,
        train: Train,
        *,
        phase: str,
        label: str,
        tensors: Iterable[Tensor],
        settings: Mapping[str, Any],
    ) -> None:
        """Train the network in place, or give it the weights that a killed run left.

        Args:
            network: with its initial weights.
            train: takes the file for its own checkpoints and returns the table of `TrainingCurve`.
            phase: the training's name in the curve.
            label: as of `checkpoint_file`.
            tensors: as of `checkpoint_file`; the network's initial weights are added.
            settings: as of `checkpoint_file`.
        """
        checkpoint = checkpoint_file(label, tensors=[*network.state_dict().values(), *tensors], settings=settings)
        finished = checkpoint.with_suffix(".finished.pt")
        self.files.append(finished)
        state = load_checkpoint(finished)
        if state is None:
            curve = train(checkpoint)
            save_checkpoint(finished, {"network": dict(network.state_dict()), "curve": curve.to_dict("list")})
        else:
            network.load_state_dict(state["network"])
            curve = pd.DataFrame(state["curve"])
        self.curves.append(curve.assign(phase=phase))

    def curve(self) -> pd.DataFrame:
        """Join the curves of all networks, one after the other: columns step, phase, loss and each term."""
        together, before = [], 0
        for curve in self.curves:
            together.append(curve.assign(step=curve["step"] + before))
            before = int(together[-1]["step"].iloc[-1])
        joined = pd.concat(together, ignore_index=True)
        return joined[["step", "phase", *(name for name in joined.columns if name not in ("step", "phase"))]]

    def delete(self) -> None:
        """Delete what was kept: the stage is done."""
        for file in self.files:
            file.unlink(missing_ok=True)


def gpu_precision(device: torch.device) -> torch.autocast:
    """Return a context of mixed precision for training on patches, on a GPU only.

    On a CPU with bfloat16 instructions whole images gain by it (`stages.core.encoder.device.mixed_precision`), but
    the gradients of batches of patches take ten times as long as in float32.
    """
    supported = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=supported)
