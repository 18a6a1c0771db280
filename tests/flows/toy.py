"""A small repository with a pipeline that does nothing but can fail on demand: what flows are tried on.

For each category prepare -> train (gpu) -> score, and a report over all scores. A file in `control/`, which nobody
tracks, makes a stage misbehave: `train@a.print` is printed before it fails (`train@a.once`: the first time only),
`train@a.sleep` holds seconds to wait.
"""

import os
import shutil
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from dvc.cli import main as dvc_main

from tests.end_to_end.workspace import REPOSITORY

STAGE = """
import json, os, pathlib, sys, time
import yaml
name, *inputs = sys.argv[1:]
control = pathlib.Path("control") / name
category = name.partition("@")[2]
with open("params.yaml") as file:
    params = yaml.safe_load(file)
with open("profiles/toy.yaml") as file:
    profile = yaml.safe_load(file)
control.parent.mkdir(exist_ok=True)
control.with_name(name + ".started").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
if control.with_name(name + ".sleep").exists():
    time.sleep(float(control.with_name(name + ".sleep").read_text()))
if control.with_name(name + ".print").exists():
    sys.exit(control.with_name(name + ".print").read_text())
if control.with_name(name + ".once").exists():
    sys.exit(control.with_name(name + ".once").rename(control.with_name(name + ".done")).read_text())
if control.with_name(name + ".full").exists():
    with open("/dev/full", "w") as device:
        device.write("x")
if control.with_name(name + ".memory").exists() and profile["net"]["batch_size"] > 4:
    sys.exit("torch.OutOfMemoryError: CUDA out of memory.")
value = sum(int(pathlib.Path(file).read_text()) for file in inputs) or params["categories"][category]["value"]
for folder in ("artifacts", "metrics/method", f"metrics/cost/{category}"):
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
pathlib.Path(f"artifacts/{name}.txt").write_text(str(value))
cost = pathlib.Path("metrics/cost", category, name.partition("@")[0] + ".json")  # as every stage: no output of DVC
cost.write_text(json.dumps({"seconds": value / 100, "peak_mb": 1}))
if name.startswith("score") and not (pathlib.Path("control") / "no metrics").exists():
    pathlib.Path(f"metrics/method/{category}.json").write_text(json.dumps({"auroc": value / 100}))
    picture = "<svg xmlns='http://www.w3.org/2000/svg'/>" + " " * 300_000  # as large as an overview sheet
    pathlib.Path(f"metrics/overview/{category}").mkdir(parents=True, exist_ok=True)
    pathlib.Path(f"metrics/overview/{category}/method.svg").write_text(picture)
"""
# As `python -m commands compare OLD NEW --format F --output FILE`, with one metric a file.
COMPARE = """
import argparse, json, subprocess, sys
from pathlib import Path
parser = argparse.ArgumentParser()
for name in ("verb", "old", "new"):
    parser.add_argument(name)
for name in ("--format", "--output", "--tolerance"):
    parser.add_argument(name)
given = parser.parse_args()
def metrics(revision):
    names = subprocess.check_output(["git", "ls-tree", "-r", "--name-only", revision, "metrics/method"], text=True)
    files = [name for name in names.split() if name.endswith(".json")]
    if not files:
        sys.exit(f"ERROR {revision}: no evaluation below metrics/: run `dvc repro` and commit its metrics")
    read = lambda name: subprocess.check_output(["git", "show", f"{revision}:{name}"], text=True)
    return {Path(name).stem: json.loads(read(name))["auroc"] for name in files}
limit = max(0.01, float(given.tolerance or 0) / 100)
old, new = metrics(given.old), metrics(given.new)
rows = []
for category in sorted(old | new):
    before, after = old.get(category), new.get(category)
    difference = None if None in (before, after) else after - before
    verdict = "missing" if after is None else "added"
    if difference is not None:
        verdict = "drop" if difference <= -limit else "gain" if difference >= limit else "noise"
    rows.append({"category": category, "method": "method", "kind": "all", "metric": "image_auroc", "old": before,
                 "new": after, "difference": difference, "low": difference, "high": difference, "verdict": verdict})
report = {"old": given.old, "new": given.new, "rows": rows}
text = json.dumps(report) if given.format == "json" else "| category | " + given.format + " |\\n|---|---|\\n"
Path(given.output).write_text(text) if given.output else print(text)
"""
COPIED = ("flows", "stages/core", "prefect.yaml", "pyproject.toml")  # a worker runs the flows of its clone


@dataclass(frozen=True)
class Toy:
    """A clone of the toy repository."""

    root: Path

    def git(self, *arguments: str) -> str:
        return call(["git", *arguments], self.root)

    def dvc(self, *arguments: str) -> str:
        """DVC's command in this process, which has loaded it: one of its own takes a second for that."""
        said = StringIO()
        with chdir(self.root), mock.patch.dict(os.environ, environment()), redirect_stdout(said), redirect_stderr(said):
            code = dvc_main(list(arguments))
        assert code == 0, f"dvc {arguments}: {said.getvalue()}"
        return said.getvalue()

    def set_params(self, **changes: Any) -> None:
        """Set top-level keys of params.yaml and commit."""
        params = yaml.safe_load((self.root / "params.yaml").read_text())
        (self.root / "params.yaml").write_text(yaml.safe_dump({**params, **changes}, sort_keys=False))
        self.git("commit", "-qam", "params")

    def control(self, name: str, text: str = "") -> Path:
        """Make a stage misbehave; delete the file to make it behave."""
        path = self.root / "control" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def started(self) -> set[str]:
        """Stages that were really run since the last call."""
        return set(self.gpus_seen())

    def gpus_seen(self) -> dict[str, str]:
        """Stages that were really run since the last call, with the GPUs that they could see."""
        seen = {file.stem: file.read_text() for file in (self.root / "control").glob("*.started")}
        for name in seen:
            (self.root / f"control/{name}.started").unlink()
        return seen

    def value(self, name: str) -> int:
        return int((self.root / f"artifacts/{name}.txt").read_text())


def environment() -> dict[str, str]:
    """This interpreter first on the PATH; stages call `python`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1"}


def call(command: list[str], folder: Path) -> str:
    """Run a command and return what it printed."""
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def stages() -> dict[str, Any]:
    """dvc.yaml of the toy."""

    def body(name: str, inputs: list[str], **more: Any) -> dict[str, Any]:
        outs = [f"artifacts/{name}@${{key}}.txt"]
        command = " ".join([f"python stage.py {name}@${{key}}", *inputs])
        do = {"cmd": command, "deps": ["stage.py", *inputs], "params": ["categories.${key}"], "outs": outs, **more}
        return {"foreach": "${categories}", "do": do}

    meta = {"resource": "gpu", "batch_size": "profiles/toy.yaml:net.batch_size"}
    train = body("train", ["artifacts/prepare@${key}.txt"], meta=meta)
    train["do"]["params"].append({"profiles/toy.yaml": ["net"]})
    score = body("score", ["artifacts/train@${key}.txt"], metrics=[{"metrics/method/${key}.json": {"cache": False}}])
    score["do"]["outs"].append({"metrics/overview/${key}": {"cache": False}})
    inputs = ["artifacts/score@a.txt", "artifacts/score@b.txt"]
    report = {"cmd": f"python stage.py report {' '.join(inputs)}", "deps": ["stage.py", *inputs]}
    report["outs"] = ["artifacts/report.txt"]
    return {"prepare": body("prepare", []), "train": train, "score": score, "report": report}


def write_toy(root: Path) -> Toy:
    """Make the repository, and reproduce and commit it once; every value of a category runs through to its score."""
    root.mkdir(parents=True)
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, root / name)
    (root / "stages/__init__.py").touch()
    (root / "commands").mkdir()
    (root / "commands/__init__.py").touch()
    (root / "commands/__main__.py").write_text(COMPARE)
    (root / "stage.py").write_text(STAGE)
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages()}, sort_keys=False))
    (root / "params.yaml").write_text("categories: {a: {value: 30}, b: {value: 31}}\n")
    (root / "profiles").mkdir()
    (root / "profiles/toy.yaml").write_text("net: {batch_size: 8}\n")
    (root / ".gitignore").write_text("artifacts/\ncontrol/\nwork/\n__pycache__/\n")
    (root / "control").mkdir()
    toy = Toy(root)
    toy.git("init", "-q", "-b", "main")
    for key, value in (("user.name", "toy"), ("user.email", "toy@localhost"), ("commit.gpgsign", "false")):
        toy.git("config", key, value)
    toy.dvc("init", "-q")
    toy.dvc("config", "core.analytics", "false")
    toy.dvc("config", "core.check_update", "false")
    toy.dvc("repro", "-q")
    toy.started()
    toy.git("add", "-A")
    toy.git("commit", "-qm", "toy")
    return toy
