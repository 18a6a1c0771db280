"""The pictures of a request: received within limits of size, memory and time, as multipart form or as JSON."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from fastapi import HTTPException, Request
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from commands.serve.settings import Limits
from commands.verdicts.verdict import MOST_TAGS, add_tag, tags_of
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import counted

MULTIPART, JSON = "multipart/form-data", "application/json"
NAME_LENGTH = 255
TAG, TAG_HEADER = "tag", "Oddpart-Tag"
FORM_ERRORS = (MultiPartException, FormParserError, ValueError, LookupError)  # a charset that is not known: LookupError


@dataclass(frozen=True)
class Upload:
    """A picture of a request."""

    name: str
    content: bytes
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Held:
    """How many bytes and requests the service holds at the moment; of one event loop, so that no lock is needed."""

    limits: Limits
    bytes: int = 0
    requests: int = 0

    @contextmanager
    def request(self) -> Iterator[Receipt]:
        """Count a request and its bytes while the block lasts.

        Raises:
            Busy: there are too many.
        """
        if self.requests >= self.limits.requests:
            raise Busy
        receipt = Receipt(self)
        self.requests += 1
        try:
            yield receipt
        finally:
            self.requests -= 1
            self.bytes -= receipt.bytes


@dataclass
class Receipt:
    """The bytes of one request."""

    held: Held
    bytes: int = 0

    def reserve(self, total: int) -> None:
        """Count the bytes of a request as `total`, if there is space for them.

        Raises:
            HTTPException: the request has too many.
            Busy: all requests together have.
        """
        if total > self.held.limits.body:
            raise HTTPException(413, f"the request has more than {self.held.limits.body} bytes")
        if self.held.bytes + total - self.bytes > self.held.limits.held:
            raise Busy
        self.held.bytes += total - self.bytes
        self.bytes = total


class Busy(Exception):
    """There is no space for a request now: 429."""


class Parser(MultiPartParser):
    """Keeps pictures in memory: they count already, and a read-only container has no disk."""

    spool_max_size = 1 << 40


async def receive(request: Request, receipt: Receipt) -> bytes:
    """Receive the body of a request.

    Raises:
        HTTPException: it is too large, or does not come in time.
        Busy: there is no space for it.
    """
    said = request.headers.get("content-length", "")
    limit = receipt.held.limits.receiving
    if said.isdecimal() and len(said) < 20:
        receipt.reserve(int(said))
    body = bytearray()
    try:
        async with asyncio.timeout(limit):
            async for chunk in request.stream():
                body += chunk
                receipt.reserve(max(receipt.bytes, len(body)))
    except TimeoutError:
        raise HTTPException(408, f"the request did not come within {limit:g} seconds") from None
    except ClientDisconnect:
        raise HTTPException(400, "the client went away") from None
    return bytes(body)


async def uploads_of(request: Request, body: bytes, *, most: int) -> list[Upload]:
    """Return the pictures in a body.

    Args:
        request: its head.
        body: its body.
        most: pictures that a request may have.

    Raises:
        HTTPException: it is malformed, or has no picture, or too many.
    """
    tags = tags_of_head(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == MULTIPART:
        found = await of_form(request, body, tags, most=most)
    elif kind == JSON:
        found = await asyncio.to_thread(of_json, body, tags)
    else:
        raise HTTPException(415, f"a request has the type {MULTIPART} or {JSON}")
    if not found:
        raise HTTPException(400, "the request has no picture: send files, or JSON with `pictures`")
    if len(found) > most:
        raise HTTPException(413, f"the request has {counted(len(found), 'picture')}, at most {most} are taken")
    return found


def tags_of_head(request: Request) -> dict[str, str]:
    """Return the tags in the address (`?tag=lot=123`) and in headers (`Oddpart-Tag: lot=123, camera=2`).

    Raises:
        HTTPException: one cannot be one.
    """
    words = [unquote(word) for line in request.headers.getlist(TAG_HEADER) for word in line.split(",") if word.strip()]
    return combined({}, [*request.query_params.getlist(TAG), *words])


def combined(tags: Mapping[str, str], more: Sequence[str] | Mapping[str, object]) -> dict[str, str]:
    """Return tags and others, as KEY=VALUE or of JSON.

    Raises:
        HTTPException: one cannot be one, or two contradict each other.
    """
    found = dict(tags)
    try:
        for key, value in (more if isinstance(more, Mapping) else tags_of(more)).items():
            add_tag(found, key, value if isinstance(value, str) else "")
    except UserError as error:
        raise HTTPException(400, str(error)) from None
    return found


async def of_form(request: Request, body: bytes, tags: Mapping[str, str], *, most: int) -> list[Upload]:
    """Return the files of a multipart form, whatever their fields are called, and the tags of its fields TAG."""

    async def stream() -> AsyncIterator[bytes]:
        yield body
        yield b""

    try:
        form = await Parser(request.headers, stream(), max_files=most + 1, max_fields=most + 1 + MOST_TAGS).parse()  # type: ignore[arg-type]
    except FORM_ERRORS as error:
        raise HTTPException(400, f"the multipart form is malformed ({error})") from None
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    all_tags = combined(tags, [value for value in form.getlist(TAG) if isinstance(value, str)])
    found = [Upload(name_of(one.filename, number), one.file.read(), all_tags) for number, one in enumerate(files, 1)]
    await form.close()
    return found


def of_json(body: bytes, tags: Mapping[str, str]) -> list[Upload]:
    """Return the pictures of `{"pictures": [{"name": "a.png", "data": "<base64>"}], "tags": {"lot": "123"}}`.

    A picture may have tags of its own, too.
    """
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is no JSON") from None
    pictures = content.get("pictures") if isinstance(content, dict) else None
    if not isinstance(pictures, list) or not all(isinstance(one, dict) for one in pictures):
        raise HTTPException(400, 'the JSON is not {"pictures": [{"name": ..., "data": ...}]}')
    found, tags = [], combined(tags, mapping_of(content.get("tags")))
    for number, one in enumerate(pictures, 1):
        data = one.get("data")
        try:
            decoded = base64.b64decode(data if isinstance(data, str) else "?", validate=True)
        except (binascii.Error, ValueError):
            raise HTTPException(400, f"`data` of picture {number} is no base64") from None
        found.append(Upload(name_of(one.get("name"), number), decoded, combined(tags, mapping_of(one.get("tags")))))
    return found


def mapping_of(tags: object) -> Mapping[str, object]:
    """Return the tags that JSON names.

    Raises:
        HTTPException: they are no object.
    """
    if tags is None:
        return {}
    if not isinstance(tags, dict):
        raise HTTPException(400, '`tags` is no {"lot": "123"}')
    return tags


def name_of(name: object, number: int) -> str:
    """Return a picture's name; it is only a name, and no path here."""
    text = name if isinstance(name, str) else ""
    return text.encode("utf-8", errors="backslashreplace").decode()[:NAME_LENGTH] or f"picture {number}"
