"""`oddpart predict` with AeCSAD: time of an image from pixels to score and map, copies to and from the GPU included.

One image after the other, as `predict` scores. Published for comparison: CSAD 8.9 ms and 322 images/s, EfficientAD-M
4.4 ms; both are times of the networks, on other GPUs.
"""

import statistics
from functools import partial

import numpy as np
import torch

from benchmarks.gpu.inputs import draw, encoder_name, section_of, untrained_encoder
from benchmarks.gpu.measure import Check, Outcome, Setting, agree, seconds_of
from benchmarks.gpu.student_networks import module_of
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.model.fusion import HISTOGRAM, STUDENT_TEACHER, fit_fusion
from stages.aecsad.model.patch_histogram import fit_histograms
from stages.aecsad.model.segmentor import DEFAULT_MOMENTUM, Segmentor, labeller_of
from stages.aecsad.segmentation.params import SegmentationParams
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.encoder.lite0_weights import LITE0
from stages.core.runtime.calibration import Calibration, Threshold
from stages.core.runtime.histograms import HistogramModel
from stages.export.parts import HistogramBranch, Parts, StudentBranch, lay_out_as_trained, predict

REPEATS = 200
SIZE = 256  # pixels of a picture, and of what the networks see
CLASSES = 6
SCORES = 2e-2  # tolerance of maps on the GPU against the CPU, as a share of the largest: convolutions in TF32
PUBLISHED = "published: CSAD 8.9 ms and 322 images/s, EfficientAD-M 4.4 ms"


def checks(setting: Setting) -> list[Check]:
    """List one check a profile."""
    return [
        Check("predict, AeCSAD as published: p50", partial(check_latency, profile="paper")),
        Check("predict, AeCSAD of profile embedded: p50", partial(check_latency, profile="embedded")),
    ]


def check_latency(setting: Setting, *, profile: str) -> Outcome:
    """Time `predict` on pictures of 256 pixels, and compare its map with the CPU's."""
    parts = build_parts(setting, profile=profile)
    pictures = [draw(number, SIZE)[0] for number in range(8)]
    numbers = iter(range(10**9))
    seconds = seconds_of(
        lambda: predict(parts, pictures[next(numbers) % len(pictures)]), setting, repeats=REPEATS, warm_up=20
    )
    found = predict(parts, pictures[0])
    rate = f"{1 / statistics.mean(seconds):.0f} images/s, one by one"
    wanted = predict(build_parts(Setting(torch.device("cpu"), setting.small), profile=profile), pictures[0])
    maps = [torch.from_numpy(one.anomaly_map) for one in (found, wanted)]
    notes = [rate, PUBLISHED, agree(*maps, tolerance=SCORES)]
    return Outcome([maps[0], torch.tensor(found.score)], statistics.median(seconds), "image", "; ".join(notes))


def build_parts(setting: Setting, *, profile: str) -> Parts:
    """Build all that turns a picture into a verdict, of the profile's shapes, with random weights."""
    torch.manual_seed(0)
    encoder = (
        untrained_encoder(encoder_name(setting), setting)
        if profile == "paper"
        else FrozenEncoder(LITE0).to(setting.device)
    )
    students = module_of(encoder.channels, setting, profile=profile).eval().requires_grad_(False)
    width = 8 if setting.small else section_of(SegmentationParams, "aecsad.segmentation", profile=profile).width
    low, _, high = encoder.channels
    segmentor = Segmentor((low, high), num_classes=CLASSES, width=width, momentum=DEFAULT_MOMENTUM)
    segmentor.to(setting.device).eval().requires_grad_(False)
    for network in (segmentor, students.local_student, students.global_student):
        lay_out_as_trained(network)
    models = histograms(section_of(HistogramParams, "aecsad.histogram", profile=profile).grids)
    columns = [model.column for model in models]
    scores = {name: np.linspace(0.0, 1.0, 20) for name in (*columns, STUDENT_TEACHER)}
    fusion = fit_fusion({HISTOGRAM: columns, STUDENT_TEACHER: [STUDENT_TEACHER]}, dict.fromkeys(scores, 1.0), scores)
    calibration = Calibration(Threshold(0.5, 0.05, 0.05, 20, 19), median=0.0, low=0.0, high=1.0)
    return Parts(
        encoder, grey_range=None, counted=None,
        histogram=HistogramBranch(segmentor, tuple(models), labeller_of(segmentor, size=SIZE)),
        students=StudentBranch(students, encoder.name, SIZE, grey_range=None), banks={}, fusion=fusion, map_fusion=None,
        calibration=calibration, explainer=None, scorer=None, fingerprints={},
    )  # fmt: skip


def histograms(grids: tuple[int, ...]) -> list[HistogramModel]:
    """Fit the histograms of random label maps, shrunk so that the covariance can be inverted."""
    maps = np.random.default_rng(0).integers(0, CLASSES, (12, 64, 64), dtype=np.uint8)
    return [fit_histograms(maps, grid=grid, num_classes=CLASSES, shrinkage=0.1) for grid in grids]
