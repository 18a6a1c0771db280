"""What a service may take in, and who may ask it."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from stages.core.run.errors import UserError

LOOPBACK = "127.0.0.1"
TOKEN_VARIABLE = "ODDPART_TOKEN"
SHORTEST = 16  # characters of a token
MEGA = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What a service takes in at most.

    Attributes:
        body: bytes of a request.
        held: bytes of all requests together that are being received or wait.
        pixels: of a picture, by its header; nothing is decoded of a larger one.
        pictures: of a request.
        waiting: pictures that wait to be judged.
        requests: that are being received or wait at a time.
        receiving: seconds until a request has to be received.
        judging: seconds until its verdicts have to be there.
    """

    body: int = 32 * MEGA
    held: int = 256 * MEGA
    pixels: int = 50 * MEGA
    pictures: int = 16
    waiting: int = 32
    requests: int = 64
    receiving: float = 30.0
    judging: float = 30.0

    @property
    def hanging(self) -> float:
        """Seconds with one picture after which the thread that judges counts as one that hangs."""
        return 10 * self.judging

    def check(self) -> None:
        """Pass when each limit lets something in.

        Raises:
            UserError: one does not.
        """
        for name, value in vars(self).items():
            if not value > 0:
                raise UserError(f"the limit of {name} is {value}: name a number above 0")
        if self.held < self.body:
            raise UserError(f"--max-held of {self.held} bytes is below --max-body of {self.body}: name a larger one")


class Guard:
    """Knows a token by its hash; None admits everybody, for a service on loopback alone."""

    def __init__(self, token: str | None) -> None:
        """Keep the hash."""
        self.expected = None if token is None else digest(token)

    def admits(self, header: str | None) -> bool:
        """Whether an `Authorization` header carries the token; how long that takes does not depend on how much fits."""
        if self.expected is None:
            return True
        scheme, _, token = (header or "").partition(" ")
        return hmac.compare_digest(digest(token.strip()), self.expected) and scheme.lower() == "bearer"


def digest(token: str) -> bytes:
    """Return a hash, which has the same length for every token."""
    return hashlib.sha256(token.encode("utf-8", errors="surrogateescape")).digest()


def guard_of(host: str, *, token_file: Path | None, insecure_loopback: bool) -> Guard:
    """Return what decides who may ask.

    Args:
        host: address to listen on.
        token_file: with the token; ODDPART_TOKEN counts without it.
        insecure_loopback: ask for no token, on LOOPBACK only.

    Raises:
        UserError: there is no token, or one that others can read or guess; or it would be open to the network.
    """
    if not insecure_loopback:
        return Guard(read_token(token_file))
    if host != LOOPBACK:
        raise UserError(f"--insecure-loopback goes with --host {LOOPBACK} only, not with {host}: use a token")
    if token_file is not None:
        raise UserError("--insecure-loopback and --token-file: name one of them")
    return Guard(None)


def read_token(file: Path | None) -> str:
    """Read the token.

    Raises:
        UserError: see `guard_of`.
    """
    if file is not None:
        where, token = str(file), read_secret(file)
    elif (found := os.environ.get(TOKEN_VARIABLE)) is not None:
        where, token = TOKEN_VARIABLE, found.strip()
    else:
        raise UserError(
            f"a token is needed: name a file of mode 0600 with --token-file, or set {TOKEN_VARIABLE}; "
            "`openssl rand -hex 32` makes one"
        )
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise UserError(f"{where}: a token has {SHORTEST} or more letters and digits: `openssl rand -hex 32` makes one")
    return token


def read_secret(file: Path) -> str:
    """Read a file that nobody else can read.

    Raises:
        UserError: it cannot be read, or others can read it.
    """
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
        with open(handle, encoding="utf-8", errors="replace") as stream:  # noqa: PTH123 - an open handle
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                raise UserError(f"{file} (--token-file): is no file")
            if facts.st_mode & 0o077:
                raise UserError(f"{file} (--token-file): others may read it: `chmod 600 {file}`")
            return stream.read(10_000).strip()
    except OSError as error:
        raise UserError(
            f"{file} (--token-file): cannot be read ({error.strerror}): `openssl rand -hex 32` makes a token"
        ) from None
