"""Time a training step of the students, the official loop against ours: `python -m benchmarks.cost.official_loop`.

Straightforward stands for CSAD's loop as published: WideResNet-50-2, full widths, batch 2, float32, the teacher
and both heads of the local student computed for every image, the quantile by a full sort, five student images an
iteration (two plain, one natural, two with other colours). Then the same losses and passes with what saves time and
changes results by rounding only, and last the cheap students of the profile `embedded`. All weights and pictures are
random: they decide nothing about the time. About two minutes on two cores.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import timm
import torch
import torch.nn.functional as F
from rich.table import Table
from torch import Tensor, nn

from stages.aecsad.model.networks import GlobalStudent, LocalStudent, StemStudent
from stages.aecsad.model.teacher import TeacherHead
from stages.aecsad.student_teacher.params import StudentTeacherParams
from stages.aecsad.student_teacher.training import hard_feature_loss, penalty_loss
from stages.core.encoder.device import mixed_precision, pick_device
from stages.core.run.console import CONSOLE
from stages.core.run.params import PROFILES, load_value, validate
from stages.core.run.stage import command_entry

BATCH = 2
CHANNELS, DIM, CELLS, SIZE = (512, 1024), 512, 64, 256
STEM_CHANNELS = 24  # of EfficientNet-Lite0 at stride 4
SECTION = "aecsad.student_teacher"
Action = Callable[[], object]


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1, help="of each full-sized loop")
    steps = parser.parse_args(argv).steps
    torch.manual_seed(0)
    device = pick_device()
    parts = Table(title=f"one part each, {torch.get_num_threads()} threads, {device.type}, ms")
    for heading in ("part", "straightforward", "ours", "ratio"):
        parts.add_column(heading, justify="left" if heading == "part" else "right")
    for name, plain, ours in timed_parts(device):
        parts.add_row(name, f"{1000 * plain:.0f}", f"{1000 * ours:.0f}", f"{plain / ours:.1f}")
    CONSOLE.print(parts)
    loops = Table(title="whole training step")
    for heading in ("loop", "s a step", "steps", "hours in all", "times as fast a step", "in all"):
        loops.add_column(heading, justify="left" if heading == "loop" else "right")
    first: tuple[float, float] | None = None
    for name, count, seconds in timed_loops(device, steps):
        total = count * seconds
        first = first or (seconds, total)
        loops.add_row(name, f"{seconds:.3g}", str(count), f"{total / 3600:.3g}", f"{first[0] / seconds:.1f}",
                      f"{first[1] / total:.3g}")  # fmt: skip
    CONSOLE.print(loops)
    return "compare ratios within this run only: parts and steps timed"


def timed(action: Action, repeats: int) -> float:
    """Seconds of the action, the quickest of `repeats`: other work on the machine only ever adds to them."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


class WrittenHead(nn.Module):
    """CSAD's teacher head as it is written: upsample, concatenate, average, project 1,536 channels at 64x64 cells."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Conv2d(sum(CHANNELS), DIM, 1)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        together = torch.cat([F.interpolate(stage, (CELLS, CELLS), mode="bilinear") for stage in stages], dim=1)
        projected: Tensor = self.project(F.avg_pool2d(together, 3, stride=1, padding=1))
        return projected


def full_encoder() -> nn.Module:
    """WideResNet-50-2 up to stride 16, untrained: the time is that of the pretrained one."""
    network: nn.Module = timm.create_model("wide_resnet50_2", pretrained=False, features_only=True, out_indices=(2, 3))
    return network.eval().requires_grad_(False)


class Students(nn.Module):
    """A local and a global student."""

    def __init__(self, local: LocalStudent | StemStudent, whole: GlobalStudent) -> None:
        super().__init__()
        self.local, self.whole = local, whole


def full_students() -> Students:
    """CSAD's two students."""
    local = LocalStudent((256, 512, 512, 512, 512), pooling=True, stride=4, dim=DIM, map_size=CELLS, batch_norm=False)
    whole = GlobalStudent(
        64, dim=DIM, map_size=CELLS, decoder_steps=(3, 8, 15, 32, 63, 127), attended_steps=(), attention=False,
        bottleneck=True, batch_norm=False, dropout=0.2,
    )  # fmt: skip
    return Students(local, whole)


def sorted_hard_loss(teacher: Tensor, student: Tensor) -> Tensor:
    """CSAD's hard-feature loss with its quantile by a full sort."""
    distances = (teacher - student) ** 2
    return distances[distances >= torch.quantile(distances, 0.999)].mean()


class StraightforwardLoop:
    """One step of CSAD's loop as published; our reading of its passes, not its code."""

    def __init__(self, device: torch.device) -> None:
        self.encoder, self.head = full_encoder().to(device), WrittenHead().to(device).requires_grad_(False)
        self.students = full_students().to(device)
        self.optimizer = torch.optim.Adam(self.students.parameters(), lr=2e-4, weight_decay=1e-4)
        self.images, self.natural = (
            torch.rand(BATCH, 3, SIZE, SIZE, device=device),
            torch.rand(1, 3, SIZE, SIZE, device=device),
        )

    def teacher(self, images: Tensor) -> Tensor:
        """The teacher's features, computed again."""
        with torch.no_grad():
            features: Tensor = self.head(self.encoder(images))
        return features

    def heads(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Both heads of the local student, whether they are needed or not."""
        local = self.students.local
        shared = local(images)
        return local.teacher_head(shared), local.global_head(shared)

    def loss(self) -> Tensor:
        plain, _ = self.heads(self.images)
        natural, _ = self.heads(self.natural)
        coloured = self.images * 0.9
        predicted = self.students.whole(coloured)
        _, of_global = self.heads(coloured)
        local = sorted_hard_loss(self.teacher(self.images), plain) + penalty_loss(natural)
        return local + F.mse_loss(predicted, self.teacher(coloured)) + F.mse_loss(of_global, predicted)

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.loss().backward()
        self.optimizer.step()


class OurLoop(StraightforwardLoop):
    """The same passes and losses, with what saves time: see the table of parts."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.head_at_stages = TeacherHead(CHANNELS, dim=DIM, map_size=CELLS).to(device)
        for module in (self.encoder, self.students):
            module.to(memory_format=torch.channels_last)
        self.images, self.natural = (
            images.contiguous(memory_format=torch.channels_last) for images in (self.images, self.natural)
        )
        self.cached = self.teacher(self.images).half()

    def teacher(self, images: Tensor) -> Tensor:
        """The teacher's features, the projection before the upsampling."""
        with torch.no_grad(), mixed_precision(images.device):
            features: Tensor = self.head_at_stages(self.encoder(images)).float()
        return features

    def loss(self) -> Tensor:
        coloured, local = self.images * 0.9, self.students.local
        with mixed_precision(self.images.device):
            plain, natural = (local.teacher_head(local(images)).float() for images in (self.images, self.natural))
            predicted = self.students.whole(coloured).float()
            of_global = local.global_head(local(coloured)).float()
        hard = hard_feature_loss(self.cached.float(), plain, quantile=0.999) + penalty_loss(natural)
        return hard + F.mse_loss(predicted, self.teacher(coloured)) + F.mse_loss(of_global, predicted)


def profile_params(profile: str) -> StudentTeacherParams:
    """The students and their training in a profile."""
    file = PROFILES / f"{profile}.yaml"
    return validate(StudentTeacherParams, load_value(SECTION, file=file), where=SECTION, file=file)


class CheapLoop:
    """The students of the profile `embedded` on cached features: one pass, no natural images, no changed colours."""

    def __init__(self, device: torch.device) -> None:
        params = profile_params("embedded")
        assert params.local_student.network == "stem"
        dim, cells, batch = params.teacher.dim, params.teacher.map_size, params.training.batch_size
        local = StemStudent(params.local_student.width, channels=STEM_CHANNELS, dim=dim, map_size=cells)
        whole = GlobalStudent(dim=dim, map_size=cells, **params.global_student.model_dump())
        self.students = Students(local, whole).to(device).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.students.parameters(), lr=3e-3, weight_decay=1e-4)
        self.images = torch.rand(batch, 3, SIZE, SIZE, device=device).contiguous(memory_format=torch.channels_last)
        self.stems = torch.rand(batch, STEM_CHANNELS, SIZE // 4, SIZE // 4, device=device).half()
        self.cached = torch.rand(batch, dim, cells, cells, device=device).half()

    def __call__(self) -> None:
        teacher, local = self.cached.float(), self.students.local
        with mixed_precision(teacher.device):
            shared = local(self.stems.float())
            plain, of_global = local.teacher_head(shared).float(), local.global_head(shared).float()
            predicted = self.students.whole(self.images).float()
        loss = hard_feature_loss(teacher, plain, quantile=0.99) + F.mse_loss(predicted, teacher)
        self.optimizer.zero_grad(set_to_none=True)
        (loss + F.mse_loss(of_global, predicted)).backward()
        self.optimizer.step()


def timed_loops(device: torch.device, steps: int) -> list[tuple[str, int, float]]:
    """Name, number of steps of the schedule, and seconds a step, the straightforward loop first."""
    official, cheap = (profile_params(profile).training.iterations for profile in ("paper", "embedded"))
    return [
        ("official, straightforward", official, timed(StraightforwardLoop(device), steps)),
        ("official networks, ours", official, timed(OurLoop(device), steps)),
        ("cheap students (embedded)", cheap, timed(CheapLoop(device), 20)),
    ]


@torch.no_grad()
def timed_parts(device: torch.device) -> list[tuple[str, float, float]]:
    """Name, seconds as written and seconds with the saving, for a batch of two (the student: for one image)."""
    encoder, images = full_encoder().to(device), torch.rand(BATCH, 3, SIZE, SIZE, device=device)
    stages, written, commuted = (
        encoder(images),
        WrittenHead().to(device),
        TeacherHead(CHANNELS, dim=DIM, map_size=CELLS),
    )
    commuted.to(device)
    features = commuted(stages)
    stored, other = features.half().cpu(), features + torch.randn_like(features)
    teacher = timed(lambda: written(encoder(images)), 3)
    cached = timed(lambda: stored.to(device).float(), 5)
    plain_sort = timed(lambda: sorted_hard_loss(features, other), 3)
    topk = timed(lambda: hard_feature_loss(features, other, quantile=0.999), 5)
    rows = [
        ("teacher head: commuted", timed(lambda: written(stages), 3), timed(lambda: commuted(stages), 3)),
        ("teacher: cached features", teacher, cached),
        ("quantile: topk", plain_sort, topk),
    ]
    return [*rows, *timed_student(device, images[:1])]


@torch.enable_grad()
def timed_student(device: torch.device, images: Tensor) -> list[tuple[str, float, float]]:
    """Forward and backward pass of the local student on one image, each saving on top of the one before."""
    local = full_students().local.to(device)

    def both_heads() -> None:
        shared = local(images)
        (local.teacher_head(shared).mean() + 0 * local.global_head(shared).mean()).backward()

    def one_head(pictures: Tensor, *, mixed: bool) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            output = local.teacher_head(local(pictures))
        output.float().mean().backward()

    plain = timed(both_heads, 2)
    skipped = timed(lambda: one_head(images, mixed=False), 2)
    local.to(memory_format=torch.channels_last)
    last = images.contiguous(memory_format=torch.channels_last)
    laid_out = timed(lambda: one_head(last, mixed=False), 2)
    mixed = timed(lambda: one_head(last, mixed=True), 2)
    return [
        ("local student: no unused head", plain, skipped),
        ("and channels_last", plain, laid_out),
        ("and bfloat16", plain, mixed),
    ]


if __name__ == "__main__":
    main()
