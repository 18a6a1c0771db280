"""Export all methods of a product that can be exported, each through the parity gate."""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from dulwich.errors import NotGitRepository
from dulwich.repo import Repo

from stages.core.io.component_names import names_of
from stages.core.io.lineage import SCORER_PART, content_hash
from stages.core.io.result import MethodResult, read_result
from stages.core.io.tables import IMAGE_TABLE, image_files, read_images
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.run.params import export_problem, load_value
from stages.core.runtime.bundle import load
from stages.core.runtime.wording import Names
from stages.export.bundling import write_bundle
from stages.export.licences import licences_of
from stages.export.measuring import Measured
from stages.export.parity import Parity, check_parity, chosen, expected_of
from stages.export.parts import Parts, load_parts
from stages.export.recipes import RECIPES, Roots, files_of, recipe_of, refusal_of
from stages.export.variants import Kind, Pictures, baseline_of, export_variant, refusal

LOG = logging.getLogger(__name__)
TEST_PICTURES = 3
REFUSED = "refused.json"  # variants that are not written, and what was measured


@dataclass(frozen=True)
class Product:
    """What is the same for all methods of a product.

    Attributes:
        roots: folders of the trained parts, and its key.
        images: the image table.
        folder: of the image files.
        about: what the manifest says of the product.
        metrics: of its evaluation, by method.
        names: of its components.
    """

    roots: Roots
    images: pd.DataFrame
    folder: Path
    about: Mapping[str, Any]
    metrics: Mapping[str, Any]
    names: Names


def wanted_variants(category: str) -> list[Kind]:
    """Return the variants that the product's entry below `export.categories` asks for.

    Raises:
        UserError: it has other settings, which nothing would read.
    """
    value = load_value(f"export.categories.{category}")
    if problem := export_problem(category, value):
        raise UserError(problem)
    return list((value or {}).get("variants", []))


def read_product(roots: Roots, inputs: Path, metrics: Path, *, source: str) -> Product:
    """Read what a product's bundles have in common.

    Args:
        roots: where its trained parts lie.
        inputs: of its split.
        metrics: the file of its evaluation.
        source: of its pictures.

    Raises:
        UserError: a file is missing or damaged.
    """
    images, folder = read_images(inputs), image_files(inputs)
    learned = images[images["split"].isin(["train", "validation"])]
    try:
        measured = dict(json.loads(metrics.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UserError(f"{metrics}: no readable metrics ({error}): run `dvc repro`") from None
    about = {
        "product": roots.category,
        "commit": current_commit(Path()),
        "data": {
            "source": source,
            "split_sha256": content_hash(inputs / IMAGE_TABLE),
            "pictures_sha256": hash_of_pictures(learned, folder),
            **{f"{split}_pictures": int((images["split"] == split).sum()) for split in ("train", "validation")},
        },
    }
    names = names_of(load_value("components", optional=True), roots.category)
    return Product(roots, images, folder, about, measured, names)


def current_commit(folder: Path) -> str | None:
    """Return the commit that is checked out; None outside of a git repository, and before its first commit."""
    try:
        with Repo.discover(str(folder)) as repository:
            return repository.head().decode()
    except (NotGitRepository, KeyError):
        return None


def hash_of_pictures(images: pd.DataFrame, folder: Path) -> str:
    """Return one hash of all image files, in the order of the table."""
    digest = hashlib.sha256()
    for name in progress(images["file"], total=len(images), label="hash pictures"):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def exportable(methods: list[str], *, category: str) -> list[str]:
    """Return the methods that can be exported; the others are named in the log.

    Raises:
        UserError: there is none.
    """
    able = [method for method in methods if recipe_of(method) is not None]
    others = {method: refusal_of(method) for method in methods if method not in able}
    if not able:
        why = "".join(f"; {method}: {reason}" for method, reason in others.items())
        raise UserError(
            f"{category}: no method is on that can be exported{why}: switch {', '.join(RECIPES)}, uninformed_students "
            "or a setting of SIR on in `methods`"
        )
    for method, reason in others.items():
        LOG.warning("%s is not exported: %s", method, reason)
    return able


def export_methods(
    folder: Path, methods: list[str], product: Product, variants: Sequence[Kind] = (), *, confidence: float = 0.9
) -> dict[str, Parity | str]:
    """Export each method into a folder of its name below an empty one, and its variants as <name>-<variant>.

    A variant whose change of the image AUROC is not shown to hold (`Measured.holds`) is named in the log and not
    written; what was measured is kept in REFUSED.

    Args:
        folder: of the bundles.
        methods: of `exportable`.
        product: of the methods.
        variants: that are wanted.
        confidence: of the unsure band of variants.

    Returns:
        How well each bundle agrees.

    Raises:
        UserError: see `export_method`.
    """
    found: dict[str, Parity | str] = {}
    refused: dict[str, Any] = {}
    for method in methods:
        (folder / method).mkdir()
        found[method] = export_method(folder / method, method, product)
        for name, measured in export_variants(folder, method, product, variants, confidence=confidence).items():
            found[name] = f"image AUROC {measured}"
            if not measured.holds:
                refused[name] = measured.as_json()
                found[name] = f"refused, {measured}"
    if refused:
        (folder / REFUSED).write_text(json.dumps(refused, indent=2) + "\n", encoding="utf-8")
    return found


def export_variants(
    folder: Path, method: str, product: Product, variants: Sequence[Kind], *, confidence: float
) -> dict[str, Measured]:
    """Write the variants of a method's bundle next to it, those that are not refused, and return what was measured."""
    if not variants:
        return {}
    baseline = baseline_of(folder / method, Pictures(product.images, product.folder))
    found = {}
    for kind in variants:
        name = f"{method}-{kind}"
        found[name] = export_variant(baseline, folder / name, kind, confidence=confidence)
        if not found[name].holds:
            LOG.error("%s", refusal(kind, method, found[name]))
            shutil.rmtree(folder / name)
    return found


def export_method(folder: Path, method: str, product: Product) -> Parity:
    """Write the bundle of a method into an empty folder and hold it against the pipeline.

    Raises:
        UserError: a part is missing, damaged or of another run, the method was not evaluated, or the bundle judges
            otherwise than the pipeline.
    """
    files = files_of(method, product.roots)
    if method not in product.metrics:
        raise UserError(f"{product.roots.category} was not evaluated since {method} is on: run `dvc repro`")
    parts = load_parts(files, device=torch.device("cpu"))
    result: MethodResult = read_result(product.roots.scores / method)
    expected = expected_of(result, product.images, parts.calibration)
    about = {
        **product.about,
        "method": method,
        "params": params_of(parts),
        "metrics": product.metrics[method],
        "variant": None,
        "covers_logical_anomalies": parts.covers_components,
        "components": {str(number): name for number, name in sorted(product.names.items())},
        "licences": licences_of(parts.encoder.name, str(product.about["data"]["source"])),
    }
    write_bundle(folder, parts, about, expected=chosen(expected, TEST_PICTURES), images=product.folder)
    return check_parity(load(folder), expected, product.folder)


def params_of(parts: Parts) -> dict[str, Any]:
    """Return the settings that a trained method has, as its parts hold them."""
    banks = {
        name: {"image_size": list(one.image_size), "strides": list(one.strides), "neighbours": one.bank.neighbours,
               "patches": [len(view.patches) for view in one.bank.views]}
        for name, one in parts.banks.items()
    }  # fmt: skip
    students = {} if parts.students is None else {"student_teacher": parts.students.network.arguments}
    segmentation = {} if parts.histogram is None else {"segmentation": parts.histogram.segmentor.arguments}
    scorer = {} if parts.scorer is None else {SCORER_PART: dict(parts.scorer.settings)}
    return {"encoder": parts.encoder.name, **segmentation, **students, **banks, **scorer}
