"""Write docs/configuration.md: every key of params.yaml and of the profiles, from the docstrings of the params models.

    python -m commands.configuration            # fails where the page is not current, or a key has no text
    python -m commands.configuration --write

A key's text is its entry in the section `Attributes:` of its model's docstring.
"""

import argparse
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from commands.configuration.sections import PARAMS_SECTIONS, PROFILE_SECTIONS, SOURCES, TEXTS
from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError
from stages.core.run.kinds import fields, in_words
from stages.core.run.params import PARAMS_FILE, PROFILES
from stages.core.run.stage import command_entry

PAGE = Path("docs/configuration.md")
SHOWN = ("embedded", "paper")
ENTRY = re.compile(r"(\w+(?:, \w+)*): (.*)")
ABSENT = "–"
PRODUCT = "categories.*"
HEAD = """# Configuration

Every key of `params.yaml` and of the profiles, written by `python -m commands.configuration --write`.
`dvc params diff` shows what changed; `dvc exp run -S key=value` tries a value: [daily use](dvc.md).

`params.yaml` says what is inspected and which profile is active.
A profile, a file in `profiles/`, says what the stages are set to; its head says what it costs and what to expect.
An unknown key, a missing one and a value of the wrong kind are errors that name the key.
"""


@dataclass(frozen=True)
class Row:
    """One key of a table.

    Attributes:
        key: dotted path below the table's section.
        kind: type and range in words.
        values: one for each column of values.
        text: what it means; empty where its model says nothing.
    """

    key: str
    kind: str
    values: tuple[str, ...]
    text: str


@command_entry
def main(argv: Sequence[str]) -> str:
    """Compare or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the page instead of comparing it")
    write = parser.parse_args(argv).write
    text = page()
    if write:
        with replacing_file(PAGE) as temporary:
            temporary.write_text(text, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != text:
        raise UserError(f"{PAGE} is not current: run `python -m commands.configuration --write`")
    if missing := keys_without_text():
        raise UserError(f"keys without a text in `Attributes:` of their model: {', '.join(missing)}")
    return f"{len(text.splitlines())} lines {'written' if write else 'current'}"


def page() -> str:
    """Return the whole page."""
    parts = [HEAD, "## params.yaml\n"]
    for title, rows in params_tables():
        parts.append(f"### `{title}`\n\n{intro(title)}{table(rows, ('value',))}")
    parts.append(f"### `{PRODUCT}`\n\nA product.\n\n{table(source_rows(), ('sources',))}")
    parts.append("## Profiles\n")
    for title, rows in profile_tables():
        parts.append(f"### `{title}`\n\n{intro(title)}{table(rows, SHOWN)}")
    return "\n".join(parts)


def keys_without_text() -> list[str]:
    """Return the full keys that have no text, sorted."""
    tables = [*params_tables(), (PRODUCT, source_rows()), *profile_tables()]
    return sorted({f"{title}.{row.key}" for title, rows in tables for row in rows if not row.text})


def params_tables() -> Iterator[tuple[str, list[Row]]]:
    """Yield the name and the rows of each section of params.yaml."""
    params = read(PARAMS_FILE)
    for section, model in PARAMS_SECTIONS.items():
        if model is None:
            kinds = {key: (kind, text) for key, (kind, text) in TEXTS.items() if key.partition(".")[0] == section}
            found = [(key, key.partition(".")[2] or section, *pair) for key, pair in kinds.items()]
            rows = [Row(inner, kind, (value_of(params, key),), text) for key, inner, kind, text in found]
        else:
            rows = list(rows_of([model], [value_at(params, section)]))
        yield section, rows


def source_rows() -> list[Row]:
    """Return a row for each key of a product's entry; its value is the sources that have it."""
    holders: dict[tuple[str, str, str], list[str]] = {}
    everything: list[str] = []
    for model in SOURCES:
        sources = [f"`{source}`" for source in get_args(model.model_fields["source"].annotation)]
        everything += sources
        for row in rows_of([model], []):
            if row.key != "source":
                holders.setdefault((row.key, row.kind, row.text), []).extend(sources)
    kind = f"one of {', '.join(everything)}"
    first = Row("source", kind, ("all",), "Layout of its files: [data sets](datasets.md).")
    return [first] + [
        Row(key, kind, ("all" if sources == everything else ", ".join(sources),), text)
        for (key, kind, text), sources in holders.items()
    ]


def profile_tables() -> Iterator[tuple[str, list[Row]]]:
    """Yield the name and the rows of each section of the profiles."""
    profiles = [read(PROFILES / f"{name}.yaml") for name in SHOWN]
    for section, model in PROFILE_SECTIONS.items():
        yield section, list(rows_of([model], [value_at(profile, section) for profile in profiles]))


def rows_of(models: Sequence[type[BaseModel]], values: Sequence[Any], *, prefix: str = "") -> Iterator[Row]:
    """Yield a row for each key of a section, and below it those of the sections in it.

    Args:
        models: of the section; more than one where its values are of different ones.
        values: of the section, one for each column; without any, the rows have no values.
        prefix: path of the section below the table's.
    """
    texts, kinds = joined_texts(models), annotations(models)
    unknown = [key for value in values if isinstance(value, Mapping) for key in value if key not in kinds]
    for key in [*kinds, *dict.fromkeys(unknown)]:
        own = [value.get(key, ABSENT) if isinstance(value, Mapping) else ABSENT for value in values]
        annotation = kinds.get(key, Any)
        nested = nested_models(annotation, own)
        if not nested or not all(isinstance(value, Mapping) for value in own):
            cells = tuple("section" if nested and isinstance(value, Mapping) else shown(value) for value in own)
            yield Row(prefix + key, in_words(annotation), cells, texts.get(key, ""))
        if nested:
            yield from rows_of(nested, own, prefix=f"{prefix}{key}.")


def annotations(models: Sequence[type[BaseModel]]) -> dict[str, Any]:
    """Return the type of each key with its constraints; a union where models have different ones."""
    found: dict[str, Any] = {}
    for model in models:
        for key, own in fields(model).items():
            found[key] = found[key] | own if key in found else own
    return found


def joined_texts(models: Sequence[type[BaseModel]]) -> dict[str, str]:
    """Return the text of each key; different ones of different models one after the other."""
    texts: dict[str, list[str]] = {}
    for model in models:
        for key, text in attribute_texts(model).items():
            texts.setdefault(key, []).append(text)
    return {key: " ".join(dict.fromkeys(own)) for key, own in texts.items()}


def nested_models(annotation: Any, values: Sequence[Any]) -> list[type[BaseModel]]:
    """Return the models of those of a key's values that are sections, each once."""
    plain = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    parts = [plain, *get_args(plain)]
    models = [one for one in parts if inspect.isclass(one) and issubclass(one, BaseModel)]
    sections = [value for value in values if isinstance(value, Mapping)] if models else []
    fitting = [next((model for model in models if fits(model, value)), models[0]) for value in sections]
    return list(dict.fromkeys(fitting))


def fits(model: type[BaseModel], value: Any) -> bool:
    """Return whether a value is one of the model."""
    try:
        model.model_validate(value)
    except ValidationError:
        return False
    return True


def attribute_texts(model: type[BaseModel]) -> dict[str, str]:
    """Return texts by key from `Attributes:` of a model's docstring and of those that it inherits from."""
    texts: dict[str, str] = {}
    bases = [base for base in model.__mro__ if issubclass(base, BaseModel) and base is not BaseModel]
    for base in reversed(bases):
        docstring = inspect.cleandoc(base.__doc__ or "")
        section = docstring.partition("Attributes:\n")[2].partition("\n\n")[0]
        names: list[str] = []
        for line in section.splitlines():
            entry = ENTRY.fullmatch(line.strip()) if line.startswith("    ") and line[4:5] != " " else None
            if entry:
                names = entry[1].split(", ")
                texts |= dict.fromkeys(names, entry[2])
            else:
                texts |= {name: f"{texts[name]} {line.strip()}" for name in names}
    return texts


def intro(title: str) -> str:
    """Return the first sentence of a section's model, as a paragraph."""
    model = PROFILE_SECTIONS.get(title) or PARAMS_SECTIONS.get(title)
    summary = inspect.cleandoc(model.__doc__ or "").partition("\n\n")[0].replace("\n", " ") if model else ""
    return f"{summary}\n\n" if summary else ""


def table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Return the rows as Markdown."""
    headings = ["key", "kind", *columns, "meaning"]
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    for row in rows:
        meaning = escaped(row.text[:1].upper() + row.text[1:])
        lines.append(f"| {' | '.join([f'`{row.key}`', row.kind, *row.values, meaning])} |")
    return "\n".join(lines) + "\n"


def shown(value: Any) -> str:
    """Return a value as code, in one line of YAML."""
    if value == ABSENT:
        return ABSENT
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return f"`{escaped(text.removesuffix('...' + chr(10)).strip())}`"


def escaped(text: str) -> str:
    """Return text for a cell of a table."""
    return text.replace("|", "\\|")


def value_at(content: Mapping[str, Any], key: str) -> Any:
    """Return the value at a dotted path; ABSENT where there is none."""
    value: Any = content
    for part in key.split("."):
        value = value.get(part, ABSENT) if isinstance(value, Mapping) else ABSENT
    return value


def value_of(content: Mapping[str, Any], key: str) -> str:
    """Return a value for a cell, for a key that may have `*` in it and then stands for many."""
    return ABSENT if "*" in key else shown(value_at(content, key))


def read(path: Path) -> dict[str, Any]:
    """Read a YAML file."""
    return dict(TypeAdapter(dict[str, Any]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
