"""Which parts of params.yaml a stage's code reads, found in its source."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.source_files import parse

# What these functions of core decide by; `methods_of` looks at `categories` only to refuse unknown ones.
SECTIONS_OF = {"load_methods": ("categories", "methods"), "methods_of": ("methods",), "load_seed": ("seed",)}
ANY = "*"  # a value known at run time only: the profile, the category


@dataclass(frozen=True)
class Read:
    """One call of load_params, load_value or validate.

    Attributes:
        key: dotted path in params.yaml; ANY stands for what is known at run time only.
        model: name of the pydantic model, where the call names one.
    """

    path: Path
    key: str
    model: str | None


def reads(root: Path, files: Iterable[Path]) -> list[Read]:
    """Every read of params.yaml in these modules; core only passes on the keys it is given."""
    return [read for path in sorted(files) if path.parts[1] != "core" for read in module_reads(path, root / path)]


def module_reads(name: Path, path: Path) -> list[Read]:
    """The reads of one module; `validate` counts where it checks what `load_value` gives, unchanged."""
    tree = parse(path)
    nodes = list(ast.walk(tree))
    assigned = {ast.unparse(node.targets[0]): node.value for node in nodes if isinstance(node, ast.Assign)}
    found = []
    for node in nodes:
        function = called(node)
        if not isinstance(node, ast.Call) or function is None:
            continue
        if function == "load_params":
            (section,) = [keyword.value for keyword in node.keywords if keyword.arg == "section"]
            found.append(Read(name, f"profiles.{ANY}.{literal(section, assigned, name)}", ast.unparse(node.args[0])))
        found += [Read(name, key, None) for key in SECTIONS_OF.get(function, ())]
        if function == "load_value":
            found.append(Read(name, literal(node.args[0], assigned, name), None))
        if function == "validate" and isinstance(inner := node.args[1], ast.Call) and called(inner) == "load_value":
            found.append(Read(name, literal(inner.args[0], assigned, name), ast.unparse(node.args[0])))
    return found


def called(node: ast.AST) -> str | None:
    """The name of the function that is called; None for methods and for what is no call."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None


def literal(node: ast.expr, assigned: dict[str, ast.expr], name: Path) -> str:
    """A string as written, with ANY for each formatted value; a variable gives what the module assigns to it.

    Raises:
        LookupError: it is none of these, so that nobody can see from the source what is read.
    """
    node = assigned.get(ast.unparse(node), node)
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else ANY for part in node.values)
    raise LookupError(f"{name}:{node.lineno}: write the key of params.yaml as a string, not as {ast.unparse(node)}")


def covers(entry: str, key: str) -> bool:
    """Whether a `params:` entry of dvc.yaml tracks a key: it is the key or one of its parents."""
    return key == entry or key.startswith(entry + ".")
