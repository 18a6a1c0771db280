"""Why a call of DVC failed, read from its last lines, and whether trying again can help."""

import re
from dataclasses import dataclass

from flows.commands import Finished


@dataclass(frozen=True)
class Fault:
    """What went wrong, in words for the user, and what to do."""

    kind: str
    message: str
    transient: bool = False


# The first that matches counts. GPU memory is no transient fault: the same batch does not fit a second time either.
KINDS = (
    ("gpu_memory", r"CUDA out of memory|torch\.OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED", False,
     "the GPU's memory did not suffice: use a smaller batch_size, or fewer gpu_slots on the same GPU"),
    ("disk_full", r"No space left on device|\[Errno 28\]|Disk quota exceeded", False,
     "the disk is full: free some space (`dvc push --all-commits` where there is a remote, then `dvc gc --all-commits`,"
     " which deletes from the cache what no commit of this clone names)"),
    ("locked", r"Unable to acquire lock|is busy, it is being blocked by", True,
     "another DVC process holds this clone"),
    ("network", r"Could not connect|ConnectionError|Connection (?:refused|reset|aborted|timed out)|ConnectTimeout"
     r"|Temporary failure in name resolution|Name or service not known|Network is unreachable|RemoteDisconnected"
     r"|Cannot connect to host|Max retries exceeded|EndpointConnectionError"
     r"|timed? ?out\b.*\b(?:read|connect|https?|s3|ssh)\b"
     r"|Service ?Unavailable|SlowDown|error occurred \(50[234]\)|\b(?:HTTP|status)\b\W*(?:\w+\W+){0,2}50[234]\b"
     r"|\b50[234] (?:Server Error|Bad Gateway|Gateway Time-?out)", True,
     "the network or the remote did not answer"),
    ("killed", r"exited with -9\b|exited with 137\b|^(?-i:(?:.*: +\d+ )?Killed)(?:$| {2})", False,
     "the stage was killed, probably because the machine's memory ran out (see `dmesg`): use fewer slots"),
)  # fmt: skip


def fault_of(finished: Finished, *, doing: str) -> Fault:
    """The fault of a call that failed, with the lines in which DVC or the stage says what was wrong."""
    if finished.timed_out:
        return Fault("timeout", f"{doing}: stopped, it took longer than its limit (stage_timeout_minutes)")
    begins = [number for number, line in enumerate(finished.tail) if line.startswith("Running stage")]
    lines = finished.tail[begins[-1] if begins else 0 :]  # what stages before it said in the same call is not its fault
    said = " / ".join(_telling(lines))
    for kind, pattern, transient, remedy in KINDS:
        if re.search(pattern, "\n".join(lines), re.IGNORECASE | re.MULTILINE):
            return Fault(kind, f"{doing}: {remedy}; it says: {said}", transient)
    return Fault("failed", f"{doing} failed with code {finished.code}; it says: {said}")


def _telling(lines: tuple[str, ...]) -> list[str]:
    """Lines that report an error, and the two before DVC's own: a stage's last words need not say "error"."""
    own = next((number for number, line in enumerate(lines) if "failed to reproduce" in line), len(lines))
    chosen = [
        line.strip()
        for number, line in enumerate(lines)
        if re.search(r"\b(?:\w*error|failed|fatal)\b", line, re.IGNORECASE) or own - 2 <= number < own
    ]
    return [line for line in chosen if not line.startswith(("> ", "Running stage"))][-5:]
