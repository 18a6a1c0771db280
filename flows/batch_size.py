"""Halve a batch size in params.yaml or a profile, and leave every other character of the file as it is."""

from pathlib import Path

import yaml

from stages.core.running.atomic import replacing_file
from stages.core.running.errors import UserError


def params_file_of(param: str) -> str:
    """The file of a param as the flows name it: "profiles/paper.yaml:a.b", or "a.b" of params.yaml."""
    return param.rpartition(":")[0] or "params.yaml"


def halve(clone: Path, param: str) -> str | None:
    """Halve the whole number at a dotted key.

    Args:
        param: "profiles/paper.yaml:a.b", or "a.b" of params.yaml.

    Returns:
        What was changed, for logs and the commit message, or None if it is 1 already.

    Raises:
        UserError: the key is missing or its value is no whole number.
    """
    params_file, key = clone / params_file_of(param), param.rpartition(":")[2]
    text = params_file.read_text(encoding="utf-8")
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for part in key.split("."):
        entries = dict(node.value) if isinstance(node, yaml.MappingNode) else {}
        found = [value for name, value in entries.items() if name.value == part]
        if not found:
            raise UserError(f"{params_file}: the key {key!r}, which dvc.yaml names as meta.batch_size, has no {part!r}")
        node = found[0]
    if not isinstance(node, yaml.ScalarNode) or not node.value.isdecimal():
        raise UserError(f"{params_file}: {key} must be a whole number, to be halved when GPU memory does not suffice")
    old = int(node.value)
    if old < 2:
        return None
    with replacing_file(params_file) as temporary:
        changed = text[: node.start_mark.index] + str(old // 2) + text[node.end_mark.index :]
        temporary.write_text(changed, encoding="utf-8")
    return f"{params_file_of(param)}: {key} {old} -> {old // 2}"
