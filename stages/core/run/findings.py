"""What is wrong with a section of a YAML or JSON file, in the words of that file: one finding for each fault.

pydantic reports a fault in a union once for each of its types, at places with the names of these types in them. Here
the type that the value was meant to be is chosen; where it can be none of them, all are named as what is expected.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from stages.core.run.kinds import KEYS, alternatives, expected, fields, inner_kinds, plain

LONGEST = 80  # letters of a value that is shown
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
MISSING, LENGTH, NO_FIT = "missing", "too_long", "no_fit"  # the last is ours: of none of a union's types
RANGES = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
ABSENT = object()


@dataclass(frozen=True)
class Step:
    """A part of a place: a key, an index in a list, or the name of one of a union's types."""

    name: str | int
    kind: Literal["key", "index", "type"] = "key"


Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Fault:
    """One of pydantic's errors.

    Attributes:
        steps: to its place; the last one is the key where that is missing or unknown.
        kind: pydantic's `type`.
        value: what stands there; of a missing key the section.
        text: in place of what is expected.
    """

    steps: Steps
    kind: str
    value: Any
    text: str = ""

    @property
    def misfits(self) -> bool:
        """Whether the value is of another kind than the type that refused it."""
        return self.kind.endswith(("_type", "_parsing")) or self.kind in (NO_FIT, "literal_error", "int_from_float")

    @property
    def of_key(self) -> bool:
        """Whether a key is missing or unknown."""
        return self.kind == MISSING or self.kind in UNKNOWN


def findings(model: type[BaseModel], value: Any, errors: Sequence[ErrorDetails], *, where: str) -> list[str]:
    """Return a line for each fault: the key as it stands in the file, the value found and what is expected.

    `true` and `false` are faults where a number is expected: pydantic would take 1 or 0.

    Args:
        model: what the value should be.
        errors: pydantic's; none of a value that it takes.
        where: the section's dotted path; empty for a whole file.
    """
    faults = of_unions([located(error, value) for error in errors]) + switches(model, value)
    sections = {fault.steps[:-1]: fault for fault in faults if fault.of_key}
    keys = [line for steps in sections for line in lines_of_keys(model, value, steps, faults, where)]
    values = {dotted(where, fault.steps): line_of(model, fault) for fault in reversed(faults) if not fault.of_key}
    return [*keys, *(f"{place}{line}" for place, line in reversed(values.items()))]


def switches(model: type[BaseModel], value: Any) -> list[Fault]:
    """Return a fault for each `true` or `false` that no type of its place takes as such."""
    found = []
    for steps, leaf in leaves(value):
        kinds = kinds_at(model, steps) if isinstance(leaf, bool) else []
        if kinds and not any(takes_switch(plain(kind), leaf) for kind in kinds):
            found.append(Fault(steps, "bool_type", leaf))
    return found


def takes_switch(kind: Any, switch: bool) -> bool:
    """Return whether a type has `true` or `false` as a value of its own."""
    return kind in (bool, Any) or (get_origin(kind) is Literal and any(one is switch for one in get_args(kind)))


def leaves(value: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Yield place and value of all that is neither a section nor a list."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, (*steps, Step(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*steps, Step(index, "index")))
    else:
        yield steps, value


def located(error: ErrorDetails, value: Any) -> Fault:
    """Tell keys from names of types in the place of an error, and bring kinds of errors to fewer ones."""
    place, kind, found, context = error["loc"], error["type"], error["input"], error.get("ctx", {})
    if kind == "invalid_key" or place[-1:] == (KEYS,):
        place = (*place[: -1 if kind == "invalid_key" else -2], KEYS)
    absent = kind == MISSING or place[-1:] == (KEYS,)  # what the place ends in stands nowhere
    last = tuple(Step(one) for one in place[len(place) - absent :])
    ways = list(walks(place[: len(place) - absent], value))
    ways = [way for way in ways if kind not in UNKNOWN or way[0][-1].kind == "key"]
    steps, holder = next((way for way in ways if way[1] is found), ways[0])
    if kind == MISSING and isinstance(holder, list):
        return Fault(steps, LENGTH, holder)
    if kind == "union_tag_not_found":
        return Fault((*steps, Step(context["discriminator"].strip("'"))), MISSING, found)
    if kind == "union_tag_invalid":
        key = context["discriminator"].strip("'")
        return Fault((*steps, Step(key)), "literal_error", child(found, key))
    message = str(context["error"]) if kind in ("value_error", "assertion_error") else error["msg"]
    text = f"at least {context['min_length']} of them" if kind == "too_short" else message
    return Fault((*steps, *last), kind, found, text)


def walks(place: Sequence[str | int], value: Any) -> Iterator[tuple[Steps, Any]]:
    """Yield the ways to read a place, and the value at the end of each; keys before names of types."""
    if not place:
        yield (), value
        return
    head, rest = place[0], place[1:]
    if (inner := child(value, head)) is not ABSENT:
        for steps, end in walks(rest, inner):
            yield (Step(head, "index" if isinstance(value, list) else "key"), *steps), end
    for steps, end in walks(rest, value):
        yield (Step(head, "type"), *steps), end


def child(value: Any, key: str | int) -> Any:
    """Return what a section or a list has at a key, of which pydantic may have made text; ABSENT for nothing."""
    if isinstance(value, Mapping):
        return next((inner for own, inner in value.items() if str(own) == str(key)), ABSENT)
    return value[key] if isinstance(value, list) and isinstance(key, int) and key < len(value) else ABSENT


def of_unions(faults: Sequence[Fault]) -> list[Fault]:
    """Keep of each union the faults of the type that a value was meant to be; one NO_FIT where that may be none."""
    found = list(faults)
    for depth in range(max((len(fault.steps) for fault in faults), default=0)):
        unions: dict[Steps, dict[Step, list[Fault]]] = {}
        for fault in found:
            if len(fault.steps) > depth and fault.steps[depth].kind == "type":
                unions.setdefault(fault.steps[:depth], {}).setdefault(fault.steps[depth], []).append(fault)
        for steps, types in unions.items():
            refused = [fault for own in types.values() for fault in own]
            found = [fault for fault in found if fault not in refused] + of_best_type(steps, types)
    return found


def of_best_type(steps: Steps, types: Mapping[Step, Sequence[Fault]]) -> list[Fault]:
    """Choose between the types of a union that refused a value.

    Args:
        steps: to the union.
        types: the faults of each type.
    """
    depth = len(steps) + 1
    here = [fault for own in types.values() for fault in own if len(fault.steps) == depth]
    fitting = [list(own) for own in types.values() if any(len(one.steps) > depth or not one.misfits for one in own)]
    if not fitting:
        return [replace(here[0], steps=steps, kind=NO_FIT)]

    def rank(own: Sequence[Fault]) -> tuple[int, int]:
        return sum(one.kind in UNKNOWN and len(one.steps) == depth + 1 for one in own), len(own)

    best = min(fitting, key=rank)
    sections = [one.value for one in best if one.kind == MISSING and len(one.steps) == depth + 1]
    if len(fitting) > 1 and sections and rank(best)[0] == len(sections[0]):  # not one key of it is known to any type
        return [Fault(steps, NO_FIT, sections[0])]
    return best


def kinds_at(model: type[BaseModel], steps: Steps) -> list[Any]:
    """Return the types that a value may have at a place; none at a key that is not known."""
    kinds = list(alternatives(model))
    for step in steps:
        if step.kind == "type":
            kinds = [kind for kind in kinds if is_called(kind, str(step.name))] or kinds
        else:
            kinds = [one for kind in kinds for inner in inner_kinds(kind, step.name) for one in alternatives(inner)]
    return list({str(kind): kind for kind in kinds}.values())


def is_called(kind: Any, name: str) -> bool:
    """Return whether pydantic's name for a type is that of a model, or the value of the key that tells models apart."""
    literals = [one for inner in fields(kind).values() if get_origin(inner) is Literal for one in get_args(inner)]
    return name in literals or bool(re.search(rf"\b{re.escape(getattr(kind, '__name__', '-'))}\b", name))


def lines_of_keys(
    model: type[BaseModel], value: Any, steps: Steps, faults: Sequence[Fault], where: str
) -> Iterator[str]:
    """Yield a line for each unknown or missing key of a section; a missing one that may be meant is no second fault.

    Args:
        value: that the steps begin in.
        steps: to the section.
    """
    own = [fault for fault in faults if fault.of_key and fault.steps[:-1] == steps]
    missing = [str(fault.steps[-1].name) for fault in own if fault.kind == MISSING]
    unknown = [fault.steps for fault in own if fault.kind != MISSING]
    known = list(dict.fromkeys(key for kind in kinds_at(model, steps) for key in fields(kind)))
    given = section_at(value, steps)
    free = [key for key in known if key not in given]
    meant = {one: get_close_matches(str(one[-1].name), free, 1) for one in unknown}
    left = [key for key in missing if [key] not in meant.values()]
    for one in unknown:
        line = f"{dotted(where, one)}: unknown key"
        if meant[one]:
            yield f"{line}, did you mean {meant[one][0]}?"
        else:
            also = f", and {', '.join(left)} {'is' if len(left) == 1 else 'are'} missing" if left else ""
            left = []
            yield f"{line}{also} (known: {', '.join(known)})"
    for key in left:
        place = (*steps, Step(key))
        yield f"{dotted(where, place)} is missing: expected {expected(kinds_at(model, place))}"


def section_at(value: Any, steps: Steps) -> Any:
    """Return the section at a place."""
    for step in steps:
        value = value if step.kind == "type" else child(value, step.name)
    return value


def line_of(model: type[BaseModel], fault: Fault) -> str:
    """Say what is wrong with a value, after its place."""
    if fault.kind in ("value_error", "assertion_error"):
        return f": {fault.text}"
    kinds = kinds_at(model, fault.steps)
    words = "section" if fault.kind == "model_attributes_type" else expected(kinds)
    if fault.steps and fault.steps[-1].name == KEYS:
        return f" has the key {shown(fault.value)}: expected {words or 'text'}"
    if fault.misfits or fault.kind in (LENGTH, *RANGES):
        return f" is {shown(fault.value)}: expected {words}"
    if fault.kind == "too_short":
        return f" is {shown(fault.value)}: expected {words}, {fault.text}"
    return f" is {shown(fault.value)}: {fault.text[:1].lower()}{fault.text[1:]}"


def dotted(where: str, steps: Steps) -> str:
    """Return a place as `dvc exp run -S` takes it, for example `clip.blocks[0]`."""
    parts = [f"[{step.name}]" if step.kind == "index" else f".{step.name}" for step in steps
             if step.kind != "type" and step.name != KEYS]  # fmt: skip
    return "".join([where, *parts]).removeprefix(".") or "the content"


def shown(value: Any) -> str:
    """Return a value in one short line, as YAML has it."""
    words = {None: "null", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
