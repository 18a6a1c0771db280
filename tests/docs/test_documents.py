"""The documents keep their sizes, their links resolve, their table is the generated one, and their commands exist."""

import importlib.util
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
README, ANSWERS, TABLE = ROOT / "README.md", ROOT / "benchmarks" / "README.md", ROOT / "metrics" / "table.md"
CHANGELOG = ROOT / "CHANGELOG.md"
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", CHANGELOG, *sorted((ROOT / "docs").rglob("*.md"))]
LINE_LIMIT, LIMITS = 120, {README: 180, ANSWERS: 200}
MARKERS = re.compile(r"<!-- table: metrics/table\.md -->\n(.*)<!-- /table -->\n", re.DOTALL)

FENCE = re.compile(r"^\s*(```|~~~)")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
INLINE_CODE = re.compile(r"`([^`\n]+)`")
ADDRESS = re.compile(r"\]\([^)]*\)|<?https?://\S+")
WEB = ("http://", "https://", "mailto:")

COMMENT = re.compile(r"(?:^|\s)#.*")
VERB = re.compile(r"(?:^|[\s/])oddpart +([a-z][\w-]*)")
MAKE = re.compile(r"(?:^|[\s;&|])make +([^;&|#`]+)")
MODULE = re.compile(r"(?:^|[\s/])python3? +-m +([\w.]+)")
TARGET = re.compile(r"^([\w-]+(?: +[\w-]+)*) *:(?!=)", re.MULTILINE)


def test_sizes() -> None:
    """README is read in five minutes, the answers in ten."""
    assert [name for path, limit in LIMITS.items() for name in too_long(path, limit)] == []


def test_lines() -> None:
    assert [line for path in DOCUMENTS for line in long_lines(path)] == []


def test_links() -> None:
    assert [link for path in [*DOCUMENTS, ANSWERS] for link in broken_links(path)] == []


def test_the_table_is_the_generated_one() -> None:
    """Or the committed one: a run on another machine writes other seconds, and is no reason to edit README."""
    page = README.read_text(encoding="utf-8")
    if found := other_tables(page, TABLE.read_text(encoding="utf-8")):
        committed = subprocess.run(
            ["git", "show", f"HEAD:{TABLE.relative_to(ROOT)}"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        found = other_tables(page, committed.stdout) if committed.returncode == 0 else found
    assert found == []


def test_verbs() -> None:
    # Imported here, so that the other rules hold where the command line cannot be imported.
    from typer.main import get_command

    from commands.app import app

    known = set(getattr(get_command(app), "commands", {}))
    assert known, "commands.app:app has no verbs"
    found = [(path, verb) for path, line in commands() for verb in VERB.findall(line)]
    assert found, "no document names a verb of oddpart: is the pattern right?"
    assert [f"{name(path)}: oddpart {verb}" for path, verb in found if verb not in known] == []


def test_make_targets() -> None:
    known = targets((ROOT / "Makefile").read_text(encoding="utf-8"))
    found = [(path, target) for path, line in commands() for target in made(line)]
    assert found, "no document names a target of make: is the pattern right?"
    assert [f"{name(path)}: make {target}" for path, target in found if target not in known] == []


def test_modules() -> None:
    found = [(path, module) for path, line in commands() for module in MODULE.findall(line)]
    assert found, "no document names a module: is the pattern right?"
    assert [f"{name(path)}: python -m {module}" for path, module in found if not runs(module)] == []


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def too_long(path: Path, limit: int) -> list[str]:
    count = len(path.read_text(encoding="utf-8").splitlines())
    return [f"{path.name}: {count} lines, at most {limit}"] if count > limit else []


def long_lines(path: Path) -> list[str]:
    """Lines that are too long without the addresses of their links; rows of tables may be."""
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    return [
        f"{path.name}:{number}: {len(line)} characters"
        for number, line in lines
        if not line.lstrip().startswith("|") and len(ADDRESS.sub("", line)) > LINE_LIMIT
    ]


def prose(text: str) -> Iterator[str]:
    """The lines outside fenced code."""
    inside = False
    for line in text.splitlines():
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            yield line


def fenced(text: str) -> Iterator[str]:
    """The lines inside fenced code."""
    inside = False
    for line in text.splitlines():
        if FENCE.match(line):
            inside = not inside
        elif inside:
            yield line


def anchors(text: str) -> set[str]:
    """What a link's #anchor may name, by GitHub's rule: lower case, no punctuation, - for spaces, -1 if there again."""
    found: set[str] = set()
    for line in prose(text):
        if heading := re.match(r"#{1,6} +(.*?) *#*$", line):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            slug = base = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
            again = 0
            while slug in found:
                again += 1
                slug = f"{base}-{again}"
            found.add(slug)
    return found


def broken_links(path: Path) -> list[str]:
    """Relative links whose file or heading does not exist."""
    broken = []
    for line in prose(path.read_text(encoding="utf-8")):
        for link in LINK.findall(INLINE_CODE.sub("code", line)):
            if link.startswith(WEB):
                continue
            place, _, anchor = link.partition("#")
            target = path.parent / place if place else path
            if not target.exists():
                broken.append(f"{path.name}: {link}: no such file")
            elif anchor and (target.is_dir() or anchor not in anchors(target.read_text(encoding="utf-8"))):
                broken.append(f"{path.name}: {link}: no such heading")
    return broken


def other_tables(readme: str, table: str) -> list[str]:
    """Lines in which README's table differs from the generated one."""
    between = MARKERS.findall(readme)
    if len(between) != 1:
        return [f"{len(between)} tables between the markers, one is needed"]
    ours, generated = between[0].strip().splitlines(), table.strip().splitlines()
    differing = sorted(set(ours) ^ set(generated))
    return differing or ([] if ours == generated else ["the lines are in another order"])


def commands(documents: Sequence[Path] = (*DOCUMENTS, ANSWERS)) -> Iterator[tuple[Path, str]]:
    """Lines of fenced code and pieces of inline code, without comments.

    The changelog's inline code is excluded: it names what is gone.
    """
    for path in documents:
        text = path.read_text(encoding="utf-8")
        inline = [] if path == CHANGELOG else [code for line in prose(text) for code in INLINE_CODE.findall(line)]
        yield from ((path, COMMENT.sub("", line)) for line in [*fenced(text), *inline])


def made(line: str) -> list[str]:
    """The targets of each `make`, without its variables and options."""
    words = [word for rest in MAKE.findall(line) for word in rest.split()]
    return [word for word in words if "=" not in word and not word.startswith("-")]


def targets(makefile: str) -> set[str]:
    return {target for names in TARGET.findall(makefile) for target in names.split()}


def runs(module: str) -> bool:
    """Whether `python -m MODULE` finds something to run."""
    path = ROOT.joinpath(*module.split("."))
    if ROOT.joinpath(module.split(".")[0]).is_dir():
        return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
    return importlib.util.find_spec(module.split(".")[0]) is not None


def test_the_rules_find_violations(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `title`, twice\n\n# A title twice\n\n"
        f"{'x' * 121}\n| {'x' * 121} |\n[a](https://{'x' * 121})\n"
        "[a](page.md#a-title-twice) [b](#a-title-twice-1) [c](page.md#gone) [d](gone.md) `[e](gone.md)`\n"
        "```sh\nmake repro A=1 -k test; oddpart gone  # make nothing\n[f](gone.md)\n```\n"
    )
    assert too_long(page, 3) == ["page.md: 12 lines, at most 3"]
    assert long_lines(page) == ["page.md:5: 121 characters"]
    assert broken_links(page) == ["page.md: page.md#gone: no such heading", "page.md: gone.md: no such file"]
    lines = [line for _, line in commands([page])]
    assert [target for line in lines for target in made(line)] == ["repro", "test"]
    assert [verb for line in lines for verb in VERB.findall(line)] == ["gone"]


def test_the_table_is_compared_line_by_line() -> None:
    readme = "a\n<!-- table: metrics/table.md -->\n| a |\n| b |\n<!-- /table -->\n"
    assert other_tables(readme, "| a |\n| b |\n") == []
    assert other_tables(readme, "| a |\n| c |\n") == ["| b |", "| c |"]
    assert other_tables(readme, "| b |\n| a |\n") == ["the lines are in another order"]
    assert other_tables("a\n", "| a |\n") == ["0 tables between the markers, one is needed"]


def test_targets_and_modules() -> None:
    assert targets(".PHONY: a\nA := b\na: b\n\tx: y\nb c:\n") == {"a", "b", "c"}
    assert runs("benchmarks.recipes.paper") and runs("pytest")
    assert not runs("benchmarks.gone") and not runs("benchmarks")
