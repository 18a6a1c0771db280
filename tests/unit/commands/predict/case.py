"""A small data set, and the stages' parts trained on it, for the tests of the verbs predict and attention."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from stages.aecsad.histogram.__main__ import main as histogram
from stages.aecsad.hybrid_fusion.__main__ import main as hybrid_fusion
from stages.aecsad.model.edited import EditedPictures, write_edited
from stages.aecsad.model.label_maps import LabelMaps, PastedImages, write_label_maps, write_pasted_images
from stages.aecsad.score_fusion.__main__ import main as score_fusion
from stages.aecsad.segmentation.__main__ import main as segmentation
from stages.aecsad.student_teacher.__main__ import main as student_teacher
from stages.core.io.components import ComponentMaps, write_component_maps
from stages.core.io.tables import SYNTHETIC, image_files, read_images, write_images
from stages.core.io.truth import component_files, health_file, mask_files, write_truth
from stages.evaluation.__main__ import main as evaluation
from stages.patchcore.__main__ import main as patchcore
from tests.params_files import write_params

SPLITS = ["train"] * 12 + ["validation"] * 8 + ["test"] * 6
DEFECT = len(SPLITS) - 3  # from here on the square is missing
SIZE = 256
INPUTS, TRUTH = Path("split/inputs"), Path("split/truth")
PARAMS = """
profile: tiny
seed: 0
categories: {part: {}, bar: {}}
evaluation: {false_alarm_budget: 0.2, aupro_max_false_positive_rate: 0.3, spro_max_false_positive_rates: [0.05, 1.0],
             confidence: 0.95, bootstrap_resamples: 50, unsure_confidence: 0.9}
methods:
  oddpart: {categories: {part: {}}, stages: [hybrid_fusion], needs: [aecsad, patchcore]}
  aecsad: {categories: {part: {}, bar: {}}, stages: [segmentation]}
  patchcore: {categories: {part: {}}}
profiles:
  tiny:
    encoder: {name: tf_efficientnet_lite0, image_size: 256}
    aecsad:
      segmentation:
        {width: 8, iterations: 30, supervised_share: 0.5, batch_size: 4, optimizer: adamw, schedule: one_cycle,
         learning_rate: 0.02, weight_decay: 0.0,
         loss_size: 64, csad_exact: false, part_kinds: 4,
         augmentation: {copies: 0, min_distance: 0.2, min_pastes: 1, max_pastes: 1},
         loss_weights: {cross_entropy: 0.5, focal: 10.0, dice: 1.0, histogram: 10.0, entropy: 1.0}}
      histogram:
        {grids: [1, 2], shrinkage: 0.1, min_edit_auroc: 0.0, max_inflation: 1000.0}
      student_teacher:
        cpu_threads: 1
        teacher: {dim: 8, map_size: 32, projection: orthonormal, stage_weights: [1.0, 1.0]}
        local_student: {network: patch, widths: [4, 8, 8, 8, 8], pooling: false, stride: 8, batch_norm: true}
        global_student: {width: 8, decoder_steps: [8, 15], attended_steps: [15], attention: true,
                         bottleneck: false, batch_norm: true, dropout: 0.2}
        training: {iterations: 6, batch_size: 4, optimizer: adamw, schedule: one_cycle, learning_rate: 0.003,
                   weight_decay: 0.0, hard_quantile: 0.9, global_images: {kind: plain, colour_strength: 0.2},
                   penalty_images: null}
        maps: {names: [local, global, global_local], distance: mean_square, calibrated_on: train,
               quantiles: [0.9, 0.995], score_size: null,
               pooled_cells: 8}
      score_fusion:
        {histogram_columns: reliability, branch_weights: {histogram: 1.0, student_teacher: 1.0},
         explanation: {min_area: 0.0006, stable_share: 0.9, area_floor: 0.01, grid: 2, kept: 3, examples: 3}}
      hybrid_fusion:
        chance: 0.9
        combination: by_kind
        fine_neighbours:
          {image_size: 320, strides: [8, 16], training_images: 10, cells_per_image: 100, bank_patches: 100,
           projection_dimensions: 128}
    patchcore: {strides: [8, 16], coreset_ratio: 0.01, projection_dimensions: 128, neighbours: 3}
"""


def draw(number: int, *, square: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """A noisy plate with a disc (class 1) and a square (class 2), each a little elsewhere, and its labels."""
    generator = np.random.default_rng(number)
    image = generator.normal(120, 8, (SIZE, SIZE, 3))
    labels = np.zeros((SIZE, SIZE), dtype=np.uint8)
    y, x = np.mgrid[:SIZE, :SIZE]
    labels[np.hypot(y - generator.integers(70, 90), x - generator.integers(60, 80)) < generator.integers(30, 36)] = 1
    if square:
        top, left = generator.integers(140, 170, size=2)
        labels[top : top + 56, left : left + 56] = 2
    image[labels == 1] += (90, -60, -60)
    image[labels == 2] += (-80, -20, 90)
    return np.clip(image, 0, 255).astype(np.uint8), labels


def make_data_set() -> None:
    """What the stages split, pseudo_label and cluster leave."""
    for folder in (image_files(INPUTS), mask_files(TRUTH), component_files(TRUTH)):
        folder.mkdir(parents=True)
    health_file(TRUTH).write_text("{}", encoding="utf-8")
    rows, label_maps = [], []
    for number, name in enumerate(SPLITS):
        image, labels = draw(number, square=number < DEFECT)
        Image.fromarray(image).save(image_files(INPUTS) / f"{number:02d}.png")
        rows.append((f"{name}/{number:02d}", f"{number:02d}.png", name))
        label_maps.append(labels)
    images = pd.DataFrame(rows, columns=["image_id", "file", "split"])
    train = images["split"] == "train"
    values = np.stack(label_maps)[train.to_numpy()]
    trusted = np.arange(len(values)) < 9
    image_ids = tuple(images["image_id"][train])
    write_images(INPUTS, pd.concat([images, scratch_validation_images(images)], ignore_index=True))
    write_label_maps(Path("cluster/label_maps.npz"), LabelMaps(image_ids, values, 3, trusted))
    validation = images.index[images["split"] == "validation"]
    edited = np.stack([draw(number, square=False)[0] for number in validation])
    sources = tuple(images["image_id"][validation])
    write_edited(Path("proposal/edited.npz"), EditedPictures(sources, ("cut",) * len(edited), edited))
    write_component_maps(
        Path("proposal/part_maps.npz"),
        ComponentMaps(image_ids, values.astype(np.uint16), np.zeros((len(values), 3), dtype=np.uint8)),
    )
    write_pasted_images(Path("cluster/pasted.npz"), PastedImages(np.zeros((0, SIZE, SIZE, 3), dtype=np.uint8), ()))
    kinds = np.zeros((len(values), 3), dtype=np.uint8)
    write_component_maps(
        Path("cluster/review/component_maps.npz"), ComponentMaps(image_ids, values.astype(np.uint16), kinds)
    )
    for name, content in (("review.json", '{"warnings": []}'), ("overlays.jpg", "o"), ("classes.jpg", "c")):
        Path("cluster/review", name).write_text(content)
    anomalous = images.index >= DEFECT
    truth = images.assign(source_path=images["file"], is_anomalous=anomalous,
                          kind=np.where(anomalous, "logical", "normal"), defect_type="x", mask_files=[[]] * len(images),
                          sha256="0" * 64, width=SIZE, height=SIZE)  # fmt: skip
    write_truth(TRUTH, truth)


def scratch_validation_images(images: pd.DataFrame) -> pd.DataFrame:
    """Write a copy of each validation image with a white scratch, as the stage split does; their rows."""
    rows = images[images["split"] == "validation"]
    for file in rows["file"]:
        with Image.open(image_files(INPUTS) / file) as picture:
            values = np.array(picture)
        values[100:104, 20:120] = 255
        Image.fromarray(values).save(image_files(INPUTS) / f"synthetic-{file}")
    return rows.assign(image_id=rows["image_id"] + "#synthetic", file="synthetic-" + rows["file"], split=SYNTHETIC)


def fuse_and_judge() -> None:
    """Run the stages score_fusion, hybrid_fusion and evaluation."""
    fuse()
    fuse_hybrid()
    judge()


def remember() -> None:
    """Run the stage patchcore."""
    patchcore(["--inputs", str(INPUTS), "--scores", "artifacts/scores/part/patchcore"])


def fuse_hybrid() -> None:
    """Run the stage hybrid_fusion; how long it trains on damaged patches decides nothing here."""
    with patch("stages.aecsad.hybrid_fusion.discriminating.STEPS", 20):
        run_hybrid_fusion()


def run_hybrid_fusion() -> None:
    """Run the stage hybrid_fusion as it is."""
    hybrid_fusion(["--inputs", str(INPUTS), "--label-maps", "artifacts/aecsad/segmentation/part/label_maps.npz",
                   "--histogram", "artifacts/aecsad/histogram/part", "--histogram-choice", "histogram.json",
                   "--student-teacher", "artifacts/aecsad/student_teacher/part",
                   "--neighbours", "artifacts/scores/part/patchcore",
                   "--explanations", "artifacts/scores/part/aecsad/explanations",
                   "--scores", "artifacts/scores/part/oddpart", "--choice", "hybrid.json"])  # fmt: skip


def fuse() -> None:
    """Run the stage score_fusion."""
    score_fusion(["--inputs", str(INPUTS), "--label-maps", "artifacts/aecsad/segmentation/part/label_maps.npz",
                  "--histogram", "artifacts/aecsad/histogram/part", "--histogram-choice", "histogram.json",
                  "--student-teacher", "artifacts/aecsad/student_teacher/part", "--review", "cluster/review",
                  "--scores", "artifacts/scores/part/aecsad"])  # fmt: skip


def judge() -> None:
    """Run the stage evaluation."""
    evaluation(["--category", "part", "--scores", "artifacts/scores/part", "--inputs", str(INPUTS),
                "--truth", str(TRUTH),
                "--results", "artifacts/evaluation/part", "--metrics", "m/part.json",
                "--intervals", "m/intervals.json", "--test-scores", "m/scores.csv", "--agreement", "m/agreement.json",
                "--health", "m/health.json", "--plots", "m/plots"])  # fmt: skip


def train_parts(root: Path, *, folds: int = 0) -> None:
    """Train the category `part` below the current folder, which is `root`.

    Args:
        folds: of rotating validation; 0 for none.
    """
    write_params(root, yaml.safe_load(PARAMS))
    make_data_set()
    if folds:
        rotate(folds)
    train()


def rotate(folds: int) -> None:
    """Deal the training images to folds: 1, 2, .., 1, 2, .."""
    images = read_images(INPUTS)
    numbers = {name: 1 + row % folds for row, name in enumerate(images["image_id"][images["split"] == "train"])}
    numbers |= dict.fromkeys(images["image_id"][images["split"] == "validation"], 0)
    write_images(INPUTS, images.assign(fold=[numbers.get(name, -1) for name in images["image_id"]]))


def train() -> None:
    """Run all stages on the data set."""
    segment()
    count_areas()
    train_students()
    remember()
    fuse_and_judge()


def segment() -> None:
    """Run the stage segmentation."""
    segmentation(["--inputs", str(INPUTS), "--labels", "cluster/label_maps.npz",
                  "--proposal", "proposal", "--output", "artifacts/aecsad/segmentation/part",
                  "--curve", "curves/segmentation.csv"])  # fmt: skip


def count_areas() -> None:
    """Run the stage histogram."""
    histogram(["--inputs", str(INPUTS), "--segmentation", "artifacts/aecsad/segmentation/part",
               "--output", "artifacts/aecsad/histogram/part", "--choice", "histogram.json"])  # fmt: skip


def train_students() -> None:
    """Run the stage student_teacher."""
    student_teacher(["--inputs", str(INPUTS), "--pasted", "cluster/pasted.npz",
                     "--output", "artifacts/aecsad/student_teacher/part",
                     "--curve", "curves/student_teacher.csv"])  # fmt: skip
