"""Which code each stage of dvc.yaml depends on: its own folder, its method's `model/`, and `stages/core` as a whole.

Folders, since a list by file or by layer of core is longer than what it saves: 183 entries of five lines in dvc.lock,
which DVC parses and writes for every stage. An edit of core reruns what uses core, and DVC goes no further where the
outputs stay equal.

`python -m tests.architecture.code_dependencies` prints the lists; with `--write` it corrects them in dvc.yaml and
leaves data dependencies, order and comments as they are.
"""

import re
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.architecture.source_files import CORE, ROOT, package_of, reached

COMMAND = re.compile(r"python -m (stages(?:\.\w+)+)(?=\s|$)")


def stage_bodies(dvc_yaml: Any) -> dict[str, dict[str, Any]]:
    """Stage name -> its cmd, deps, ...; of a `foreach` stage what stands under `do`."""
    return {name: body.get("do", body) for name, body in dvc_yaml["stages"].items()}


def entry_of(root: Path, command: str) -> Path:
    """The file that a stage's command runs.

    Raises:
        LookupError: it does not run a stage of ours.
    """
    match = COMMAND.match(command)
    entry = Path(*match[1].split(".")) / "__main__.py" if match else Path()
    if match is None or not (root / entry).is_file():
        raise LookupError(f"{command!r} does not run a stage: expected `python -m stages.<stage>`")
    return entry


def needed_code(root: Path, command: str) -> list[str]:
    """The code dependencies of a stage: its folder first, then its method's model, then core.

    Raises:
        LookupError: the command runs no stage of ours, or an import leads nowhere.
    """
    entry = entry_of(root, command)
    own = package_of(entry)
    packages = {package_of(path) for path in reached(root, entry)} - {own}
    methods = sorted(package for package in packages if package[:2] != CORE)
    core = [CORE] if len(methods) < len(packages) else []
    return ["/".join(package) for package in (own, *methods, *core)]


def listed_code(body: dict[str, Any]) -> list[str]:
    """The entries of a stage's `deps` that are code."""
    paths = (next(iter(entry)) if isinstance(entry, dict) else entry for entry in body.get("deps", []))
    return [path for path in paths if is_code(path)]


def is_code(path: str) -> bool:
    return path == "stages" or path.startswith("stages/")


def corrected(text: str, root: Path) -> str:
    """dvc.yaml with exact code dependencies: needless lines are taken out, missing ones put after the last kept.

    Raises:
        ValueError: a stage's `deps` are missing or not a list with one entry a line.
    """
    lines = text.splitlines(keepends=True)
    stages = dict(mapping(dict(mapping(yaml.compose(text)))["stages"]))
    for name in reversed(stages):
        body = dict(mapping(stages[name]))
        body = dict(mapping(body["do"])) if "do" in body else body
        deps = body.get("deps")
        if not isinstance(deps, yaml.SequenceNode) or deps.flow_style:
            raise ValueError(f"dvc.yaml: stage {name}: `deps` must be a list with one entry a line")
        edit(lines, deps, needed_code(root, body["cmd"].value))
    return "".join(lines)


def mapping(node: Any) -> list[tuple[str, Any]]:
    return [(key.value, value) for key, value in node.value]


def edit(lines: list[str], deps: yaml.SequenceNode, needed: list[str]) -> None:
    """Correct the lines of one `deps` list in place."""
    entries = {item.start_mark.line: item.value for item in deps.value if isinstance(item.value, str)}
    code = {line: path for line, path in entries.items() if is_code(path)}
    kept = [line for line, path in code.items() if path in needed]
    missing = [path for path in needed if path not in code.values()]
    first = deps.start_mark.line
    indent = " " * deps.start_mark.column
    position = max(kept) + 1 if kept else first
    lines[position:position] = [f"{indent}- {path}\n" for path in missing]
    for line in sorted(set(code) - set(kept), reverse=True):
        del lines[line + (len(missing) if line >= position else 0)]


def main(arguments: list[str]) -> None:
    file = ROOT / "dvc.yaml"
    text = file.read_text(encoding="utf-8")
    if arguments == ["--write"]:
        file.write_text(corrected(text, ROOT), encoding="utf-8")
        return
    bodies = stage_bodies(yaml.safe_load(text))
    lists = {name: {"deps": needed_code(ROOT, body["cmd"])} for name, body in bodies.items()}
    sys.stdout.write(yaml.safe_dump(lists, sort_keys=False))


if __name__ == "__main__":
    main(sys.argv[1:])
