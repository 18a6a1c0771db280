"""A service in a process of its own, for the tests of `oddpart serve`."""

import io
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tests.architecture.source_files import ROOT

TOKEN = "0123456789abcdef-token"
ASK = "/products/part/predict"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class Server:
    """A running service."""

    process: subprocess.Popen[str]
    address: str
    store: Path

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.address, headers=headers or RIGHT, timeout=60, verify=False)

    @property
    def worker(self) -> int:
        """The process that judges."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        (one,) = [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        return one

    def resident(self) -> float:
        """Resident memory in MiB."""
        status = Path(f"/proc/{self.worker}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024

    def peak(self) -> float:
        """The most it ever was."""
        status = Path(f"/proc/{self.worker}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=90)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "commands", "serve", *words]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


@contextmanager
def serving(*words: str, store: Path, log: Path | None = None) -> Iterator[Server]:
    """Start a service and wait until it is ready.

    Raises:
        AssertionError: it does not become ready.
    """
    port = free_port()
    log = log or store.with_suffix(".log")
    with log.open("w") as said:
        process = subprocess.Popen(
            command(*words, "--port", str(port), "--store", str(store), "--station", "line 1", "--threads", "1"),
            env=environment(ODDPART_TOKEN=TOKEN), stdout=said, stderr=said, text=True,
        )  # fmt: skip
        server = Server(process, f"http://127.0.0.1:{port}", store)
        try:
            end = time.monotonic() + 90
            while not ready(server):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield server
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def ready(server: Server) -> bool:
    try:
        return httpx.get(f"{server.address}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def picture(number: int, side: int = 64) -> bytes:
    """A picture that no other number has."""
    content = io.BytesIO()
    values = np.random.default_rng(number).integers(0, 256, (side, side, 3)).astype(np.uint8)
    Image.fromarray(values).save(content, format="PNG")
    return content.getvalue()


def files(*pictures: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("pictures", (f"{number}.png", one)) for number, one in enumerate(pictures)]


def rows(store: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(store)) as database:
        return database.execute("SELECT picture, picture_sha256, score, station, source FROM verdicts").fetchall()
