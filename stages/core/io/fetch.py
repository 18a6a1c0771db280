"""Fetch a file from the web: resumed after an interruption, checked by its sha256, never half there."""

import fcntl
import hashlib
import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.core.run.console import progress
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
CHUNK = 1 << 20  # bytes
ATTEMPTS = 5
TIMEOUT = 60.0  # seconds without an answer or a byte
RANGE_NOT_SATISFIABLE = 416


def fetch_file(url: str, target: Path, *, sha256: str | None, about: str) -> str:
    """Bring a file to `target`, unless it is there already; proxies come from the environment.

    A part that an earlier run left is continued. Processes that want the same file wait for one another.

    Args:
        sha256: of the right content; None takes what comes, once its length is what the server announced.
        about: the file's name and size, for people.

    Returns:
        The sha256 of the file.

    Raises:
        UserError: the server cannot be reached or the content is not what `sha256` says.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with only_one(target.with_name(target.name + ".lock")):
        there = sha256_of(target) if target.exists() else None
        if there is not None and sha256 in (None, there):
            LOG.info("%s: already fetched", target)
            return there
        LOG.info("fetching %s from %s", about, url)
        fetch_part(url, part, label=target.name)
        found = sha256_of(part)
        if sha256 not in (None, found):
            part.unlink()
            raise UserError(f"{url}: the sha256 is {found}, the manifest names {sha256}: correct one")
        part.replace(target)
    return found


def fetch_part(url: str, part: Path, *, label: str) -> None:
    """Append to `part` until it is whole, in at most ATTEMPTS connections."""
    problem = ""
    for _ in range(ATTEMPTS):
        try:
            if append(url, part, label=label):
                return
            problem = "the connection ended early"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == RANGE_NOT_SATISFIABLE:  # nothing is left to send
                return
            problem = f"the server answers {error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            problem = str(getattr(error, "reason", error))
        LOG.warning("%s: %s", label, problem)
    raise UserError(
        f"{url} could not be fetched ({problem}): run again to continue, or place the file at "
        f"{part.with_suffix('')} yourself (proxies: the variables http_proxy, https_proxy, no_proxy)"
    )


def append(url: str, part: Path, *, label: str) -> bool:
    """Ask for what is missing and append it; whether all that the server announced came."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    opener = urllib.request.build_opener()  # reads the proxies now, urlopen would keep those of its first call
    with opener.open(request, timeout=TIMEOUT) as answer:
        resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        announced = int(answer.headers.get("Content-Length", 0))
        start = part.stat().st_size if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            chunks = iter(lambda: answer.read(CHUNK), b"")
            for chunk in progress(chunks, total=announced // CHUNK + 1, label=label):
                file.write(chunk)
    return not announced or part.stat().st_size == start + announced


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Wait until no other process is in this block with the same lock file; the kernel frees it however one dies."""
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
