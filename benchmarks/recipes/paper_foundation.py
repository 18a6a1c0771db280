"""What a run with the publications' settings needs beyond its files where a profile names the proposer `foundation`."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.aecsad.pseudo_label.foundation.prompts import load_prompts
from stages.aecsad.pseudo_label.foundation.propose import check_packages
from stages.aecsad.pseudo_label.foundation.weights import parts_of, read_weight_files, require
from stages.aecsad.pseudo_label.params import PseudoLabelParams
from stages.core.run.errors import UserError
from stages.core.run.params import load_value, validate

LOG = logging.getLogger(__name__)
WEIGHTS = Path("data/foundation_weights.json")


def foundation_files(profile_file: Path) -> dict[Path, dict[str, Any]]:
    """The manifest of weights as a clone needs it: with this repository's sha256 and, absolute, its folder of weights.

    Returns:
        The content by path; empty where the profile names another proposer.
    """
    if proposer_params(profile_file).proposer != "foundation":
        return {}
    manifest = read_weight_files(WEIGHTS)
    return {WEIGHTS: manifest.model_dump() | {"folder": str(Path(manifest.folder).resolve())}}


def missing_foundation(profile_file: Path) -> list[str]:
    """Say which packages and weight files the proposer lacks; nothing where the profile names another one."""
    params = proposer_params(profile_file)
    if params.proposer != "foundation":
        return []
    parts = parts_of(sam=params.foundation.sam, tagged_images=params.foundation.tagged_images)
    missing = []
    for check in (check_packages, lambda: require(read_weight_files(WEIGHTS), parts)):
        try:
            check()
        except UserError as error:
            missing.append(str(error).replace("\n", "\n      "))
    return missing


def proposer_params(profile_file: Path) -> PseudoLabelParams:
    """Read the section of a profile that names the proposer."""
    section = "aecsad.pseudo_label"
    return validate(PseudoLabelParams, load_value(section, file=profile_file), where=section, file=profile_file)


def prompts_of(category: str) -> dict[str, Any]:
    """`prompts` of the category of this name in params.yaml, as a part of its entry; empty where it has none.

    Raises:
        UserError: they are not what the proposer takes.
    """
    categories = load_value("categories")
    known = isinstance(categories, Mapping) and category in categories
    prompts = load_prompts(category) if known else None
    if prompts is None:
        LOG.warning("%s: params.yaml has no prompts, so the words come from RAM++'s tags", category)
        return {}
    return {"prompts": prompts.model_dump(mode="json")}
