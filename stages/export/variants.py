"""Variants of a bundle in lower precision, each with its own scales, threshold and measured change of image AUROC.

A variant gives other scores than the pipeline, so nothing that was fitted on those is valid for it. Scales, threshold,
p-values and the unsure band come from its own scores of the normal validation images; weights of branches stay. Its
AUROC is measured on validation images against pictures with synthetic defects, and for methods that look at components
also against edited pictures. No test image is read.
"""

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float64, UInt8

from stages.core.io.tables import SYNTHETIC
from stages.core.io.thresholds import conformal_threshold, unsure_band
from stages.core.run.console import progress
from stages.core.runtime.bundle import Bundle, Seen, load
from stages.core.runtime.calibration import BranchScale, Calibration, Sureness
from stages.core.runtime.conformal import Jackknife
from stages.core.runtime.fusion import Fusion, weighted_sum
from stages.core.runtime.manifest import FILES, MANIFEST, SEAL, TEST_PICTURES, sealed
from stages.core.runtime.pictures import read_picture
from stages.core.runtime.scaling import fit_trimmed_z
from stages.export.bundling import files_below, sha256_of
from stages.export.edits import edit
from stages.export.eight_bits import quantised
from stages.export.measuring import LARGEST_CHANGE, Found, Measured, Values
from stages.export.precision import with_half_weights

LOG = logging.getLogger(__name__)
Kind = Literal["fp16", "int8"]
CALIBRATING = 32  # training images at most, whose values decide how 8 bits are used
TOLERANCE: Mapping[Kind, float] = {"fp16": 1e-4, "int8": 5e-2}  # of `verify`: one last digit moves a value by 1/255
NOT_QUANTISED = ("neighbours", "fine_neighbours", "parts")  # distances and what is whitened: differences of large sums
Columns = dict[str, Values]


@dataclass(frozen=True)
class Pictures:
    """Pictures of a product that a variant may be made and measured by.

    Attributes:
        images: the image table.
        folder: of the image files.
    """

    images: pd.DataFrame
    folder: Path

    def of(self, split: str, bundle: Bundle, *, most: int | None = None) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """Yield the pictures of a split by image_id, `most` of them evenly."""
        files = self.images[self.images["split"] == split].sort_values("image_id")["file"].to_list()
        step = 1 if most is None else max(1, -(-len(files) // most))
        for file in progress(files[::step], total=len(files[::step]), label=f"{split} of {bundle.method}"):
            yield read_picture(self.folder / file, bundle.grey_range)

    def edited(self, reference: Bundle, normal: Sequence[Seen]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """Yield edited validation pictures, by what the bundle in 32 bits has segmented in them."""
        for number, (picture, seen) in enumerate(zip(self.of("validation", reference), normal, strict=True)):
            changed = None if seen.label_map is None else edit(picture, seen.label_map, number=number)
            if changed is not None:
                yield changed


@dataclass(frozen=True)
class Baseline:
    """A bundle in 32 bits, and what it finds in the pictures that variants are measured by.

    Attributes:
        normal: of each normal validation image.
        found: their scores, and those of anomalous pictures.
    """

    bundle: Bundle
    pictures: Pictures
    normal: Sequence[Seen]
    found: Found

    def odd(self) -> dict[str, Iterator[UInt8[np.ndarray, "H W 3"]]]:
        """Return the anomalous pictures by kind."""
        found = {"defects": self.pictures.of(SYNTHETIC, self.bundle)}
        if self.bundle.covers_components:
            found["edits"] = self.pictures.edited(self.bundle, self.normal)
        return found

    def measure(self, judge: Bundle, normal: Sequence[Seen]) -> Found:
        """Return the scores by this bundle or a variant, of those kinds of which there are pictures.

        Args:
            judge: of the pictures.
            normal: what it finds in normal validation images.
        """
        odd = {kind: np.array([judge.judge(one).score for one in images]) for kind, images in self.odd().items()}
        own = np.array([judge.join(one).score for one in normal])
        return Found(own, {kind: values for kind, values in odd.items() if len(values)})


def baseline_of(source: Path, pictures: Pictures) -> Baseline:
    """Judge the pictures by a bundle in 32 bits.

    Args:
        source: its folder.
        pictures: of the product.
    """
    bundle = load(source)
    normal = [bundle.see(picture) for picture in pictures.of("validation", bundle)]
    bare = Baseline(bundle, pictures, normal, Found(np.zeros(0), {}))
    return replace(bare, found=bare.measure(bundle, normal))


def export_variant(baseline: Baseline, target: Path, kind: Kind, *, confidence: float) -> Measured:
    """Write a variant of a bundle into an empty folder; whoever calls decides by what was measured whether it stays.

    Args:
        baseline: the bundle in 32 bits.
        target: folder of the variant.
        kind: of the variant.
        confidence: of the unsure band, see `stages.core.io.thresholds.unsure_band`.
    """
    reference = baseline.bundle
    shutil.copytree(reference.path, target, dirs_exist_ok=True)
    convert(target, reference, kind, baseline.pictures)
    write_manifest(target, reference.manifest)
    raw = load(target)
    seen = [raw.see(picture) for picture in baseline.pictures.of("validation", raw)]
    write_manifest(target, {**reference.manifest, **calibrate(raw, seen, baseline.normal, confidence=confidence)})
    variant = load(target)
    measured = Measured.of(baseline.found, baseline.measure(variant, seen))
    normals = variant.calibration.threshold.normals
    about = {"kind": kind, "tolerance": TOLERANCE[kind], "normals": normals, **measured.as_json()}
    tested = [judged_again(variant, one) for one in reference.manifest[TEST_PICTURES]]
    write_manifest(target, {**variant.manifest, "variant": about, TEST_PICTURES: tested})
    return measured


def refusal(kind: Kind, method: str, measured: Measured) -> str:
    """Say why a variant is not written."""
    if not measured.before:
        return f"{method}: the variant {kind} is not written: there is no synthetic defect to measure it by"
    if measured.step > LARGEST_CHANGE:
        return (
            f"{method}: the variant {kind} is not written: a change of {LARGEST_CHANGE} points cannot be seen in "
            f"{measured.normal} validation images, where the image AUROC moves in steps of {measured.step:.2f}: add "
            "normal images, or take the bundle in 32 bits"
        )
    return (
        f"{method}: the variant {kind} changes the image AUROC by up to {measured.largest:.2f} points, more than "
        f"{LARGEST_CHANGE}: {measured}; it is not written, take the bundle in 32 bits"
    )


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Seal a manifest of the files that are there."""
    kept = {key: value for key, value in content.items() if key not in ("made_by", "format", SEAL, FILES)}
    (folder / MANIFEST).unlink(missing_ok=True)
    hashes = {path.relative_to(folder).as_posix(): sha256_of(path) for path in files_below(folder)}
    (folder / MANIFEST).write_text(sealed({**kept, FILES: hashes}), encoding="utf-8")


def convert(folder: Path, reference: Bundle, kind: Kind, pictures: Pictures) -> None:
    """Replace the graphs of a bundle in place; what comes behind the encoder learns from the encoder in 8 bits."""
    encoders = {tuple(one["size"]): folder / one["graph"] for one in reference.manifest["encoder"]["graphs"]}
    branches = {one["name"]: folder / one["graph"] for one in reference.manifest["branches"]}
    if kind == "fp16":
        for path in (*encoders.values(), *branches.values()):
            path.write_bytes(with_half_weights(path.read_bytes()))
        return
    images = list(pictures.of("train", reference, most=CALIBRATING))
    for size, path in encoders.items():
        rows = [{"image": reference.encode(image, size)["image"]} for image in images]
        path.write_bytes(quantised(path.read_bytes(), rows))
    write_manifest(folder, reference.manifest)
    encoded = load(folder)
    for branch in encoded.branches:
        path = branches[branch.name]
        if branch.name in NOT_QUANTISED:
            path.write_bytes(with_half_weights(path.read_bytes()))
            continue
        values = [encoded.encode(image, branch.size) for image in images]
        rows = [{name: one[name] for name in branch.graph.inputs} for one in values]
        path.write_bytes(quantised(path.read_bytes(), rows))


def calibrate(bundle: Bundle, seen: Sequence[Seen], before: Sequence[Seen], *, confidence: float) -> dict[str, Any]:
    """Fit scales, threshold and the unsure band anew; return the sections of the manifest that change.

    Args:
        bundle: with the graphs of a variant, and the calibration of the bundle in 32 bits.
        seen: what it finds in normal validation images.
        before: what the bundle in 32 bits does.
        confidence: of the unsure band.
    """
    normal: Columns = {name: np.array([one.columns[name] for one in seen]) for name in seen[0].columns}
    if bundle.fusion is None:
        (scores,) = normal.values()
        return {"calibration": asdict(calibration_of(bundle.calibration, scores, {}, confidence=confidence))}
    old: Columns = {name: np.array([one.columns[name] for one in before]) for name in bundle.fusion.normal}
    fusion = refitted(bundle.fusion, {name: normal[name] for name in bundle.fusion.normal}, old)
    scores, parts = fusion.of_fitted({name: np.array(values) for name, values in fusion.normal.items()})
    calibration = calibration_of(bundle.calibration, scores, parts, confidence=confidence)
    return {"fusion": fusion.to_json(), "calibration": asdict(calibration)}


def refitted(fusion: Fusion, normal: Columns, before: Columns) -> Fusion:
    """Fit the scales of a fusion on other scores of the same validation images; its weights stay.

    Training images that were held out in turns are not among them: the networks of their turns are in no bundle.

    Args:
        fusion: in 32 bits.
        normal: scores of the variant by column.
        before: those in 32 bits, of the same images; they show which row of the fusion an image is.
    """
    old = np.stack([np.array(fusion.normal[name]) for name in before])
    new = np.stack(list(before.values()))
    scale = np.maximum(np.abs(old).max(axis=1), np.finfo(np.float64).tiny)[:, None, None]
    rows = (np.abs(new[:, :, None] - old[:, None, :]) / scale).max(axis=0).argmin(axis=1)
    branches = []
    for branch in fusion.branches:
        columns = tuple(
            replace(one, scale=fit_trimmed_z(normal[one.name])) if one.name in normal else one for one in branch.columns
        )
        used = [one for one in columns if one.name in normal]
        scaled = fit_trimmed_z(weighted_sum(used, normal)) if used else branch.scale
        branches.append(replace(branch, columns=columns, scale=scaled))
    without = (
        None
        if fusion.without is None
        else Jackknife(
            {name: tuple(np.array(values)[rows].tolist()) for name, values in fusion.without.columns.items()},
            {name: tuple(np.array(values)[rows].tolist()) for name, values in fusion.without.branches.items()},
        )
    )
    kept = {name: tuple(values.tolist()) for name, values in normal.items()}
    found = replace(fusion, branches=tuple(branches), normal=kept, without=without)
    return replace(found, kinds=found.fitted_kinds(found.used, normal))


def calibration_of(
    before: Calibration,
    scores: Float64[np.ndarray, " n"],
    parts: Mapping[str, Float64[np.ndarray, " n"]],
    *,
    confidence: float,
) -> Calibration:
    """Return a calibration by a variant's own scores of normal validation images; colours of maps stay."""
    budget = before.threshold.false_alarm_budget
    normal = np.sort(scores)
    low, high, _ = unsure_band(normal, budget=budget, confidence=confidence)
    branches = before.branches and {
        name: BranchScale(
            conformal_threshold(parts[name], budget=budget).value, float(np.median(parts[name])), one.weight
        )
        for name, one in before.branches.items()
        if name in parts
    }
    return replace(
        before,
        threshold=conformal_threshold(scores, budget=budget),
        median=float(np.median(scores)),
        sureness=Sureness(tuple(normal.tolist()), low, high),
        branches=branches,
    )


def judged_again(variant: Bundle, picture: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is expected of a test picture."""
    found = variant.judged(read_picture(variant.path / picture["file"], variant.grey_range))
    return {**picture, "score": found.score, "is_anomalous": variant.calibration.calls(found.score),
            "branches": found.branches}  # fmt: skip
