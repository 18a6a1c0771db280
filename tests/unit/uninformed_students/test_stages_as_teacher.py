"""The backbone's own stages as the teacher: its normalisation, the students' losses and maps, and the whole stage."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stages.core.encoder.encoder import FrozenEncoder, to_float
from stages.core.io.weights import read_weights
from stages.core.run.errors import UserError
from stages.core.training.checkpoints import FOLDER
from stages.uninformed_students.augmentation import Augmentation, Normalize, Resize, ToImage
from stages.uninformed_students.stage_ensemble import StageEnsemble, map_stages, normalise_stages, stage_terms
from stages.uninformed_students.stage_network import StageStudent, StageTeacher
from tests.params_files import change_params
from tests.unit.uninformed_students.case import END, RESIZE, SECTION, run

PLAIN = Augmentation(
    [Resize(name="Resize", size=64), ToImage(name="ToImage"), Normalize(name="Normalize", mean=(0,) * 3, std=(1,) * 3)]
)
BACKBONE = {f"{SECTION}.teacher": {"kind": "backbone"}, f"{SECTION}.backbone.stages": [1, 2], f"{SECTION}.width": 0.125}


def pictures(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StageTeacher:
    monkeypatch.chdir(tmp_path)
    return StageTeacher(FrozenEncoder("tf_efficientnet_lite0", stages=(1, 2)))


def test_the_teacher_is_the_encoder_with_mean_0_and_variance_1(teacher: StageTeacher) -> None:
    images = pictures(3)
    normalise_stages(teacher, images)
    described = teacher(images, kept=False)
    assert [tuple(one.shape) for one in described] == [(3, 24, 16, 16), (3, 40, 8, 8)]
    assert teacher.dims == {"stride_4": 24, "stride_8": 40}
    for found, raw in zip(described, teacher.encoder(to_float(images)), strict=True):
        std, mean = torch.std_mean(raw, dim=(0, 2, 3), correction=0, keepdim=True)
        torch.testing.assert_close(found, (raw - mean) / std, rtol=1e-3, atol=1e-3)
    for one, other in zip(described, teacher(images, kept=True), strict=True):  # from disk: to the bit
        assert torch.equal(one, other)


def test_images_that_look_alike_everywhere_teach_nothing(teacher: StageTeacher) -> None:
    with torch.no_grad():
        for stage in teacher.raw(pictures(1), kept=False):
            assert float(stage.abs().max()) > 0
    teacher.raw = lambda _images, *, kept: [torch.ones(1, 24, 4, 4), torch.ones(1, 40, 2, 2)]  # type: ignore[method-assign]
    with pytest.raises(UserError, match="describes every pixel of the training images alike"):
        normalise_stages(teacher, pictures(2))


def test_students_have_a_head_a_stage_and_even_numbers_of_channels() -> None:
    """Odd ones would make oneDNN's bfloat16 convolutions fail on some processors."""
    student = StageStudent((1, 3), (24, 112), width=0.15)
    assert [tuple(one.shape) for one in student(torch.rand(2, 3, 50, 64))] == [(2, 24, 13, 16), (2, 112, 4, 4)]
    widths = {layer.out_channels for step in student.steps for layer in step.modules() if isinstance(layer, nn.Conv2d)}
    assert widths == {10, 20, 38}
    assert all(one.dtype == torch.float32 for one in student(torch.rand(2, 3, 64, 64)))


def test_what_a_student_sees() -> None:
    """55 pixels to stride 8: 3, 7, 15, 23, 39 and 55 after each convolution."""
    student = StageStudent((2,), (4,), width=0.125).eval()
    for parameter in student.parameters():
        nn.init.constant_(parameter, 0.1)
    image = torch.rand(1, 3, 128, 128, requires_grad=True)
    (gradient,) = torch.autograd.grad(student(image)[0][0, :, 8, 8].sum(), image)
    seen = gradient[0].abs().sum(dim=0) > 0
    assert int(seen.any(dim=0).sum()) == int(seen.any(dim=1).sum()) == 55


def test_losses_and_maps_by_hand(teacher: StageTeacher) -> None:
    """Students of one bias each: T^ is 0 in the first stage and 1 in the second, students return 1 and 3 everywhere."""
    targets = [torch.zeros(1, 24, 16, 16), torch.ones(1, 40, 8, 8)]
    students = [StageStudent((1, 2), (24, 40), width=0.125).eval() for _ in range(2)]
    for value, student in zip((1.0, 3.0), students, strict=True):
        for head in student.heads:
            assert isinstance(head, nn.Conv2d)
            assert head.bias is not None
            nn.init.zeros_(head.weight)
            nn.init.constant_(head.bias, value)
    terms = stage_terms(students, targets, torch.rand(1, 3, 64, 64))
    assert [float(term.detach()) for term in terms.values()] == pytest.approx([24.0, 24 * 9 + 40 * 4])
    teacher.scaled = lambda _features: targets  # type: ignore[method-assign]
    maps = map_stages(StageEnsemble(teacher, students, PLAIN), pictures(1), stride=4)
    assert list(maps) == ["stride_4", "stride_8"]
    for name, error, variance in (("stride_4", 24 * 4.0, 24.0), ("stride_8", 40 * 1.0, 40.0)):
        torch.testing.assert_close(maps[name].error, torch.full((1, 16, 16), error))
        torch.testing.assert_close(maps[name].variance, torch.full((1, 16, 16), variance))


def test_each_stage_has_its_maps_at_the_stride_asked_for(teacher: StageTeacher) -> None:
    images = pictures(1)
    students = [StageStudent((1, 2), (24, 40), width=0.125).eval().requires_grad_(False) for _ in range(2)]
    maps = map_stages(StageEnsemble(teacher, students, PLAIN), images, stride=8)
    for number, target in enumerate(teacher(images, kept=False)):
        imitated = torch.stack([student(PLAIN.normalise(images))[number] for student in students])
        error = (imitated.mean(dim=0) - target).square().sum(dim=1, keepdim=True)
        found = maps[f"stride_{4 * 2**number}"].error
        torch.testing.assert_close(found, F.interpolate(error, (8, 8), mode="bilinear")[:, 0])


def test_a_defect_scores_highest_without_any_distillation(drawn: Path) -> None:
    change_params(drawn, BACKBONE)
    scores = run("out")
    assert set(scores.index[scores["score"].argsort()[-2:]]) == {"test/bad", "validation/0#synthetic"}
    curve = pd.read_csv(drawn / "out.csv")
    assert set(curve["phase"]) == {"students of the backbone"}
    assert curve["loss"].iloc[-1] < 0.7 * curve["loss"].iloc[0]
    state, arguments = read_weights(drawn / "out.safetensors")
    assert arguments["teacher"] == {"kind": "backbone"}
    assert state["backbone.teacher.factor_2"].shape == (40,)
    rebuilt = StageStudent((1, 2), (24, 40), width=0.125)
    prefix = "backbone.student_2."
    rebuilt.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, strict=True)
    assert not list((drawn / FOLDER).glob("*.pt"))


def test_flips_reach_teacher_and_students_alike(drawn: Path) -> None:
    """A flip of all images is another training, and its students are no worse on images as they are than on flipped."""
    flip = [{"name": "RandomVerticalFlip", "p": 0.5}]
    change_params(drawn, {**BACKBONE, f"{SECTION}.students.training.iterations": 12})
    plain = run("plain")["score"]
    change_params(drawn, {f"{SECTION}.students.augmentation": [RESIZE, *flip, *END]})
    flipped = run("flipped")["score"]
    assert not np.allclose(plain, flipped)
    assert flipped["test/bad"] > flipped["test/good"]


def test_a_run_repeats(drawn: Path) -> None:
    change_params(drawn, {**BACKBONE, f"{SECTION}.students.training.iterations": 4, f"{SECTION}.cpu_threads": 1})
    first = run("a")
    assert first.equals(run("b"))
    change_params(drawn, {"seed": 1})
    assert not first.equals(run("c"))


def test_students_of_the_backbone_train_together_as_they_would_alone() -> None:
    torch.manual_seed(0)
    students = [StageStudent((1,), (4,), width=0.125) for _ in range(2)]
    alone = copy.deepcopy(students[1])
    images, targets = torch.rand(2, 3, 32, 32), [torch.rand(2, 4, 8, 8)]
    torch.stack(list(stage_terms(students, targets, images).values())).sum().backward()
    stage_terms([alone], targets, images)["student_1"].backward()
    for one, other in zip(students[1].parameters(), alone.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad)
