"""Run a command that ends, with everything it started, when the process that wanted it ends (Linux).

    python -I -S flows/process/supervisor.py PARENT COMMAND...

A killed flow would else leave `dvc` and its stage running, and the next run would start a second copy on the same
output. The supervisor leads a process group of its own, waits for the command or the death of PARENT, and kills the
group in the second case: also commands that DVC starts through a shell. Standard library only: it starts in 50 ms.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the command, and return its exit code as a shell would."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    try:
        parent_handle = os.pidfd_open(parent)
    except ProcessLookupError:
        return 1
    if os.getppid() != parent:  # the number may have been given to another process meanwhile
        return 1
    # The group is known to the parent from the start: it is made by Popen(process_group=0).
    child = subprocess.Popen(command, preexec_fn=_die_with_supervisor)
    child_handle = os.pidfd_open(child.pid)
    signal.signal(signal.SIGTERM, lambda number, frame: child.terminate())  # asked to end, it lets the command end
    ready, _, _ = select.select([parent_handle, child_handle], [], [])
    if child_handle not in ready:
        os.killpg(0, signal.SIGKILL)
    code = child.wait()
    return code if code >= 0 else 128 - code


def _die_with_supervisor() -> None:
    """Bind the child, before it becomes the command, to the supervisor; for the case that this alone is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
