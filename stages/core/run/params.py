"""params.yaml and the active profile's file: one frozen, fully specified model per stage, validated once."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from stages.core.run.errors import UserError
from stages.core.run.findings import findings, shown
from stages.core.run.network import Network

PARAMS_FILE = Path("params.yaml")  # the name DVC fixes, next to dvc.yaml where every stage runs
VARIANTS = ("fp16", "int8")  # of a bundle, in lower precision
PROFILES = Path("profiles")  # a file each, because DVC parses a whole file for every stage that reads from it

CATEGORY_NAME = re.compile(r"[\w-]+")
LARGEST_SEED = 2**32 - 1  # of NumPy's global generator
LONGEST_NAME = 100  # bytes; file systems take 255, of which a temporary file's name needs some more
NUMBER_TO_DVC = re.compile(r"\d+[eE]-?\d+|0o[0-7]+")  # in YAML 1.2, which DVC reads; text in YAML 1.1, read here
RESERVED = ("all", "sir", "training")  # in the pipeline's paths next to products

Share = Annotated[float, Field(ge=0, le=1)]
OrInfinite = Annotated[float, Field(ge=0, allow_inf_nan=True)]  # .inf: no limit
AboveZeroOrInfinite = Annotated[float, Field(gt=0, allow_inf_nan=True)]
LayerNumber = Annotated[int, Field(ge=0)]
Bits = Annotated[int, Field(ge=8, le=16)]  # of an image's values
GreyRange = tuple[Annotated[int, Field(ge=0, le=65535)], Annotated[int, Field(ge=0, le=65535)]]  # black and white
M = TypeVar("M", bound=BaseModel)


class Params(BaseModel):
    """Base of every stage's parameters: frozen, no unknown keys, no number that is infinite or none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EncoderWeights(Params):
    """A local file with the encoder's weights.

    Attributes:
        file: a .safetensors or .pth file whose tensors have timm's names, relative to the repository or absolute.
        sha256: of the file, so that other weights are another setting.
    """

    file: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class EncoderParams(Params):
    """Section `encoder`: the frozen backbone that several stages share.

    Attributes:
        name: "tf_efficientnet_lite0", whose weights come with a package, or any timm model that returns maps of
            features, e.g. "vit_small_patch16_dinov3.lvd1689m", with weights on the hub or in a file of yours.
        image_size: side in pixels of the square that images are resized to; only for patch memories oblong ones keep
            their aspect ratio and become as many pixels. The student_teacher stage needs 256.
        out_indices: timm's numbers of three layers, increasing, which stand for strides 4, 8 and 16: blocks of a vision
            transformer from 0 on, which all have the stride of its patches. null: the stages with these strides, which
            convolutional and pyramid networks have.
        weights: a local file with the weights; null: those of the package or of the hub.
    """

    name: Annotated[str, Field(pattern=r"^[^?]+$")]
    image_size: PositiveInt
    out_indices: tuple[LayerNumber, LayerNumber, LayerNumber] | None = None
    weights: EncoderWeights | None = None

    @property
    def network(self) -> str:
        """The network as artefacts name it."""
        file, sha256 = (None, None) if self.weights is None else (self.weights.file, self.weights.sha256)
        return str(Network(self.name, self.out_indices, file, sha256))


class UniqueKeys(yaml.SafeLoader):
    """YAML as `safe_load` reads it, but for a key that a section has twice: the first value would be lost silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a section.

        Raises:
            ConstructorError: it has a key twice.
        """
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]  # merged keys may be set again
        section = super().construct_mapping(node, deep=deep)
        known = set()
        for key in own:
            name = self.construct_object(key)
            if name in known:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} is there twice", key.start_mark)
            known.add(name)
        return section


def load_params(model: type[M], *, section: str) -> M:
    """Validate a section of the active profile.

    Args:
        section: dotted path in `profiles/<profile>.yaml`, e.g. "aecsad.cluster".

    Raises:
        UserError: the file, the section or a key is missing, unknown or of the wrong kind.
    """
    file = profile_file()
    return validate(model, load_value(section, file=file), where=section, file=file)


def load_seed() -> int:
    """Read `seed` of params.yaml.

    Raises:
        UserError: it is missing, or no integer that all generators of random numbers take.
    """
    seed = load_value("seed")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= LARGEST_SEED:
        raise UserError(f"{PARAMS_FILE}: seed is {shown(seed)}: expected integer from 0 to {LARGEST_SEED}")
    return seed


def profile_file() -> Path:
    """Find the file of the active profile, which params.yaml names.

    Raises:
        UserError: there is no such profile.
    """
    name = load_value("profile")
    file = PROFILES / f"{name}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in PROFILES.glob("*.yaml"))) or "none"
        raise UserError(f"{PARAMS_FILE}: profile: there is no {file} (known profiles: {known})")
    return file


def load_value(key: str, *, file: Path = PARAMS_FILE, optional: bool = False) -> Any:
    """Read the value at a dotted path of params.yaml, or of another file.

    Args:
        key: the path.
        file: to read.
        optional: whether a missing key is None.

    Raises:
        UserError: the file is missing or not YAML, or it has no such key.
    """
    try:
        value = yaml.load(file.read_text(encoding="utf-8"), Loader=UniqueKeys)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        raise UserError(f"{file.resolve()} is missing: run from the repository's root") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: not valid YAML: {error}") from None
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            if optional:
                return None
            raise UserError(f"{file}: the key {key!r} is missing (no {part!r} there)")
        value = value[part]
    return value


def check_category_names(names: Iterable[object]) -> None:
    """Refuse keys of `categories` that cannot be part of stage names, of paths and of the commands that DVC starts.

    Raises:
        UserError: a name is not text (DVC silently runs nothing for it), is reserved, or has other characters than
            letters, digits, `-` and `_`; all such names are listed.
    """
    problems = [problem for name in names if (problem := category_problem(name))]
    if problems:
        raise UserError(f"{PARAMS_FILE}: categories: {'; '.join(problems)}")


def category_problem(name: object) -> str | None:
    """Return why a category must not have this name, None when it may."""
    if not isinstance(name, str):
        return f"the name {name!r} is not read as text: put it in quotes"
    if not CATEGORY_NAME.fullmatch(name):
        return f"the name {name!r} does not consist of letters, digits, - and _: rename it"
    if len(name.encode()) > LONGEST_NAME:
        return f"the name {name!r} is too long for a file's name ({LONGEST_NAME} letters at most): shorten it"
    if NUMBER_TO_DVC.fullmatch(name):
        return f"the name {name!r} is a number to DVC: rename it"
    if name.startswith("-"):
        return f"the name {name!r} begins like an option of a command: rename it"
    if name in RESERVED:
        return f"the name {name!r} stands for something else in the pipeline's paths: rename it"
    return None


def export_problem(category: str, value: Any) -> str | None:
    """Return what is wrong with the entry of a product of which bundles are made; None where nothing is."""
    variants = value.get("variants", []) if isinstance(value, dict) else None
    if value is None or (isinstance(value, dict) and not set(value) - {"variants"} and known_variants(variants)):
        return None
    return (
        f"{PARAMS_FILE}: export.categories.{category} is {value!r}: it takes no settings but `variants`, a list of "
        f"{', '.join(VARIANTS)}, as all methods that are on and can judge new pictures are exported: write "
        f"`{category}: {{}}` or `{category}: {{variants: [{VARIANTS[0]}]}}`"
    )


def known_variants(value: Any) -> bool:
    """Return whether a value lists variants of bundles, each once."""
    return isinstance(value, list) and all(one in VARIANTS for one in value) and len(set(value)) == len(value)


def validate(model: type[M], value: Any, *, where: str = "", file: Path = PARAMS_FILE) -> M:
    """Build the model from a value of params.yaml or another file.

    Args:
        where: the value's dotted path; empty for all of the file.
        file: that it is from.

    Raises:
        UserError: a key is missing, unknown or of the wrong kind; every finding is named.
    """
    errors, built = [], None
    try:
        built = model.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    found = findings(model, value, errors, where=where)
    if built is None or found:
        raise UserError(f"{file}: " + "; ".join(found))
    return built
