"""Fetch a file from the web: resumed after an interruption, checked by its sha256, never half there.

Without a sha256 what comes is only taken over https, as a whole of the announced length, and never glued together from
two versions. What an address holds of passwords and tokens is in no message.
"""

import base64
import fcntl
import hashlib
import http.client
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.parse import SplitResult, quote, unquote, urlsplit

from stages.core.run.console import progress
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
CHUNK = 1 << 20  # bytes
ATTEMPTS = 5
TIMEOUT = 60.0  # seconds without an answer or a byte
RANGE_NOT_SATISFIABLE = 416
SCHEMES = {"http": ("http", "https"), "https": ("https",)}  # where a redirect may lead to
PROVEN = ("https",)  # over which content without a sha256 is taken
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


def fetch_file(url: str, target: Path, *, sha256: str | None, about: str) -> str:
    """Bring a file to `target`, unless it is there already; proxies come from the environment.

    A part that an earlier run left is continued if its sha256 is known. Processes that want the same file wait for one
    another. A user and a password in the address are sent to its server only.

    Args:
        url: of http or https; without a sha256 of https.
        target: where the file goes.
        sha256: of the right content; None takes what comes, once its length is what the server announced.
        about: the file's name and size, for people.

    Returns:
        The sha256 of the file.

    Raises:
        UserError: the server cannot be reached, the content is not what `sha256` says or not known to be whole, or
            the file cannot be written.
    """
    address = parse_address(url, about=about)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        with only_one(target.with_name(target.name + ".lock")):
            there = sha256_of(target) if target.exists() else None
            if there is not None and sha256 in (None, there):
                LOG.info("%s: already fetched", target)
                return there
            LOG.info("fetching %s from %s", about, address)
            if sha256 is None and urlsplit(address.url).scheme not in PROVEN:
                raise UserError(
                    f"{address}: what comes over http is not proven to be its publisher's: name its sha256 in the "
                    "manifest, or an address of https"
                )
            if sha256 is None:
                part.unlink(missing_ok=True)  # of what version it is a part is not known
            continued = part.exists()
            Fetch(address, part, label=target.name, whole=sha256 is None).run()
            found = sha256_of(part)
            if continued and found != sha256:  # the part was of another version
                part.unlink()
                Fetch(address, part, label=target.name, whole=False).run()
                found = sha256_of(part)
            if sha256 not in (None, found):
                part.unlink()
                raise UserError(
                    f"{address}: the sha256 is {found}, the manifest names {sha256}: the file there has changed, or is "
                    "not from its publisher; nothing was kept"
                )
            part.replace(target)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror or error}): correct its place") from None
    return found


@dataclass(frozen=True)
class Address:
    """An address; as text it has no password and no token, which a query or a fragment may be.

    Attributes:
        url: without user and password.
        login: the header that proves them; None without.
    """

    url: str
    login: str | None

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}{'?...' if parts.query else ''}"


def without_secrets(text: str) -> str:
    """Return a text without what addresses in it hold of users, passwords, and of tokens in their queries."""
    return re.sub(r"(\w+://)[^/\s]*@", r"\1", re.sub(r"\?[^\s'\")]+", "?...", text))


def parse_address(url: str, *, about: str) -> Address:
    """Check an address and take user and password out of it.

    Args:
        url: the address.
        about: what it is of, for messages: an address that is none may hold a password anywhere.

    Raises:
        UserError: it is none, or not of a scheme that is fetched.
    """
    try:
        parts = urlsplit(url)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:
        raise UserError(f"{about}: its address is not valid: correct `url` in the manifest") from None
    if scheme not in SCHEMES or not host or re.search(r"[\x00-\x20\x7f]", url):
        raise UserError(
            f"{about}: its address is not one of http or https, or holds blanks: correct `url` in the manifest"
        )
    path, query = (quote(text, safe="/%:=&?~+!$,;'@()*[]") for text in (parts.path, parts.query))
    plain = SplitResult(scheme, parts.netloc.rpartition("@")[2], path, query, "").geturl()
    login = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        login = f"Basic {base64.b64encode(pair).decode('ascii')}"
    return Address(plain, login)


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only, and from https to https only."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request to follow a redirect with.

        Raises:
            Refused: it leads to another scheme.
        """
        target = urlsplit(newurl).scheme
        if target not in SCHEMES[req.type]:
            raise Refused(f"it redirects from {req.type} to {target or 'nowhere'}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


class Refused(Exception):
    """An answer that another attempt would not change."""


@dataclass
class Fetch:
    """The connections in which a file comes.

    Attributes:
        address: of the file.
        part: where its bytes go, appended to what is there.
        label: the file's name, for people.
        whole: whether the content is only taken if it is known to be whole and of one version: its sha256 is unknown.
        validator: the server's word for the version (RFC 9110, 13.1.5); None before the first answer, or without one.
    """

    address: Address
    part: Path
    label: str
    whole: bool
    validator: str | None = None

    def run(self) -> None:
        """Append to the part until it is whole, in at most ATTEMPTS connections.

        Raises:
            UserError: it does not become whole.
            OSError: it cannot be written.
        """
        problem = ""
        for _ in range(ATTEMPTS):
            if self.whole and self.validator is None:
                self.part.unlink(missing_ok=True)
            try:
                if self.append():
                    return
                problem = "the connection ended early"
            except Refused as error:
                problem = str(error)
                break
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == RANGE_NOT_SATISFIABLE and not self.whole:  # nothing is left to send
                    return
                problem, self.validator = f"the server answers {error.code} {error.reason}", None
            except (urllib.error.URLError, ConnectionError, http.client.HTTPException) as error:
                problem = str(getattr(error, "reason", None) or error or type(error).__name__)
            except ValueError:  # of an address that a redirect names, which may hold a token
                problem = "it redirects to what is no address"
                break
            LOG.warning("%s: %s", self.label, without_secrets(problem))
        raise UserError(
            f"{self.address} could not be fetched ({without_secrets(problem)}): run again to continue, or "
            f"place the file at {self.part.with_suffix('')} yourself (proxies: the variables http_proxy, https_proxy, "
            "no_proxy)"
        )

    def append(self) -> bool:
        """Ask for what is missing and append it; whether all that the server announced came.

        Raises:
            Refused: the answer is not known to be whole, or continues something else.
            OSError: the server cannot be reached, or the part cannot be written.
        """
        have = self.part.stat().st_size if self.part.exists() else 0
        with network():
            opened = self.opened(have)
        with opened as answer:
            length = length_of(answer)
            if self.whole and length is None:
                raise Refused("the server does not say how long the file is, and its sha256 is not known")
            resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
            if resumed and (start_of(answer) != have or (self.whole and validator_of(answer) != self.validator)):
                self.part.unlink(missing_ok=True)
                return False
            self.validator = validator_of(answer)
            start = have if resumed else 0
            with self.part.open("ab" if resumed else "wb") as file:
                for chunk in progress(chunks_of(answer), total=(length or 0) // CHUNK + 1, label=self.label):
                    file.write(chunk)
        return length is None or self.part.stat().st_size == start + length

    def opened(self, have: int) -> http.client.HTTPResponse:
        """Open the address; from `have` bytes on where that continues the same version."""
        request = urllib.request.Request(self.address.url)
        if self.address.login is not None:
            request.add_unredirected_header("Authorization", self.address.login)
        if have:
            request.add_header("Range", f"bytes={have}-")
        if have and self.validator is not None:
            request.add_header("If-Range", self.validator)
        # An opener reads the proxies now, urlopen would keep those of its first call.
        answer: http.client.HTTPResponse = urllib.request.build_opener(SafeRedirects).open(request, timeout=TIMEOUT)
        return answer


@contextmanager
def network() -> Iterator[None]:
    """Tell an error of the connection from one of the disk, which is an OSError, too.

    Raises:
        ConnectionError: for every error of the connection that has no kind of its own.
    """
    try:
        yield
    except urllib.error.URLError:
        raise
    except OSError as error:
        raise ConnectionError(str(error) or type(error).__name__) from None


def chunks_of(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the content of an answer.

    Raises:
        ConnectionError: it ends early.
    """
    while True:
        with network():
            chunk = answer.read(CHUNK)
        if not chunk:
            return
        yield chunk


def length_of(answer: http.client.HTTPResponse) -> int | None:
    """Return how many bytes an answer announces; None where it does not, or not in digits."""
    text = answer.headers.get("Content-Length", "").strip()
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def start_of(answer: http.client.HTTPResponse) -> int | None:
    """Return where a part of a file begins; None where the answer does not say."""
    match = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    return int(match[1]) if match else None


def validator_of(answer: http.client.HTTPResponse) -> str | None:
    """Return what tells this version of a file from others: a strong ETag, or when it was modified."""
    tag = str(answer.headers.get("ETag", "")).strip()
    if tag.startswith('"'):
        return tag
    return answer.headers.get("Last-Modified")


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Wait until no other process is in this block with the same lock file; the kernel frees it however one dies."""
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
