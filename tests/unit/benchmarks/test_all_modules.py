"""Nothing else runs every benchmark: one that imports what has moved would be noticed only when it is needed."""

import importlib
import pkgutil
import re

import benchmarks
from tests.architecture.source_files import ROOT


def test_every_module_can_be_imported() -> None:
    failed, names = {}, [module.name for module in pkgutil.walk_packages(benchmarks.__path__, "benchmarks.")]
    assert len(names) > 20
    for name in names:
        try:
            importlib.import_module(name)
        except (ImportError, AttributeError) as error:
            failed[name] = str(error)
    assert failed == {}


def test_commands_in_docstrings_name_modules_that_exist() -> None:
    files = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.glob("benchmarks/**/*.py")}
    named = {
        (name, module)
        for name, path in files.items()
        for module in re.findall(r"python -m (benchmarks[\w.]*\w)", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    known = {*files, *(name.removesuffix(".__main__") for name in files)}
    assert sorted((name, module) for name, module in named if module not in known) == []
