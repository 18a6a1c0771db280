"""Which code each stage of dvc.yaml depends on: its own folder and the core files it reaches.

A folder of core of which a stage reaches every file stands for them all, so the list is as exact and DVC, whose work
grows with the entries, has fewer to write and check.

`python -m tests.architecture.code_dependencies` prints the lists; with `--write` it corrects them in dvc.yaml and
leaves data dependencies, order and comments as they are.
"""

import re
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.architecture.source_files import ROOT, imported_files, python_files, stage_of

CORE = Path("stages", "core")
COMMAND = re.compile(r"python -m (stages(?:\.\w+)+)(?=\s|$)")


def stage_bodies(dvc_yaml: Any) -> dict[str, dict[str, Any]]:
    """Stage name -> its cmd, deps, ...; of a `foreach` stage what stands under `do`."""
    return {name: body.get("do", body) for name, body in dvc_yaml["stages"].items()}


def needed_code(root: Path, command: str) -> list[str]:
    """The code dependencies of a stage, sorted: its stage's folder, then core's files and folders.

    Raises:
        LookupError: the command runs no room of ours, or an import leads nowhere.
    """
    match = COMMAND.match(command)
    stage = Path(*stage_of(Path(*match[1].split(".")))) if match else Path()
    if match and not (root / stage).is_dir():
        stage = stage.parent
    if match is None or len(stage.parts) < 2:
        raise LookupError(f"{command!r} does not run a stage: expected `python -m stages.<stage>`")
    return [stage.as_posix(), *sorted(path.as_posix() for path in folded(root, reached_core(root, stage)))]


def reached_core(root: Path, stage: Path) -> set[Path]:
    """Core files that a stage's modules import, directly or through other core files; empty ones are left out."""
    waiting = [path.relative_to(root) for path in python_files(root / stage)]
    seen = set(waiting)
    while waiting:
        new = imported_files(root, waiting.pop()) - seen
        seen |= new
        waiting += new
    return {path for path in seen if path.parts[:2] == CORE.parts and has_content(root / path)}


def folded(root: Path, files: set[Path]) -> set[Path]:
    """The files, those of a folder below core replaced by the folder where none with content is missing."""
    whole = set()
    for folder in {path.parent for path in files} - {CORE}:
        content = {path.relative_to(root) for path in python_files(root / folder) if has_content(path)}
        if len(content) > 1 and content <= files:
            whole.add(folder)
    return whole | {path for path in files if path.parent not in whole}


def has_content(path: Path) -> bool:
    return path.stat().st_size > 0


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
        if "<<" in body:
            continue  # shares another stage's lists
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
