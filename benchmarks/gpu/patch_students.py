"""Uninformed Students as published: teacher and students of 33-pixel patches at full width, a descriptor a pixel."""

from dataclasses import dataclass

import torch

from benchmarks.gpu.inputs import draw_images, section_of, untrained_encoder
from benchmarks.gpu.measure import Check, Outcome, Setting, agree, median_of, timed_steps, weights_of
from stages.uninformed_students.augmentation import Augmentation, size_of
from stages.uninformed_students.params import DistilledTeacherParams, UninformedStudentsParams
from stages.uninformed_students.patch_network import Backbone, PatchNetwork
from stages.uninformed_students.scoring import Ensemble, map_image
from stages.uninformed_students.students import train_students
from stages.uninformed_students.teacher import fit_backbone, normalise_teacher, train_teacher
from stages.uninformed_students.training import FinishedNetworks

SECTION = "uninformed_students"
TEACHER_STEPS, STUDENT_STEPS, WARM_UP = 40, 8, 3
MAPS = 1e-1  # tolerance of maps in mixed precision on the GPU against float32 on the CPU, as a share of the largest


@dataclass(frozen=True)
class Case:
    """What all checks start from.

    Attributes:
        params: published settings.
        teacher: of these, the teacher's.
        patch_size: of the networks.
        images: 8-bit training images.
    """

    params: UninformedStudentsParams
    teacher: DistilledTeacherParams
    patch_size: int
    images: torch.Tensor

    def network(self, setting: Setting, *, dim: int) -> PatchNetwork:
        """Build an untrained network in the stage's memory format."""
        network = PatchNetwork(self.patch_size, dim=dim, width=self.params.width)
        return network.to(setting.device).to(memory_format=torch.channels_last)


def checks(setting: Setting) -> list[Check]:
    """List the checks of the three parts of the stage."""
    return [
        Check("uninformed students: teacher step", check_teacher),
        Check("uninformed students: step of all students", check_students),
        Check("uninformed students: maps of an image, GPU = CPU", check_maps),
    ]


def case_of(setting: Setting, *, steps: int) -> Case:
    """Read the published settings with so many iterations; in small mode narrow networks on images of 48 pixels."""
    iterations = {f"{part}.training.iterations": steps for part in ("teacher", "students")}
    changes: dict[str, object] = dict(iterations)
    params = section_of(UninformedStudentsParams, SECTION, profile="paper", changes=changes)
    count = 2 if setting.small else 16
    teacher = params.teacher
    assert isinstance(teacher, DistilledTeacherParams)
    if not setting.small:
        return Case(params, teacher, teacher.patch_sizes[0], draw_images(count, size_of(params.inference)))
    batch = teacher.training.model_copy(update={"batch_size": 4})
    small = teacher.model_copy(update={"training": batch, "crops_per_image": 2, "tile": 32})
    return Case(params.model_copy(update={"width": 0.125}), small, teacher.patch_sizes[0], draw_images(count, 48))


def check_teacher(setting: Setting) -> Outcome:
    """Distil an untrained ResNet-18 into the teacher, and normalise it over the images."""
    case = case_of(setting, steps=3 if setting.small else WARM_UP + TEACHER_STEPS)
    params = case.params
    name = "resnet10t.c3_in1k" if setting.small else params.backbone.name
    backbone = Backbone(untrained_encoder(name, setting, stages=params.backbone.stages)).to(setting.device)
    augment = Augmentation(case.teacher.augmentation, patch_size=case.patch_size)
    fit_backbone(backbone, case.images, augment, standardise=case.teacher.standardise, seed=0)
    teacher = case.network(setting, dim=backbone.dim)
    with timed_steps(setting, warm_up=1 if setting.small else WARM_UP) as clock:
        train_teacher(teacher, backbone, case.images, case.teacher, finished=FinishedNetworks(), seed=0)
    inference = Augmentation(params.inference, patch_size=case.patch_size)
    normalise_teacher(teacher, case.images[:2], inference, stride=params.stride, tile=case.teacher.tile)
    return Outcome(weights_of(teacher), clock.seconds, "step", f"batch {case.teacher.training.batch_size}")


def check_students(setting: Setting) -> Outcome:
    """Train all students on one teacher; 25 epochs of 300 images are 7,500 steps."""
    case = case_of(setting, steps=2 if setting.small else WARM_UP + STUDENT_STEPS)
    params, dim = case.params, 16 if setting.small else 512
    teacher = case.network(setting, dim=dim).requires_grad_(False)
    students = [case.network(setting, dim=dim) for _ in range(params.students.count)]
    with timed_steps(setting, warm_up=1 if setting.small else WARM_UP) as clock:
        train_students(
            students, teacher, case.images, params.students, stride=params.stride, tile=case.teacher.tile,
            finished=FinishedNetworks(), seed=0,
        )  # fmt: skip
    note = f"{len(students)} students, batch {params.students.training.batch_size}"
    hours = "" if setting.small else f": {7500 * clock.seconds / 3600:.2g} h for 7,500 steps"
    return Outcome(weights_of(*students), clock.seconds, "step", note + hours)


def check_maps(setting: Setting) -> Outcome:
    """Compare error and variance of one image with the CPU's, there in float32 and on a part of the image."""
    case = case_of(setting, steps=1)
    params, dim = case.params, 16 if setting.small else 512
    networks = [case.network(setting, dim=dim).eval().requires_grad_(False) for _ in range(3)]
    inference = Augmentation(params.inference, patch_size=case.patch_size)
    image, part = case.images[:1], case.images[:1, :, :48, :48]

    def score(images: torch.Tensor, ensemble: Ensemble) -> tuple[torch.Tensor, torch.Tensor]:
        maps = map_image(ensemble, images, inference, stride=params.stride, tile=case.teacher.tile)
        return maps.error, maps.variance

    here = Ensemble(networks[0], networks[1:])
    found = score(image, here)
    seconds = median_of(lambda: score(image, here), setting, repeats=3)
    of_part = score(part, here)
    for network in networks:
        network.cpu()
    note = agree(of_part[0], score(part, here)[0], tolerance=MAPS)
    return Outcome(found, seconds, "image", note)
