"""Read the pipeline as DVC sees it, and write dvc.lock. Only this module uses DVC's internal interface: pin DVC."""

import json
from collections.abc import Collection, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dvc.repo import Repo
from dvc.utils.serialize import dump_yaml

from flows.dvc.products import refuse_products
from flows.schedule.plan import Stage
from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError

COST_FOLDER = Path("metrics/cost")  # what each stage's last run cost: git tracks it, DVC does not know it
LOCK = "dvc.lock"


@dataclass(frozen=True)
class Pipeline:
    """All stages by name, and the names of those that are not up to date."""

    stages: Mapping[str, Stage]
    changed: frozenset[str]


def read_pipeline(clone: Path, *, data_elsewhere: bool = False) -> Pipeline:
    """Read dvc.yaml, and compare the clone with dvc.lock; takes seconds, and hashes what is new.

    Args:
        data_elsewhere: files that are missing here count as what dvc.lock says they are (`dvc repro --allow-missing`
            decides so as well, but its dry run stops at a stage to run whose inputs are missing).

    Raises:
        UserError: DVC cannot read the pipeline, or would hang at a product's files.
    """
    refuse_products(clone)
    with _opened(clone) as repo:
        differing = _changed_but_for_missing(repo) if data_elsewhere else repo.status()
        changed = frozenset(_name(node, clone) for node in repo.index.graph if node.addressing in differing)
        return Pipeline(_stages(repo, clone), changed)


def read_stages(clone: Path) -> Mapping[str, Stage]:
    """Read dvc.yaml alone.

    Raises:
        UserError: DVC cannot read the pipeline, or not its dvc.lock.
    """
    with _opened(clone) as repo:
        return _stages(repo, clone)


def finished_stages(clone: Path, names: Collection[str]) -> list[str]:
    """Return those of the stages whose outputs are what dvc.lock says; outputs in DVC's cache may be missing here.

    Raises:
        UserError: DVC cannot read the pipeline.
    """
    with _opened(clone) as repo, repo.lock:
        nodes = {_name(node, clone): node for node in repo.index.graph}
        return sorted(name for name in nodes.keys() & set(names) if all(_agrees(out) for out in nodes[name].outs))


def _agrees(out: Any) -> bool:
    return bool(out.hash_info) and (not out.workspace_status() if out.exists else out.use_cache)


def remove_unknown_outputs(clone: Path) -> list[str]:
    """Delete outputs of stages that are not what dvc.lock says: over them `dvc pull` stumbles.

    Raises:
        UserError: DVC cannot read the pipeline.
    """
    removed = []
    with _opened(clone) as repo, repo.lock:
        outputs = [out for node in repo.index.graph if getattr(node, "cmd", None) for out in node.outs]
        for out in outputs:
            if out.use_cache and out.exists and out.workspace_status():
                out.remove()
                removed.append(str(out))
    return sorted(removed)


@contextmanager
def _opened(clone: Path) -> Iterator[Repo]:
    try:
        with Repo(str(clone), _wait_for_lock=True) as repo:
            yield repo
    except UserError:
        raise
    except Exception as error:  # DVC raises many kinds; each says what is wrong
        raise UserError(f"DVC cannot read the pipeline in {clone} ({type(error).__name__}): {error}") from error


def _stages(repo: Repo, clone: Path) -> dict[str, Stage]:
    graph = repo.index.graph  # an edge leads from a stage to one that it needs
    names = {node: _name(node, clone) for node in graph}
    return {
        name: _stage(node, name, {names[needed] for needed in graph.successors(node)}, clone)
        for node, name in names.items()
    }


def _changed_but_for_missing(repo: Repo) -> set[str]:
    """Return the stages that would run if all data were pulled."""
    graph = repo.index.graph
    with repo.lock:
        return {n.addressing for n in graph if n.changed(allow_missing=True, upstream=list(graph.successors(n)))}


def parse_lock(text: str) -> dict[str, Any]:
    """Parse the content of a dvc.lock; {} for an empty one."""
    return dict(yaml.safe_load(text) or {})


def read_lock(clone: Path) -> dict[str, Any]:
    """Read the clone's dvc.lock; {} where nothing ran yet."""
    file = clone / LOCK
    return parse_lock(file.read_text(encoding="utf-8")) if file.exists() else {}


def write_lock(clone: Path, lock: Mapping[str, Any]) -> None:
    """Write dvc.lock in DVC's own form."""
    with replacing_file(clone / LOCK) as temporary:
        dump_yaml(str(temporary), dict(lock))


def merge_locks(
    base: Mapping[str, Any], shards: Mapping[str, Mapping[str, Any]], owned: Mapping[str, Collection[str]]
) -> dict[str, Any]:
    """Merge the dvc.lock of several shards: each stage from its owner, the others as they were.

    A stage that its owner did not finish stays as it was as well: the next run sees that it is not up to date.

    Raises:
        UserError: the locks have different schemas, or two shards own the same stage.
    """
    merged = {**base, "stages": dict(base.get("stages") or {})}
    taken: dict[str, str] = {}
    for shard, lock in sorted(shards.items()):
        if lock.get("schema") != base.get("schema", lock.get("schema")):
            raise UserError(f"dvc.lock of shard {shard} has another schema: use the same DVC on all workers")
        merged.setdefault("schema", lock.get("schema"))
        for name in owned[shard]:
            if name in taken:
                raise UserError(f"stage {name} belongs to the shards {taken[name]} and {shard}")
            taken[name] = shard
            if name in (lock.get("stages") or {}):
                merged["stages"][name] = lock["stages"][name]
    return merged


def join_locks(base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return our lock, with the stages that they changed since the base as they have them."""
    old, new = (lock.get("stages") or {} for lock in (base, theirs))
    return merge_locks(ours, {"branch": theirs}, {"branch": [name for name in new if new[name] != old.get(name)]})


def _name(node: Any, clone: Path) -> str:
    """Return the stage's name as `dvc repro` takes it in the clone's root; DVC's own depends on the current folder."""
    file = Path(node.path).relative_to(clone).as_posix()
    if not getattr(node, "name", None):
        return file  # a data source, data/x.dvc
    return str(node.name) if file == "dvc.yaml" else f"{file}:{node.name}"


def _stage(node: Any, name: str, needs: Set[str], clone: Path) -> Stage:
    meta = node.meta or {}
    outputs = {str(Path(out.fs_path).relative_to(clone)): out for out in node.outs}
    recorded = {path for path, out in outputs.items() if not out.use_cache}
    resource = meta.get("resource", "cpu")
    if resource not in ("cpu", "gpu"):
        raise UserError(f"stage {name}: meta.resource is {resource!r}, expected cpu or gpu (dvc.yaml)")
    return Stage(
        name=name,
        resource=resource,
        needs=frozenset(needs),
        seconds=_last_seconds(clone, name),
        recorded=tuple(sorted({*recorded, str(cost_file(name))} if getattr(node, "cmd", None) else recorded)),
        outputs=frozenset(outputs),
        params=frozenset(key for dep in node.deps for key in _params(dep, clone)),
        batch_size=meta.get("batch_size"),
        timeout_minutes=meta.get("timeout_minutes"),
    )


def _params(dep: Any, clone: Path) -> list[str]:
    """List the keys that a dependency on params tracks, with their file unless it is params.yaml; of others none."""
    keys = getattr(dep, "params", None) or ()
    file = Path(dep.fs_path).relative_to(clone).as_posix() if keys else ""
    return [key if file == "params.yaml" else f"{file}:{key}" for key in keys]


def cost_file(instance: str) -> Path:
    """Return where a stage instance writes what its last run cost, relative to the repository.

    "cluster@pin_tray" writes metrics/cost/pin_tray/cluster.json, "report" metrics/cost/report.json.
    """
    stage, _, key = instance.partition("@")
    return COST_FOLDER / key / f"{stage}.json"


def _last_seconds(clone: Path, instance: str) -> float | None:
    try:
        return float(json.loads((clone / cost_file(instance)).read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):  # it never ran, or somebody edited the file: an estimate only
        return None
