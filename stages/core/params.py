"""params.yaml: one frozen, fully specified model per room, validated once."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from stages.core.errors import UserError

PARAMS_FILE = Path("params.yaml")  # the name DVC fixes, beside dvc.yaml where every stage runs


M = TypeVar("M", bound=BaseModel)


class Params(BaseModel):
    """Base of every room's parameters: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EncoderParams(Params):
    """Section `encoder`: the frozen backbone that several rooms share."""

    name: str
    image_size: int


def load_params(model: type[M], *, section: str) -> M:
    """Validate a section of the active profile.

    Args:
        section: dotted path below `profiles.<profile>`, e.g. "aecsad.cluster".

    Raises:
        UserError: the file, the section or a key is missing, unknown or of the wrong kind.
    """
    profile = load_value("profile")
    return validate(model, load_value(f"profiles.{profile}.{section}"), where=f"profiles.{profile}.{section}")


def load_value(key: str) -> Any:
    """The value at a dotted path of params.yaml.

    Raises:
        UserError: the file is missing or not YAML, or it has no such key.
    """
    try:
        value = yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{PARAMS_FILE.resolve()} is missing: run from the repository's root") from None
    except yaml.YAMLError as error:
        raise UserError(f"{PARAMS_FILE}: not valid YAML: {error}") from None
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise UserError(f"{PARAMS_FILE}: the key {key!r} is missing (no {part!r} there)")
        value = value[part]
    return value


def validate(model: type[M], value: Any, *, where: str) -> M:
    """Build the model from a params.yaml value; every finding is named in one UserError."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        findings = [f"{'.'.join([where, *map(str, e['loc'])])}: {e['msg']}" for e in error.errors()]
        raise UserError(f"{PARAMS_FILE}: " + "; ".join(findings)) from None
