"""A small data set, and the stages' parts trained on it, for the tests of the predict command."""

from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image
from stages.aecsad.cluster.pasted_components.__main__ import main as lsa
from stages.aecsad.score_fusion.explanation.__main__ import main as explanation

from stages.aecsad.histogram.__main__ import main as histogram
from stages.aecsad.model.label_maps import LabelMaps, write_label_maps
from stages.aecsad.score_fusion.__main__ import main as normalization
from stages.aecsad.segmentation.__main__ import main as segmentation
from stages.aecsad.student_teacher.__main__ import main as student_teacher
from stages.core.io.tables import write_images
from stages.core.io.truth import write_truth
from stages.evaluation.__main__ import main as evaluation
from tests.params_files import write_params

SPLITS = ["train"] * 12 + ["validation"] * 8 + ["test"] * 6
DEFECT = len(SPLITS) - 3  # from here on the square is missing
SIZE = 256
PARTS = {
    "segmentation": "seg/{category}.safetensors", "histogram": "hist/{category}.npz",
    "student_teacher": "st/{category}.safetensors", "fusion": "norm/{category}.json",
    "calibration": "evaluation/{category}/calibration.json",
}  # fmt: skip
PARAMS = """
profile: tiny
seed: 0
categories: {part: {}, bar: {}}
evaluation: {false_alarm_budget: 0.2, aupro_max_false_positive_rate: 0.3, spro_max_false_positive_rates: [0.05, 1.0],
             confidence: 0.95, bootstrap_resamples: 50, unsure_confidence: 0.9}
profiles:
  tiny:
    encoder: {name: tf_efficientnet_lite0, image_size: 256}
    aecsad:
      segmentation:
        {width: 8, iterations: 30, supervised_share: 0.5, batch_size: 4, optimizer: adamw, schedule: one_cycle,
         learning_rate: 0.02, weight_decay: 0.0,
         loss_size: 64, csad_exact: false, augmentation: {copies: 0, min_distance: 0.2, min_pastes: 1, max_pastes: 1},
         loss_weights: {cross_entropy: 0.5, focal: 10.0, dice: 1.0, histogram: 10.0, entropy: 1.0}}
      histogram:
        {grids: [1, 2], shrinkage: 0.1, edits_per_image: 2, min_area: 0.001, max_area: 0.5, min_edit_auroc: 0.5,
         max_inflation: 1000.0}
      explanation: {min_area: 0.0006, stable_share: 0.9, area_floor: 0.01, grid: 2, kept: 3, examples: 3}
      student_teacher:
        teacher: {dim: 8, map_size: 32, projection: orthonormal, stage_weights: [1.0, 1.0]}
        local_student: {network: patch, widths: [4, 8, 8, 8, 8], pooling: false, stride: 8, batch_norm: true}
        global_student: {width: 8, decoder_steps: [8, 15], attended_steps: [15], attention: true,
                         bottleneck: false, batch_norm: true, dropout: 0.2}
        training: {iterations: 6, batch_size: 4, optimizer: adamw, schedule: one_cycle, learning_rate: 0.003,
                   weight_decay: 0.0, hard_quantile: 0.9, global_images: {kind: plain, colour_strength: 0.2},
                   penalty_images: null}
        maps: {names: [local, global, global_local], distance: mean_square, quantiles: [0.9, 0.995], score_size: null,
               pooled_cells: 8}
      lsa: {copies: 1, min_distance: 0.2, min_pastes: 1, max_pastes: 1}
      normalization: {histogram_columns: reliability, branch_weights: {histogram: 1.0, student_teacher: 1.0}}
"""


def draw(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A noisy plate with a disc (class 1) and a square (class 2), each a little elsewhere, and its labels."""
    generator = np.random.default_rng(number)
    image = generator.normal(120, 8, (SIZE, SIZE, 3))
    labels = np.zeros((SIZE, SIZE), dtype=np.uint8)
    y, x = np.mgrid[:SIZE, :SIZE]
    labels[np.hypot(y - generator.integers(70, 90), x - generator.integers(60, 80)) < generator.integers(30, 36)] = 1
    if number < DEFECT:
        top, left = generator.integers(140, 170, size=2)
        labels[top : top + 56, left : left + 56] = 2
    image[labels == 1] += (90, -60, -60)
    image[labels == 2] += (-80, -20, 90)
    return np.clip(image, 0, 255).astype(np.uint8), labels


def make_data_set(split: Path) -> None:
    """The files of the stages split and cluster."""
    (split / "images").mkdir(parents=True)
    (split / "masks").mkdir()
    rows, label_maps = [], []
    for number, name in enumerate(SPLITS):
        image, labels = draw(number)
        Image.fromarray(image).save(split / "images" / f"{number:02d}.png")
        rows.append((f"{name}/{number:02d}", f"{number:02d}.png", name))
        label_maps.append(labels)
    images = pd.DataFrame(rows, columns=["image_id", "file", "split"])
    train = images["split"] == "train"
    values = np.stack(label_maps)[train.to_numpy()]
    trusted = np.arange(len(values)) < 9
    write_images(split / "images.parquet", images)
    write_label_maps(split / "labels.npz", LabelMaps(tuple(images["image_id"][train]), values, 3, trusted))
    anomalous = images.index >= DEFECT
    truth = images.assign(source_path=images["file"], is_anomalous=anomalous,
                          kind=np.where(anomalous, "logical", "normal"), defect_type="x", mask_files=[[]] * len(images),
                          sha256="0" * 64, width=SIZE, height=SIZE)  # fmt: skip
    write_truth(split / "truth.parquet", truth)


def fuse_and_judge() -> None:
    """The stages normalization and evaluation."""
    normalization(["--histogram", "hist/scores.parquet", "--histogram-choice", "hist/choice.json",
                   "--student-teacher", "st/scores.parquet", "--maps", "st/maps",
                   "--explanations", "expl", "--scores", "scores",
                   "--fusion", "norm/part.json"])  # fmt: skip
    evaluation(["--scores", "scores", "--truth", "split/truth.parquet", "--image-files", "split/images",
                "--mask-files", "split/masks", "--method", "aecsad", "--category", "part", "--metrics", "m/part.json",
                "--intervals", "m/intervals.json", "--test-scores", "m/scores.csv",
                "--results", "evaluation/part", "--overview", "m/overview.jpg",
                *(word for name in ("roc", "precision-recall", "score-histogram", "confusion")
                  for word in (f"--{name}", f"m/{name}.csv"))])  # fmt: skip


def train_parts(root: Path) -> None:
    """Train the category `part` below the current folder, which is `root`."""
    write_params(root, {**yaml.safe_load(PARAMS), "predict": PARTS})
    make_data_set(root / "split")
    images = ["--images", "split/images.parquet"]
    files = [*images, "--image-files", "split/images"]
    segmentation([*files, "--labels", "split/labels.npz", "--label-maps", "seg/maps.npz",
                  "--model", "seg/part.safetensors", "--curve", "seg/curve.csv"])  # fmt: skip
    histogram([*images, "--label-maps", "seg/maps.npz", "--scores", "hist/scores.parquet",
               "--model", "hist/part.npz", "--choice", "hist/choice.json"])  # fmt: skip
    lsa([*files, "--labels", "split/labels.npz", "--pasted", "lsa/pasted.npz"])
    student_teacher([*files, "--pasted", "lsa/pasted.npz", "--scores", "st/scores.parquet", "--maps", "st/maps",
                     "--model", "st/part.safetensors", "--curve", "st/curve.csv"])  # fmt: skip
    explanation([*files, "--label-maps", "seg/maps.npz", "--maps", "st/maps", "--explanations", "expl"])
    fuse_and_judge()
