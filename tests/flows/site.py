"""A Prefect server, workers and deployments as processes that tests can kill; asked over its REST interface."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flows.serve import api_url, environment, start_server, start_worker, stop
from flows.site.access import auth_string
from tests.flows.toy import Toy

PATIENCE = 300.0  # seconds: a slow machine with other work


def wait_for(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)
    return answer


def processes(text: str, folder: Path) -> list[int]:
    """Living processes in a folder whose command line has that text."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().replace("\0", " ")
            if text in words and (process / "cwd").readlink() == folder:
                found.append(int(process.name))
        except OSError:
            continue
    return found


@dataclass
class Site:
    """One server; flows and workers are started with its address."""

    home: Path
    port: int
    server: subprocess.Popen[bytes] | None = None
    others: list[subprocess.Popen[Any]] = field(default_factory=list)
    csrf_token: str = ""

    def start(self) -> None:
        self.server = start_server(self.home, self.port, log=self.home.with_suffix(".log"), ui=False)

    def stop_server(self) -> None:
        assert self.server is not None
        stop(self.server)

    def variables(self, toy: Toy) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        slots = str(toy.root.parent / "slots")
        return {
            **environment(self.home, self.port),
            "PATH": path,
            "ODDPART_CLONE": str(toy.root),
            "ODDPART_SLOTS": slots,
        }

    def command(self, toy: Toy, *arguments: str) -> str:
        """Run a Python module in the toy; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=toy.root, env=self.variables(toy), text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start_flow(self, toy: Toy, flow: str = "reproduce") -> subprocess.Popen[str]:
        """Start a flow in the toy, with all its parameters as they are by default."""
        command = [sys.executable, "-c", f"from flows.{flow} import {flow}; {flow}()"]
        process = subprocess.Popen(
            command, cwd=toy.root, env=self.variables(toy), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.others.append(process)
        return process

    def start_worker(self, toy: Toy, pool: str) -> subprocess.Popen[bytes]:
        log = toy.root.parent / f"worker-{toy.root.name}.log"
        worker = start_worker(toy.root, pool, self.variables(toy), log=log)
        self.others.append(worker)
        return worker

    def ask(self, path: str, content: Any = None, *, method: str | None = None) -> Any:
        """Send JSON (POST, or GET without content) and return the JSON of the answer."""
        data = None if content is None else json.dumps(content).encode()
        while True:
            request = urllib.request.Request(f"{api_url(self.port)}{path}", data, self.headers(), method=method)
            try:
                with urllib.request.urlopen(request, timeout=60) as reply:
                    return json.loads(reply.read() or "null")
            except urllib.error.HTTPError as error:
                if error.code == HTTPStatus.FORBIDDEN:  # no token yet, or an old one
                    self.csrf_token = ""
                    self.csrf_token = self.ask("/csrf-token?client=tests")["token"]
                elif error.code == HTTPStatus.SERVICE_UNAVAILABLE:  # SQLite was busy: Prefect's clients ask again, too
                    time.sleep(1)
                else:
                    raise

    def headers(self) -> dict[str, str]:
        """Return what Prefect's own clients send to be let in."""
        secret = base64.b64encode(auth_string(self.home).encode()).decode()
        token = {"Prefect-Csrf-Token": self.csrf_token, "Prefect-Csrf-Client": "tests"} if self.csrf_token else {}
        return {"Content-Type": "application/json", "Authorization": f"Basic {secret}", **token}

    def run(self, deployment: str, **parameters: Any) -> str:
        """Start a run of "flow/deployment"; return its id."""
        found = self.ask(f"/deployments/name/{deployment}")
        return str(self.ask(f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters})["id"])

    def state(self, run: str) -> str:
        return str((self.ask(f"/flow_runs/{run}")["state"] or {}).get("name"))

    def newest_run(self) -> dict[str, Any]:
        begun = {"start_time": {"is_null_": False}}  # others, planned for later, would come first
        found = self.ask("/flow_runs/filter", {"flow_runs": begun, "sort": "START_TIME_DESC", "limit": 1})
        return dict(found[0]) if found else {}

    def wait_for_state(self, run: str, *states: str) -> str:
        def there() -> str | None:
            state = self.state(run)
            assert state in states or state not in ("Failed", "Crashed", "Completed", "Cancelled"), self.log_of(run)
            return state if state in states else None

        return str(wait_for(there, f"run {run} in {states}, but {self.state(run)}"))

    def log_of(self, run: str) -> str:
        found = self.ask("/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200})
        return "\n".join([self.state(run), *(line["message"] for line in found)])

    def close(self) -> None:
        for process in self.others:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if self.server is not None:
            stop(self.server)
