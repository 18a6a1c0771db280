"""Halve a batch size in params.yaml or a profile, and leave every other character of the file as it is."""

from collections.abc import Iterable
from pathlib import Path

import yaml

from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError

SMALLEST = 2  # statistics over a batch need two images


def params_file_of(param: str) -> str:
    """Return the file of a param as the flows name it: "profiles/paper.yaml:a.b", or "a.b" of params.yaml."""
    return param.rpartition(":")[0] or "params.yaml"


def halve(clone: Path, param: str) -> str | None:
    """Halve the whole number at a dotted key.

    Args:
        param: "profiles/paper.yaml:a.b", or "a.b" of params.yaml.

    Returns:
        What was changed, for logs and the commit message, or None if that would leave less than two.

    Raises:
        UserError: the key is missing or its value is no whole number.
    """
    params_file, key = clone / params_file_of(param), param.rpartition(":")[2]
    text = params_file.read_text(encoding="utf-8")
    try:
        number = _find_number(text, key)
    except ValueError as error:
        raise UserError(f"{params_file}: {error}, though dvc.yaml names it as a meta.batch_size") from None
    old = int(number.value)
    if old // 2 < SMALLEST:
        return None
    with replacing_file(params_file) as temporary:
        temporary.write_text(_with_number(text, number, old // 2), encoding="utf-8")
    return f"{params_file_of(param)}: {key} {old} -> {old // 2}"


def is_halved(before: str, after: str, keys: Iterable[str]) -> bool:
    """Return whether a params file changed by numbers at these keys that were halved, and by nothing else."""
    try:
        for key in keys:
            number, new = _find_number(before, key), int(_find_number(after, key).value)
            if new in {int(number.value) >> times for times in range(1, 32)} - {0}:
                before = _with_number(before, number, new)
    except (ValueError, yaml.YAMLError):
        return False
    return before == after


def _find_number(text: str, key: str) -> yaml.ScalarNode:
    """Find the whole number at a dotted key, with its place in the text.

    Raises:
        ValueError: there is none.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for part in key.split("."):
        entries = dict(node.value) if isinstance(node, yaml.MappingNode) else {}
        found = [value for name, value in entries.items() if name.value == part]
        if not found:
            raise ValueError(f"the key {key!r} has no {part!r}")
        node = found[0]
    if not isinstance(node, yaml.ScalarNode) or not node.value.isdecimal():
        raise ValueError(f"{key} must be a whole number, to be halved when GPU memory does not suffice")
    return node


def _with_number(text: str, number: yaml.ScalarNode, value: int) -> str:
    return text[: number.start_mark.index] + str(value) + text[number.end_mark.index :]
