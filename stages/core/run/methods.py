"""Which methods run on which products: the section `methods` of params.yaml, read in one place.

Evaluation, report, tables and tests take the methods and their order from here, so that a new method is one entry of
params.yaml. A family such as `sir` is one entry of several methods: those that `universal` and `specialised` list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic import RootModel

from stages.core.run.errors import UserError
from stages.core.run.params import PARAMS_FILE, Params, load_value, validate

SECTION = "methods"
SETTINGS = ("universal", "specialised")  # of a family: one model for all of its products, or one for each


class MethodParams(Params):
    """One entry of the section.

    Attributes:
        categories: the products it scores, each with what the method needs to know of it; none switches it off.
        stages: names of its own stages; not given: one of its own name.
        needs: methods whose results it is made from, on the same products; their stages are part of its cost.
        universal: methods of a family that train one model for all of its products.
        specialised: methods of a family that train a model for each product.
        auxiliary: products whose labelled images it learns from.
    """

    categories: dict[str, Any]
    stages: tuple[str, ...] | None = None
    universal: tuple[str, ...] | None = None
    specialised: tuple[str, ...] | None = None
    auxiliary: dict[str, Any] = {}
    needs: tuple[str, ...] = ()

    @property
    def is_family(self) -> bool:
        """Return whether the entry stands for the methods that it lists, and not for itself."""
        return self.universal is not None or self.specialised is not None


class Section(RootModel[dict[str, MethodParams]]):
    """The section `methods`: an entry for each method and each family, by name."""


@dataclass(frozen=True)
class Methods:
    """The section, and the names of the products.

    Attributes:
        entries: by name, in the order of the tables.
        categories: keys of `categories`, in the order of params.yaml.
    """

    entries: Mapping[str, MethodParams]
    categories: Sequence[str]

    def of(self, category: str) -> list[str]:
        """Return the names of the methods that score a product, in the order of the tables."""
        return [
            method
            for name, entry in self.entries.items()
            if category in entry.categories
            for method in members(name, entry)
        ]

    def pairs(self) -> list[tuple[str, str]]:
        """Return (category, method) of every evaluation, in the order of the tables."""
        return [(category, method) for category in self.categories for method in self.of(category)]

    def off(self) -> list[str]:
        """Return the methods, and families without a method, that score no product."""
        on = {method for _, method in self.pairs()}
        names = [one for name, entry in self.entries.items() for one in members(name, entry) or (name,)]
        return [name for name in names if name not in on]

    def stages_of(self, method: str) -> tuple[str, ...]:
        """Return the names of the stages whose seconds make up a method's cost.

        These are its own and those of the methods it needs. Of a family they are its stages without those of the other
        setting: `sir_specialised...` costs a universal method nothing.

        Raises:
            KeyError: there is no such method.
        """
        for name, entry in self.entries.items():
            if method in members(name, entry):
                others = tuple(f"{name}_{one}" for one in SETTINGS if method not in (getattr(entry, one) or ()))
                stages = (name,) if entry.stages is None else entry.stages
                own = tuple(stage for stage in stages if not (entry.is_family and stage.startswith(others)))
                needed = (stage for one in entry.needs for stage in self.stages_of(one))
                return tuple(dict.fromkeys((*needed, *own)))
        raise KeyError(method)


def members(name: str, entry: MethodParams) -> tuple[str, ...]:
    """Return the names of an entry's methods: those that a family lists, or its own."""
    return (*(entry.universal or ()), *(entry.specialised or ())) if entry.is_family else (name,)


def load_methods() -> Methods:
    """Read and check the section.

    Raises:
        UserError: the section is missing or malformed, a method has a product that is no key of `categories` or that
            a method it needs has not, or a name is used twice.
    """
    categories = list(load_value("categories") or {})
    entries = validate(Section, load_value(SECTION), where=SECTION).root
    refuse_members_of_families(entries)
    refuse_unknown_products(entries, categories)
    refuse_missing_needs(entries)
    names = [method for name, entry in entries.items() for method in members(name, entry)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{PARAMS_FILE}: {SECTION}: {', '.join(twice)} is listed twice: remove one")
    return Methods(entries, categories)


def methods_of(category: str) -> list[str]:
    """Return the names of the methods that params.yaml switches on for a product, in the order of the tables.

    Raises:
        UserError: as for `load_methods`.
    """
    return load_methods().of(category)


def refuse_members_of_families(entries: Mapping[str, MethodParams]) -> None:
    """Refuse an entry named like a method of a family, which that family's entry lists.

    Raises:
        UserError: there are some; all are named.
    """
    families = [name for name, entry in entries.items() if entry.is_family]
    found = [f"{name} belongs to {SECTION}.{family}" for name in entries for family in families
             if name.startswith(f"{family}_")]  # fmt: skip
    if found:
        raise UserError(f"{PARAMS_FILE}: {SECTION}: {'; '.join(found)}: list it there in {' or '.join(SETTINGS)}")


def refuse_missing_needs(entries: Mapping[str, MethodParams]) -> None:
    """Refuse products of a method on which a method that it needs is off: DVC would take what that one left as it is.

    Raises:
        UserError: there are some; all are named. Or methods need each other.
    """
    problems = [
        f"{SECTION}.{name} needs {needed} on {product}"
        for name, entry in entries.items()
        for needed in entry.needs
        for product in entry.categories
        if needed not in entries or product not in entries[needed].categories
    ]
    if problems:
        raise UserError(f"{PARAMS_FILE}: {'; '.join(problems)}: switch it on there, or the other one off")
    try:
        TopologicalSorter({name: entry.needs for name, entry in entries.items()}).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise UserError(f"{PARAMS_FILE}: {SECTION}: `needs` goes in a circle, {circle}: remove one of them") from None


def refuse_unknown_products(entries: Mapping[str, MethodParams], categories: Sequence[str]) -> None:
    """Refuse products of a method that `categories` lacks: DVC has no images of them.

    Raises:
        UserError: there are some; all are named.
    """
    problems = []
    for name, entry in entries.items():
        sources = [value["trained_on"] for value in entry.categories.values() if "trained_on" in (value or {})]
        listed = {"categories": entry.categories, "auxiliary": entry.auxiliary, "categories.*.trained_on": sources}
        for key, products in listed.items():
            unknown = [product for product in products if product not in categories]
            problems += [f"{SECTION}.{name}.{key}: {product!r} is no key of `categories`" for product in unknown]
    if problems:
        raise UserError(f"{PARAMS_FILE}: {'; '.join(problems)}: add the product there, or remove it here")
