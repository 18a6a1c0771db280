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
INDENT = 2


def with_entry(text: str, name: str, entry: Mapping[str, Any]) -> str:
    """The text with one more product below all others, in one line.

    Raises:
        UserError: the text is written in a way in which nothing can be added; it says what to add by hand.
    """
    root = mapping_of(YAML(pure=True).compose(text))
    key, section = root.get(SECTION, (None, None))
    if isinstance(section, MappingNode) and section.value and not section.flow_style:
        column = section.value[0][0].start_mark.column
        changed = with_line(text, last_line(section.value[-1][1]), column, {name: entry})
    elif key is not None and isinstance(section, ScalarNode) and not section.value and not section.style:
        changed = with_line(text, key.start_mark.line, INDENT, {name: entry})  # nothing, or an anchor alone
    else:
        changed = rewritten(text, name, entry)
    expected = yaml.safe_load(text)
    expected[SECTION] = {**(expected.get(SECTION) or {}), name: dict(entry)}
    for method in methods_on_all(root):
        expected["methods"][method]["categories"] = expected[SECTION]
    if yaml.safe_load(changed) != expected:
        raise UserError(
            f"{PARAMS_FILE}: nothing can be added by a program: add to `{SECTION}`: {dumped({name: entry})}"
        )
    return changed


def mapping_of(node: Node | None) -> dict[str, tuple[Node, Node]]:
    """The nodes of keys and values, with their places in the text; none where the node is no mapping."""
    return {key.value: (key, value) for key, value in node.value} if isinstance(node, MappingNode) else {}


def methods_on_all(root: Mapping[str, tuple[Node, Node]]) -> list[str]:
    """Names of the methods whose `categories` are an alias of the section, `*all`, whatever it holds."""
    section, (_, methods) = root.get(SECTION), root.get("methods", (None, None))
    values = {name: mapping_of(method).get("categories") for name, (_, method) in mapping_of(methods).items()}
    return [name for name, value in values.items() if value and section and value[1] is section[1]]


def with_line(text: str, above: int, column: int, entry: Mapping[str, Mapping[str, Any]]) -> str:
    """The text with an entry in a line of its own, below the line `above`."""
    lines = text.splitlines(keepends=True)
    if not lines[above].endswith("\n"):
        lines[above] += "\n"
    lines.insert(above + 1, " " * column + dumped(entry))
    return "".join(lines)


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
    if not isinstance(content.get(SECTION), CommentedMap):
        content[SECTION] = CommentedMap()
    if not content[SECTION]:
        content[SECTION].fa.set_block_style()  # in place: an anchor stays
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
