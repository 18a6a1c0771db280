"""Tensors on disk that a frozen network computed once: bounded, by content, and free to be deleted at any time.

Several stages ask the same network about the same images. A stage whose output were the features would tie all of them
to one more artefact of some GB that DVC hashes, stores twice and pushes; a cache needs no place in the map, is exact
since its key is the input itself, and shrinks to what the disk allows.
"""

import hashlib
import logging
import os
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from stages.core.run.atomic import replacing_file

LOG = logging.getLogger(__name__)
IN_USE_SECONDS = 3600  # what was read or written that lately stays: a scan longer than the cache would else empty it
SHARE_LEFT = 0.9  # of the limit, after space was made
CHECKSUM = "crc32"


class TensorCache:
    """Named tensors by key, in files of a folder that several processes may share.

    Attributes:
        limit: bytes that all of `root` may take.
    """

    def __init__(self, root: Path, stamp: str, *, gigabytes: float) -> None:
        """Open the part of a folder that belongs to one network.

        Args:
            root: of all features, those of other networks included.
            stamp: what identifies the network and the kind of outputs.
            gigabytes: the least recently used files go when `root` holds more; 0 stores nothing.
        """
        self.root = root
        self.folder = root / hashlib.sha256(stamp.encode()).hexdigest()[:16]
        self.limit = int(gigabytes * 1e9)
        self.bytes = sum(size for _, size, _ in stored_files(root))
        self.closed = self.limit == 0
        self._changing = Lock()

    def get(self, key: str) -> dict[str, Tensor] | None:
        """Read what was stored, marked as just used; None where there is nothing or it is damaged, which is logged."""
        path = self.path(key)
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
                intact = (file.metadata() or {}).get(CHECKSUM) == checksum(tensors)
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError) as error:
            LOG.warning("%s cannot be read (%s): computing it again", path, error)
            return None
        if not intact:
            LOG.warning("%s is damaged (its checksum differs): computing it again", path)
        return tensors if intact else None

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Store tensors and make space for them; where there is none, nothing more is stored, which is logged.

        One thread at a time: to make space is to count the files that are there.
        """
        if self.closed:
            return
        content = save({name: one.contiguous() for name, one in tensors.items()}, {CHECKSUM: checksum(tensors)})
        with self._changing:
            if self.bytes + len(content) > self.limit:
                self.make_space(len(content))
            if self.bytes + len(content) <= self.limit:
                with replacing_file(self.path(key)) as temporary:
                    temporary.write_bytes(content)
                self.bytes += len(content)
            elif not self.closed:
                LOG.warning("%s holds its %.1f GB, all used lately: what comes now is computed each time",
                            self.root, self.limit / 1e9)  # fmt: skip
                self.closed = True

    def path(self, key: str) -> Path:
        """Return where the tensors of a key are."""
        return self.folder / f"{key}.safetensors"

    def make_space(self, needed: int) -> None:
        """Delete the least recently used files until `needed` bytes and a tenth of the limit are free, none in use."""
        files = sorted(stored_files(self.root))
        self.bytes = sum(size for _, size, _ in files)
        in_use = time.time() - IN_USE_SECONDS
        for used, size, path in files:
            if used >= in_use or self.bytes + needed <= SHARE_LEFT * self.limit:
                break
            path.unlink(missing_ok=True)
            self.bytes -= size


def key_of(values: Tensor) -> str:
    """Return the sha256 of a tensor: every value, its shape and its type count, and nothing else."""
    flat = values.detach().cpu().contiguous()
    return hashlib.sha256(f"{tuple(flat.shape)} {flat.dtype}".encode() + flat.numpy().tobytes()).hexdigest()[:32]


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """Return the CRC-32 of all values, name by name."""
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(tensors[name].contiguous().numpy().tobytes(), value)
    return f"{value:08x}"


def stored_files(root: Path) -> list[tuple[float, int, Path]]:
    """List (time of last use, bytes, path) of each file."""
    found = []
    for path in root.glob("*/*.safetensors"):
        try:
            facts = path.stat()
        except FileNotFoundError:  # another process made space
            continue
        found.append((facts.st_mtime, facts.st_size, path))
    return found
