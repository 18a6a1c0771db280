"""params.yaml and the active profile's file: one frozen, fully specified model per room, validated once."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from stages.core.running.errors import UserError

PARAMS_FILE = Path("params.yaml")  # the name DVC fixes, beside dvc.yaml where every stage runs
PROFILES = Path("profiles")  # a file each, because DVC parses a whole file for every stage that reads from it


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
        section: dotted path in `profiles/<profile>.yaml`, e.g. "aecsad.cluster".

    Raises:
        UserError: the file, the section or a key is missing, unknown or of the wrong kind.
    """
    file = profile_file()
    return validate(model, load_value(section, file=file), where=section, file=file)


def profile_file() -> Path:
    """The file of the active profile, which params.yaml names.

    Raises:
        UserError: there is no such profile.
    """
    name = load_value("profile")
    file = PROFILES / f"{name}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in PROFILES.glob("*.yaml"))) or "none"
        raise UserError(f"{PARAMS_FILE}: profile: there is no {file} (known profiles: {known})")
    return file


def load_value(key: str, *, file: Path = PARAMS_FILE) -> Any:
    """The value at a dotted path of params.yaml, or of another file.

    Raises:
        UserError: the file is missing or not YAML, or it has no such key.
    """
    try:
        value = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file.resolve()} is missing: run from the repository's root") from None
    except yaml.YAMLError as error:
        raise UserError(f"{file}: not valid YAML: {error}") from None
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise UserError(f"{file}: the key {key!r} is missing (no {part!r} there)")
        value = value[part]
    return value


def validate(model: type[M], value: Any, *, where: str, file: Path = PARAMS_FILE) -> M:
    """Build the model from a value of params.yaml or another file; every finding is named in one UserError."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        findings = [f"{'.'.join([where, *map(str, e['loc'])])}: {e['msg']}" for e in error.errors()]
        raise UserError(f"{file}: " + "; ".join(findings)) from None
