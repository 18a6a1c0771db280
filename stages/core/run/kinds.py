"""Kinds of values in words, from the annotations of params models: for documents and for messages."""

import inspect
import types
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, RootModel

SIMPLE = {int: "integer", float: "number", bool: "true or false", str: "text", Path: "path", type(None): "null"}
KEYS = "[key]"  # pydantic's name of a mapping's key in the place of an error


def in_words(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """Name a type with its range, for example "number from 0 to 1"."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return in_words(arguments[0], annotation.__metadata__)
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        literals = [value for one in arguments if get_origin(one) is Literal for value in get_args(one)]
        others = [one for one in arguments if get_origin(one) is not Literal]
        parts = [*others[:1], Literal[*literals], *others[1:]] if literals else others
        return ", or ".join(dict.fromkeys(in_words(one) for one in parts))
    if origin in (tuple, list, set, frozenset):
        inner = list(dict.fromkeys(in_words(one) for one in arguments if one is not Ellipsis))
        count = f"{len(arguments)}, each " if origin is tuple and Ellipsis not in arguments else ""
        return f"list of {count}" + " and ".join(f"({one})" if " " in one else one for one in inner)
    if origin is dict:
        return "section"
    return SIMPLE.get(annotation, "section") + limits(metadata)


def limits(metadata: Sequence[Any]) -> str:
    """Name the range that a field's constraints leave, for example " from 0 to below 1"."""
    words = []
    for kind, word in ((Ge, "from"), (Gt, "above"), (Le, "to"), (Lt, "to below")):
        words += [f"{word} {getattr(one, kind.__name__.lower()):g}" for one in metadata if isinstance(one, kind)]
    inner = [one for holder in metadata for one in getattr(holder, "metadata", ())]
    return " " + " ".join(words) if words else (limits(inner) if inner else "")


def plain(annotation: Any) -> Any:
    """Return a type without its constraints."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def alternatives(annotation: Any) -> Iterator[Any]:
    """Yield the types of a union with their constraints; the annotation itself where it is none."""
    kind = plain(annotation)
    if get_origin(kind) in (Union, types.UnionType):
        for one in get_args(kind):
            yield from alternatives(one)
    elif inspect.isclass(kind) and issubclass(kind, RootModel):
        yield from alternatives(fields(kind)["root"])
    else:
        yield annotation


def fields(annotation: Any) -> dict[str, Any]:
    """Return the type of each key of a section, with its constraints; none of what is no section."""
    kind = plain(annotation)
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return {
            key: Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            for key, field in kind.model_fields.items()
        }
    if inspect.isclass(kind) and is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        return {key: hints[key] for key in inspect.signature(kind).parameters}
    return {}


def inner_kinds(annotation: Any, key: str | int) -> list[Any]:
    """Return the type of what a section, a mapping or a list has at a key; none where it has no such key.

    Args:
        key: or the index in a list; KEYS stands for the keys of a mapping themselves.
    """
    kind = plain(annotation)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is dict:
        return [arguments[0 if key == KEYS else 1]]
    if origin in (tuple, list) and isinstance(key, int):
        own = arguments[:1] if origin is list or Ellipsis in arguments else arguments[key : key + 1]
        return list(own)
    known = fields(kind)
    return [known[str(key)]] if str(key) in known else []


def expected(kinds: Sequence[Any]) -> str:
    """Name the types that a value may have, sections with their keys."""
    sections = [f"section ({', '.join(fields(kind))})" for kind in kinds if fields(kind)]
    others = [kind for kind in kinds if not fields(kind) and kind is not type(None)]
    simple = [in_words(Union[tuple(others)])] if others else []  # noqa: UP007
    null = [in_words(type(None))] if type(None) in kinds else []
    return ", or ".join(dict.fromkeys([*simple, *sections, *null]))
