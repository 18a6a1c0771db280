"""One more product in the text of params.yaml: every other character of it stays as it is."""

import io
from collections.abc import Mapping
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from stages.core.run.errors import UserError
from stages.core.run.params import PARAMS_FILE

SECTION = "categories"
WIDTH = 100_000  # no line is wrapped


def with_entry(text: str, name: str, entry: Mapping[str, Any]) -> str:
    """The text with one more product below all others, in one line.

    Raises:
        UserError: the text is written in a way in which nothing can be added; it says what to add by hand.
    """
    section = section_node(text)
    if isinstance(section, MappingNode) and section.value and not section.flow_style:
        lines = text.splitlines(keepends=True)
        last = last_line(section.value[-1][1])
        if not lines[last].endswith("\n"):
            lines[last] += "\n"
        lines.insert(last + 1, " " * section.value[0][0].start_mark.column + dumped({name: entry}))
        changed = "".join(lines)
    else:
        changed = rewritten(text, name, entry)
    expected = yaml.safe_load(text)
    products = expected[SECTION]
    methods = [method for method in (expected.get("methods") or {}).values() if isinstance(method, dict)]
    everywhere = [method for method in methods if products is not None and method.get("categories") is products]
    expected[SECTION] = {**(products or {}), name: dict(entry)}
    for method in everywhere:  # `*all` in the text
        method["categories"] = expected[SECTION]
    if yaml.safe_load(changed) != expected:
        raise UserError(
            f"{PARAMS_FILE}: nothing can be added by a program: add to `{SECTION}`: {dumped({name: entry})}"
        )
    return changed


def section_node(text: str) -> Node | None:
    """The node of the section's value, with its place in the text."""
    root = YAML(pure=True).compose(text)
    return next((value for key, value in root.value if key.value == SECTION), None)


def last_line(node: Node) -> int:
    """Number of the last line that a value stands on; comments below it are not part of it."""
    if isinstance(node, CollectionNode) and node.value and not node.flow_style:
        child = node.value[-1]
        return last_line(child[1] if isinstance(child, tuple) else child)
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        return int(node.end_mark.line) - 1
    return int(node.end_mark.line)


def dumped(values: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each entry, its values in braces."""
    block = CommentedMap()
    for name, entry in values.items():
        block[name] = CommentedMap(entry)
        block[name].fa.set_flow_style()
    file = io.StringIO()
    writer().dump(block, file)
    return file.getvalue()


def rewritten(text: str, name: str, entry: Mapping[str, Any]) -> str:
    """The text written again by ruamel.yaml, which keeps comments: where the section is empty or in braces."""
    content = writer().load(text)
    if not content[SECTION]:
        content[SECTION] = CommentedMap()
    value = CommentedMap(entry)
    value.fa.set_flow_style()
    content[SECTION][name] = value
    file = io.StringIO()
    writer().dump(content, file)
    return file.getvalue()


def writer() -> YAML:
    """Reads and writes YAML with its comments and quotes."""
    settings = YAML()
    settings.width = WIDTH
    settings.preserve_quotes = True
    settings.indent(mapping=2, sequence=4, offset=2)
    return settings
