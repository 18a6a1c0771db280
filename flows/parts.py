"""Share a pipeline out by products, and put the parts of dvc.lock together again. Knows neither DVC nor Prefect."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flows.plan import Stage, in_order, make_plan
from stages.core.run.errors import UserError

PRODUCTS = "categories"  # the section of params.yaml with a key for every product


@dataclass(frozen=True)
class Shares:
    """Stages to run: those of no product, which come first; those of one product; those that read several."""

    first: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]
    last: tuple[str, ...]


def share_out(stages: Mapping[str, Stage], changed: Iterable[str]) -> Shares:
    """Who runs what of the changed stages and all that depend on them.

    A stage belongs to the products whose params it or a stage before it reads. So the stages of one product are
    connected, and no worker waits for another one.
    """
    products = products_of(stages)
    planned = make_plan(stages, changed).stages
    parts = sorted({product for name in planned if len(products[name]) == 1 for product in products[name]})
    return Shares(
        tuple(name for name in planned if not products[name]),
        {part: tuple(name for name in planned if products[name] == {part}) for part in parts},
        tuple(name for name in planned if len(products[name]) > 1),
    )


def products_of(stages: Mapping[str, Stage]) -> dict[str, set[str]]:
    """The products that a stage reads, directly or through the stages before it."""
    keys = {
        name: {key.split(".")[1] for key in stage.params if key.startswith(f"{PRODUCTS}.")}
        for name, stage in stages.items()
    }
    every: set[str] = set().union(*keys.values())
    for name in in_order(stages):
        if PRODUCTS in stages[name].params:
            keys[name] = set(every)
        for needed in stages[name].needs & stages.keys():
            keys[name] |= keys[needed]
    return keys


def merge_locks(
    base: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]], owned: Mapping[str, Collection[str]]
) -> dict[str, Any]:
    """Put the parts of dvc.lock together: each stage from its owner, the others as they were.

    A stage that its owner did not finish stays as it was, too: the next run sees that it is not up to date.

    Raises:
        UserError: the locks have different schemas, or two parts own the same stage.
    """
    merged = {**base, "stages": dict(base.get("stages") or {})}
    taken: dict[str, str] = {}
    for part, lock in sorted(parts.items()):
        if lock.get("schema") != base.get("schema", lock.get("schema")):
            raise UserError(f"dvc.lock of part {part} has another schema: use the same DVC on all workers")
        merged.setdefault("schema", lock.get("schema"))
        for name in owned[part]:
            if name in taken:
                raise UserError(f"stage {name} belongs to the parts {taken[name]} and {part}")
            taken[name] = part
            if name in (lock.get("stages") or {}):
                merged["stages"][name] = lock["stages"][name]
    return merged
