"""Lists of transforms, published settings in the profiles, and what is refused before anything is trained."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from stages.uninformed_students.augmentation import Augmentation, Transforms
from stages.uninformed_students.params import DistilledTeacherParams, Epochs, UninformedStudentsParams
from stages.uninformed_students.training import draw_batches, number_of_iterations
from tests.params_files import read_params

PROFILES = read_params(Path(__file__).parents[3])["profiles"]
IMAGENET = {"name": "Normalize", "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
RESIZE, CROP = {"name": "Resize", "size": 256}, {"name": "RandomCrop", "size": "patch_size"}
FLIPS = [{"name": "RandomHorizontalFlip", "p": 0.5}, {"name": "RandomVerticalFlip", "p": 0.5}]
ROTATION, TO_IMAGE = {"name": "RandomRotation", "degrees": 180.0}, {"name": "ToImage"}


def section(profile: str = "paper") -> dict[str, Any]:
    values: dict[str, Any] = PROFILES[profile]["uninformed_students"]
    return values


def load(**changes: Any) -> UninformedStudentsParams:
    """The paper's section with some values replaced; `teacher__crops_per_image` reaches below."""
    values = UninformedStudentsParams.model_validate(section()).model_dump()
    for key, value in changes.items():
        *parents, last = key.split("__")
        node = values
        for parent in parents:
            node = node[parent]
        node[last] = value
    return UninformedStudentsParams.model_validate(values)


def test_default_settings_are_the_published_ones() -> None:
    params = UninformedStudentsParams.model_validate(section("paper"))
    assert isinstance(params.teacher, DistilledTeacherParams)
    teacher, students = params.teacher.training, params.students.training
    assert (teacher.optimizer, teacher.schedule, teacher.learning_rate) == ("adam", "constant", 2e-4)
    assert (teacher.weight_decay, teacher.batch_size, teacher.iterations) == (1e-5, 64, Epochs(epochs=200))
    assert (students.optimizer, students.schedule, students.learning_rate) == ("adam", "constant", 1e-4)
    assert (students.weight_decay, students.batch_size, students.iterations) == (1e-5, 1, Epochs(epochs=25))
    assert (params.students.count, params.variance_weight) == (3, 1.0)
    assert (params.teacher.patch_sizes, params.teacher.compactness_weight, params.teacher.standardise) == (
        (33,), 1.0, False,
    )  # fmt: skip
    assert (params.width, params.stride, params.pooled_cells, params.normalization) == (1.0, 1, 1, "none")
    assert params.backbone.model_dump() == {"name": "resnet18.tv_in1k", "stages": (4,)}


def test_published_lists_of_transforms() -> None:
    params = UninformedStudentsParams.model_validate(section("paper")).model_dump()
    assert list(params["teacher"]["augmentation"]) == [RESIZE, CROP, *FLIPS, ROTATION, TO_IMAGE, IMAGENET]
    assert list(params["students"]["augmentation"]) == [RESIZE, *FLIPS, TO_IMAGE, IMAGENET]
    assert list(params["inference"]) == [RESIZE, TO_IMAGE, IMAGENET]


def crops() -> Transforms:
    teacher = load().teacher
    assert isinstance(teacher, DistilledTeacherParams)
    return teacher.augmentation


def ramp(count: int = 2, size: int = 40) -> torch.Tensor:
    return (torch.arange(count * 3 * size * size) % 251).to(torch.uint8).view(count, 3, size, size)


def test_patch_size_in_a_list_is_the_networks() -> None:
    for patch_size in (17, 33):
        patches = Augmentation(crops(), patch_size=patch_size)(ramp(), [1, 2])
        assert patches.shape == (2, 3, patch_size, patch_size)
        assert patches.dtype == torch.float32


def test_inference_only_scales_and_normalises() -> None:
    images = ramp(1)
    found = Augmentation(load().inference, patch_size=33)(images, [])
    expected = (images[0, 2, 5, 7].item() / 255 - 0.406) / 0.225
    assert float(found[0, 2, 5, 7]) == pytest.approx(expected, abs=1e-6)


def test_seeds_decide_and_the_global_generator_does_not_move() -> None:
    augment = Augmentation(crops(), patch_size=33)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again, other = augment(ramp(), [1, 2]), augment(ramp(), [1, 2]), augment(ramp(), [1, 3])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert torch.equal(first[0], other[0])
    assert not torch.equal(first[1], other[1])


def test_flips_and_the_black_corners_of_a_rotation() -> None:
    images = torch.full((1, 3, 40, 40), 200, dtype=torch.uint8)
    images[..., 0, 0] = 100
    always = [{**flip, "p": 1.0} for flip in FLIPS]
    both = load(students__augmentation=[RESIZE, *always, TO_IMAGE, IMAGENET]).students.augmentation
    flipped = Augmentation(both, patch_size=33)(images, [0])
    plain = Augmentation(load().inference, patch_size=33)(images, [0])
    assert torch.equal(flipped, plain.flip(-1, -2))
    black = (0 - torch.tensor(IMAGENET["mean"])) / torch.tensor(IMAGENET["std"])
    turned = Augmentation(crops(), patch_size=33)(images.fill_(200), list(range(1)))
    corners = turned[0, :, 0, 0]
    torch.testing.assert_close(corners, black)


def test_settings_that_are_refused() -> None:
    for changes, message in (
        ({"teacher__patch_sizes": [32]}, r"teacher\.distilled\.patch_sizes\.0\n.*Input should be 17, 33 or 65"),
        ({"teacher__patch_sizes": []}, "at least 1 item"),
        ({"teacher__patch_sizes": [33, 33], "normalization": "zscore"}, "names a size twice"),
        ({"teacher__patch_sizes": [17, 33]}, "several patch_sizes need normalization: zscore or cells"),
        ({"stride": 8, "pooled_cells": 1025}, "1025 are more than the 1024 cells of a map"),
        ({"stride": 4, "teacher__tile": 30}, "tile 30 is not a multiple of stride 4"),
        ({"teacher__training__batch_size": 1}, "give it 2 or more"),
        ({"teacher__augmentation": [RESIZE, TO_IMAGE, IMAGENET]}, "needs one RandomCrop of size patch_size"),
        ({"students__augmentation": [RESIZE, CROP, TO_IMAGE, IMAGENET]}, "students learn from images"),
        ({"inference": [RESIZE, *FLIPS, TO_IMAGE, IMAGENET]}, "nothing random"),
        ({"inference": [TO_IMAGE, RESIZE, IMAGENET]}, "begin with Resize and end with ToImage, Normalize"),
        ({"inference": [{"name": "Resize", "size": 128}, TO_IMAGE, IMAGENET]}, "Resize has another size in students"),
        ({"teacher__augmentation": [{"name": "Resize", "size": 128}, CROP, TO_IMAGE, IMAGENET]}, "size in teacher"),
        ({"teacher__kind": "guessed"}, "'guessed' found using 'kind' does not match"),
        ({"teacher": {"kind": "backbone", "tile": 8}}, "Extra inputs are not permitted"),
        ({"teacher__augmentation": [RESIZE, {"name": "Blur"}, TO_IMAGE, IMAGENET]}, "'Blur'"),
    ):
        with pytest.raises(ValidationError, match=message):
            load(**changes)


def test_images_smaller_than_the_patch_are_refused() -> None:
    small = {"name": "Resize", "size": 32}
    with pytest.raises(
        ValidationError, match="images of 32 px are smaller than the patch of 33 px: raise Resize's size"
    ):
        load(
            teacher__augmentation=[small, CROP, TO_IMAGE, IMAGENET],
            students__augmentation=[small, TO_IMAGE, IMAGENET],
            inference=[small, TO_IMAGE, IMAGENET],
        )


def test_every_image_comes_equally_often_in_an_epoch() -> None:
    batches = draw_batches(5, 4, torch.Generator().manual_seed(0), per_image=3)
    rows = torch.cat([next(batches).rows for _ in range(3)])  # 12 of 15
    assert torch.bincount(rows, minlength=5).max() <= 3
    batch = next(draw_batches(2, 8, torch.Generator().manual_seed(0)))
    assert sorted(batch.rows.tolist()) == [0, 1]
    assert len(set(batch.seeds)) == 2


def test_epochs_in_iterations() -> None:
    def iterations(wanted: int | Epochs, images: int, batch: int, crops: int = 1) -> int:
        return number_of_iterations(wanted, images=images, batch_size=batch, per_image=crops)

    assert iterations(7, 160, 64) == 7
    assert iterations(Epochs(epochs=200), 160, 64) == 400
    assert iterations(Epochs(epochs=2), 10, 64) == 2
    assert iterations(Epochs(epochs=25), 160, 1) == 4000
    assert iterations(Epochs(epochs=1), 160, 64, crops=8) == 20
    limited = Epochs(epochs=10, at_least=400, at_most=1200)
    assert [iterations(limited, images, 4) for images in (20, 160, 412, 5000)] == [400, 400, 1030, 1200]
    with pytest.raises(ValidationError, match="at_most: 3 is below at_least, 4"):
        Epochs(epochs=1, at_least=4, at_most=3)
