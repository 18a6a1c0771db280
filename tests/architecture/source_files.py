"""The repository's Python files, the modules they import, and the stage each belongs to."""

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
METHOD_FOLDERS = ("aecsad", "sir")  # folders of several stages


@dataclass(frozen=True)
class Import:
    """One imported name: `from module import name`; name is None for `import module`; level counts leading dots."""

    line: int
    module: str
    name: str | None
    level: int


def python_files(folder: Path) -> list[Path]:
    """All modules below a folder, sorted."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(tree: ast.Module) -> list[Import]:
    """Every import statement, also those within functions."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [Import(node.lineno, alias.name, None, 0) for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            found += [Import(node.lineno, node.module or "", alias.name, node.level) for alias in node.names]
    return found


def stage_of(path: Path) -> tuple[str, ...]:
    """The stage of a path below the root: ("stages", "split") or ("stages", "aecsad", "cluster").

    Files beside the stages (stages/__init__.py) give the folder they lie in.
    """
    depth = 3 if len(path.parts) > 1 and path.parts[1] in METHOD_FOLDERS else 2
    return path.parts[:depth] if path.suffix != ".py" else path.parent.parts[:depth]


def file_of(root: Path, module: str) -> Path | None:
    """The file of a dotted module below `root`, relative to it; None where there is none."""
    stem = Path(*module.split("."))
    for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
        if (root / candidate).is_file():
            return candidate
    return None


def imported_files(root: Path, path: Path) -> set[Path]:
    """The repository's own files that a module imports directly, relative to `root`; third parties are left out.

    Raises:
        LookupError: an import from `stages` names nothing that exists, so that what it needs cannot be told.
    """
    files = set()
    for found in imports(parse(root / path)):
        if found.module.split(".")[0] != "stages":
            continue
        submodule = file_of(root, f"{found.module}.{found.name}") if found.name else None
        file = submodule or file_of(root, found.module)
        if file is None:
            raise LookupError(f"{path}:{found.line}: imports {found.module}, which is not in the repository")
        files.add(file)
    return files
