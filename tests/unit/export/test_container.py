"""The commands of `Containerfile`, one by one: installed, started as its user, asked, found healthy, and stopped."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.unit.export.conftest import Exported
from tests.unit.export.image import Image, interpreter
from tests.unit.export.serving import ASK, RIGHT, TOKEN, files, free_port, picture, rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
WRITABLE = """
import os, sys
found = [path for top in sys.argv[1:] for folder, _, names in os.walk(top)
         for path in (folder, *(os.path.join(folder, name) for name in names))
         if not os.path.islink(path) and os.access(path, os.W_OK)]
print(found)
"""


@pytest.fixture(scope="module")
def image(exported: Exported) -> Iterator[Image]:
    """The image, in a folder that its user may reach, with a bundle that he may only read."""
    python = interpreter()
    if python is None:
        pytest.skip("no Python here that another user may run")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        image = Image(root, python)
        image.build()
        (root / "tmp").mkdir()
        (root / "tmp").chmod(0o1777)
        shutil.copytree(exported.bundles / "oddpart", root / "bundle")
        for path in (root / "bundle", root / "opt"):
            subprocess.run(["chmod", "-R", "a+rX,a-w", path], check=True)
        yield image
        subprocess.run(["chmod", "-R", "u+w", root], check=True)


def facts(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in folder.rglob("*")}


def test_it_is_asked_found_healthy_and_stopped(image: Image) -> None:
    port, before = free_port(), facts(image.root / "opt")
    environment = {**image.environment, "ODDPART_TOKEN": TOKEN}
    common = {"env": image.environment, "cwd": image.words("WORKDIR"), **image.user}

    def is_healthy() -> bool:
        return subprocess.run(image.health_check(port), capture_output=True, **common).returncode == 0

    assert not is_healthy(), "nothing listens yet"
    with (image.root / "said").open("w") as said:
        service = subprocess.Popen(
            image.command("--port", str(port)), stdout=said, stderr=said, **{**common, "env": environment}
        )
    try:
        end = time.monotonic() + 60  # --start-period
        while not is_healthy():
            assert service.poll() is None, (image.root / "said").read_text()
            assert time.monotonic() < end, (image.root / "said").read_text()
            time.sleep(0.5)
        (line,) = [line for line in Path(f"/proc/{service.pid}/status").read_text().splitlines() if "Uid:" in line]
        assert set(line.split()[1:]) == {str(image.user.get("user", os.getuid()))}
        assert httpx.post(f"http://127.0.0.1:{port}/products/part/predict").status_code == 401
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=RIGHT, timeout=60) as client:
            answer = client.post(ASK, files=files(picture(1), picture(2))).raise_for_status().json()
        service.send_signal(getattr(signal, image.words("STOPSIGNAL")))
        assert service.wait(timeout=30) == 0
    finally:
        service.kill()
        service.wait()
    assert not is_healthy()
    store = image.root / "data/verdicts.sqlite"
    assert {row[1] for row in rows(store)} == {one["sha256"] for one in answer["verdicts"]}
    assert [path.name for path in store.parent.iterdir()] == [store.name], "the write-ahead log is emptied into it"
    assert facts(image.root / "opt") == before


def test_its_user_can_write_to_its_data_alone_and_it_has_no_torch(image: Image) -> None:
    common = {"env": image.environment, "cwd": image.root, **image.user}
    places = [str(image.root / name) for name in ("opt", "src", "bundle", "data")]
    if os.getuid() != 0:
        places.remove(str(image.root / "src"))  # ours; the image does not have it
    found = subprocess.check_output(["python", "-c", WRITABLE, *places], text=True, **common)
    assert {Path(path).relative_to(image.root).parts[0] for path in json.loads(found.replace("'", '"'))} == {"data"}
    assert subprocess.run(["python", "-c", "import torch"], capture_output=True, **common).returncode == 1
    packages = subprocess.check_output(["python", "-c", "import oddpart; print(oddpart.__file__)"], text=True, **common)
    assert Path(packages.strip()).is_relative_to(image.root / "opt")
