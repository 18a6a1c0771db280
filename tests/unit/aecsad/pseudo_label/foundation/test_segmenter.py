"""SAM with tiny random weights: the same masks as the package gives, from one pass of the encoder."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator, SamPredictor, sam_model_registry

from stages.aecsad.pseudo_label.foundation.masks import Masks, encode
from stages.aecsad.pseudo_label.foundation.segmenter import Segmenter, encoder_sizes, load_sam, without_doubles
from stages.aecsad.pseudo_label.foundation.weights import read_state
from stages.aecsad.pseudo_label.params import SegmenterParams
from stages.core.run.errors import UserError
from tests.golden.tiny_sam import build_tiny_sam, noise, write_tiny_sam
from tests.unit.aecsad.drawings import ROOT

LOOSE = {"points_per_side": 4, "points_at_once": 8, "min_predicted_iou": -10.0, "min_stability": 0.0}
BOXES = np.array([[10, 10, 60, 70], [40, 20, 150, 110], [0, 0, 159, 119]], dtype=np.float32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sam(tmp_path_factory.mktemp("sam") / "sam.pth")


def segmenter(checkpoint: Path, *, crop_layers: int = 0, min_region: int = 0, **changes: float) -> Segmenter:
    params = {**LOOSE, **changes, "max_box_iou": 0.7, "crop_layers": crop_layers, "min_region": min_region}
    return Segmenter(load_sam(checkpoint), SegmenterParams.model_validate(params), device=torch.device("cpu"))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """One entry for each pass of an image encoder."""
    found: list[int] = []
    original = SamPredictor.set_torch_image

    def counted(self: SamPredictor, *arguments: object) -> None:
        found.append(1)
        original(self, *arguments)

    monkeypatch.setattr(SamPredictor, "set_torch_image", counted)
    return found


def test_boxes_and_ground_equal_the_package(checkpoint: Path) -> None:
    image = noise()
    ours, theirs = segmenter(checkpoint), SamPredictor(build_tiny_sam())
    ours.look_at(image)
    theirs.set_image(image)
    for box, mask in zip(BOXES, ours.in_boxes(BOXES), strict=True):
        expected, _, _ = theirs.predict(box=box, multimask_output=False)
        np.testing.assert_array_equal(mask, expected[0])
    corners = [(10, 10), (10, 110), (150, 10), (150, 110), (0, 0), (0, 120), (160, 0), (160, 120)]
    expected, _, _ = theirs.predict(np.array(corners), np.ones(8), multimask_output=False)
    np.testing.assert_array_equal(next(iter(ours.ground())), expected[0])
    assert len(ours.in_boxes(BOXES[:0])) == 0


@pytest.mark.parametrize("crop_layers", [0, 1])
def test_masks_everywhere_equal_the_package(checkpoint: Path, crop_layers: int) -> None:
    image = noise(96, 128)
    ours = segmenter(checkpoint, crop_layers=crop_layers)
    ours.look_at(image)
    theirs = SamAutomaticMaskGenerator(
        build_tiny_sam(), points_per_side=4, points_per_batch=8, pred_iou_thresh=-10, stability_score_thresh=0,
        crop_n_layers=crop_layers,
    )  # fmt: skip
    expected = {record["segmentation"].tobytes() for record in theirs.generate(image)}
    found = {mask.tobytes() for mask in ours.everywhere()}
    assert found
    assert found <= expected  # ours takes doubles out once more, as the package does after cleaning


@pytest.mark.parametrize("crop_layers", [0, 1])
def test_an_image_without_a_good_mask_gives_none(checkpoint: Path, crop_layers: int) -> None:
    """The package alone ends in an IndexError where it looks at crops."""
    ours = segmenter(checkpoint, crop_layers=crop_layers, min_predicted_iou=2.0)
    ours.look_at(noise(96, 128))
    assert ours.everywhere() == Masks(96, 128, ())


def test_the_encoder_runs_once_for_all(checkpoint: Path, runs: list[int]) -> None:
    ours = segmenter(checkpoint)
    ours.look_at(noise())
    ours.everywhere()
    ours.in_boxes(BOXES)
    ours.ground()
    assert len(runs) == 1
    ours.look_at(noise(seed=1))
    ours.in_boxes(BOXES)
    assert len(runs) == 2


def test_crops_cost_four_more_passes(checkpoint: Path, runs: list[int]) -> None:
    ours = segmenter(checkpoint, crop_layers=1)
    ours.look_at(noise())
    ours.in_boxes(BOXES)
    ours.everywhere()
    ours.ground()
    assert len(runs) == 5


def test_low_precision_of_the_encoder_alone_works(checkpoint: Path) -> None:
    """What autocast does on a GPU, with bfloat16 here: prompts and decoder stay in float32."""
    ours = segmenter(checkpoint)
    with torch.autocast("cpu", torch.bfloat16):
        ours.look_at(noise())
    assert ours.predictor.kept.features.dtype == torch.float32
    assert len(ours.in_boxes(BOXES)) > 0


def test_specks_are_removed(checkpoint: Path) -> None:
    ours = segmenter(checkpoint, min_region=200)
    ours.look_at(noise())
    for mask in ours.everywhere():
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        assert len(stats) == 2 or stats[1:, 4].min() >= 200


def test_of_similar_masks_the_better_is_kept() -> None:
    one, other, apart = (np.zeros((20, 20), dtype=bool) for _ in range(3))
    one[2:10, 2:10] = other[2:10, 2:9] = apart[12:18, 12:18] = True
    masks = encode([one, other, apart], height=20, width=20)
    kept = without_doubles(masks, np.array([0.0, 1.0, 0.0]), max_box_iou=0.7)
    assert [int(mask.sum()) for mask in kept] == [56, 36]


def test_asking_before_looking_is_an_error(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="look_at"):
        segmenter(checkpoint).ground()


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_published_sizes_are_told_apart(name: str) -> None:
    with torch.device("meta"):
        published = sam_model_registry[name]()
    sizes = encoder_sizes(Path("sam.pth"), published.state_dict())
    depth, heads = {"vit_b": (12, 12), "vit_l": (24, 16), "vit_h": (32, 16)}[name]
    step = depth // 4
    assert sizes["depth"] == depth
    assert sizes["num_heads"] == heads
    assert sizes["global_attn_indexes"] == tuple(range(step - 1, depth, step))
    assert (sizes["img_size"], sizes["window_size"], sizes["mlp_ratio"], sizes["out_chans"]) == (1024, 14, 4, 256)


def test_another_network_is_refused(tmp_path: Path, checkpoint: Path) -> None:
    state = read_state(checkpoint)
    torch.save(state | {"mask_decoder.hf_token.weight": torch.zeros(1, 32)}, tmp_path / "sam_hq.pth")
    with pytest.raises(UserError, match=r"sam_hq\.pth: not the checkpoint .*hf_token\.weight is unknown"):
        load_sam(tmp_path / "sam_hq.pth")
    del state["image_encoder.pos_embed"]
    torch.save(state, tmp_path / "sam.pth")
    with pytest.raises(UserError, match=r"image_encoder\.pos_embed is missing"):
        load_sam(tmp_path / "sam.pth")


MEMORY = """
import resource, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, torch
from tests.golden.tiny_sam import build_tiny_sam, noise
from stages.aecsad.pseudo_label.foundation.segmenter import Segmenter
from stages.aecsad.pseudo_label.params import SegmenterParams
params = SegmenterParams(points_per_side=4, points_at_once=16, min_predicted_iou=-10.0, min_stability=0.0,
                         max_box_iou=0.7, crop_layers=0, min_region=500)
ours = Segmenter(build_tiny_sam(), params, device=torch.device("cpu"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ours.look_at(noise(1280, 1600))
ours.everywhere()
ours.in_boxes(np.tile(np.float32([[10, 10, 1500, 1200]]), (32, 1)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_memory_at_full_size_is_bounded() -> None:
    """48 candidates and 32 boxes of 1600 x 1280: by the batches (0.4 GB of float32), not by the number of masks."""
    done = subprocess.run([sys.executable, "-c", MEMORY], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) / 1024**2 < 1.2  # GiB
