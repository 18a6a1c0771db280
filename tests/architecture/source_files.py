"""The repository's Python files, the modules they import, and the package (stage, model, layer) each belongs to."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAMILIES = ("aecsad", "clip", "sir")  # folders of several stages and a model/
CORE = ("stages", "core")
WITHOUT_TORCH = ("download", "split", "aecsad.histogram", "aecsad.score_fusion", "evaluation", "report")  # stages


@dataclass(frozen=True)
class Import:
    """One imported name: `from module import name`; name is None for `import module`; level counts leading dots."""

    line: int
    module: str
    name: str | None
    level: int

    @property
    def target(self) -> str:
        """The dotted name that is imported."""
        return self.module if self.name is None else f"{self.module}.{self.name}"


def python_files(folder: Path) -> list[Path]:
    """All modules below a folder, sorted."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def parse(path: Path) -> ast.Module:
    """The tree of a module, not to be changed: many tests read the same files."""
    return tree_of(path.read_bytes(), str(path))


@cache
def tree_of(text: bytes, name: str) -> ast.Module:
    return ast.parse(text, filename=name)


def imports(tree: ast.Module) -> list[Import]:
    """Every import statement, also those within functions."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [Import(node.lineno, alias.name, None, 0) for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            found += [Import(node.lineno, node.module or "", alias.name, node.level) for alias in node.names]
    return found


def package_of(path: Path) -> tuple[str, ...]:
    """The package of a path below the root, the unit that rules and dvc.yaml speak of.

    ("stages", "split") is a stage, ("stages", "aecsad", "cluster") one of a family, ("stages", "aecsad", "model") what
    a family shares, ("stages", "core", "io") a layer of core.
    """
    depth = 3 if len(path.parts) > 1 and path.parts[1] in (*FAMILIES, "core") else 2
    return path.parts[:depth] if path.suffix != ".py" else path.parent.parts[:depth]


def file_of(root: Path, module: str) -> Path | None:
    """The file of a dotted module below `root`, relative to it; None where there is none."""
    stem = Path(*module.split("."))
    for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
        if (root / candidate).is_file():
            return candidate
    return None


def imported_files(root: Path, path: Path) -> set[Path]:
    """The stages' own files that a module imports directly, relative to `root`; third parties are excluded.

    Raises:
        LookupError: an import from `stages` names nothing that exists, so that what it needs cannot be known.
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


def reached(root: Path, entry: Path) -> set[Path]:
    """The stages' files that run when `entry` does: itself and what it imports, directly or through others."""
    waiting, seen = [entry], {entry}
    while waiting:
        new = imported_files(root, waiting.pop()) - seen
        seen |= new
        waiting += new
    return {path for path in seen if (root / path).stat().st_size > 0}
