"""Decide how many stages run at once, and on which GPU: counted per run, and locked for all runs of this user."""

import fcntl
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.process.cancel import CancelToken
from flows.site.access import private_folder
from stages.core.run.errors import UserError

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Device:
    """One GPU slot: the name of its lock, and the GPU that its stage may see (None: no GPU on this machine)."""

    name: str
    gpu: str | None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that restrict a stage to this GPU."""
        return {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}


@dataclass(frozen=True)
class Slots:
    """Slots for CPU stages, and the devices for GPU stages."""

    cpu: int
    devices: tuple[Device, ...]

    @property
    def total(self) -> int:
        """Slots of all kinds."""
        return self.cpu + len(self.devices)

    def of(self, resource: str) -> int:
        """Return the number of slots for a resource, "cpu" or "gpu"."""
        return len(self.devices) if resource == "gpu" else self.cpu


def make_slots(*, cpu: int | None, gpu: int | None, gpus: Sequence[str], cores: int) -> Slots:
    """Make the slots of a run.

    Args:
        cpu: CPU slots; None for one per core.
        gpu: GPU slots; None for one per GPU, or where there is none for a single one: the stages that want a GPU
            use all cores, and two of them at once would only share these.
        gpus: what CUDA_VISIBLE_DEVICES may name on this machine.

    Raises:
        UserError: fewer than one slot.
    """
    for name, value in (("cpu_slots", cpu), ("gpu_slots", gpu)):
        if value is not None and value < 1:
            raise UserError(f"{name} is {value}: give at least 1, or leave it out")
    count = gpu or len(gpus) or 1
    if not gpus:
        return Slots(cpu or cores, tuple(Device(f"compute-{number}", None) for number in range(count)))
    places = [(gpus[number % len(gpus)], number // len(gpus)) for number in range(count)]  # spread over the GPUs
    return Slots(cpu or cores, tuple(Device(f"gpu-{gpu_id}-{copy}", gpu_id) for gpu_id, copy in places))


def visible_gpus() -> list[str]:
    """List the GPUs that this process may use: CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists, else none."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip() not in ("", "-1")]
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return []
    return listed.stdout.split() if listed.returncode == 0 else []


def slots_folder() -> Path:
    """Return the folder of the locks that all runs of this user on this machine share; nobody else can enter it.

    It is not in a temporary folder, where others could make it first, or keep its locks. A home folder may be shared
    by several machines, each of which has GPUs of its own. ODDPART_SLOTS names another folder.

    Raises:
        UserError: there is no home folder to write to, or it is another user's.
    """
    given = os.environ.get("ODDPART_SLOTS")
    if given:
        return Path(given)
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        base = state if state.is_absolute() else Path.home() / ".local/state"
        return private_folder(base / "oddpart/slots" / (socket.gethostname() or "localhost"))
    except (OSError, RuntimeError) as error:
        raise UserError(f"there is no folder for the locks of GPUs ({error}): name one in ODDPART_SLOTS") from None


@contextmanager
def occupied_device(folder: Path, devices: Sequence[Device], token: CancelToken) -> Iterator[Device]:
    """Wait for a device that no run of this user on this machine uses, and hold it; freed also if this process dies.

    Raises:
        Cancelled: the run was interrupted meanwhile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        for device in devices:
            handle = os.open(folder / f"{device.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                continue
            try:
                yield device
            finally:
                os.close(handle)
            return
        token.check(seconds=POLL_SECONDS)
