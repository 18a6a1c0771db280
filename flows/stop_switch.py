"""Ends the commands of a run that is broken off: by Ctrl-C, a cancel in Prefect, or an error in the flow itself."""

import os
import select


class Stopped(Exception):
    """A command was ended, or not started, because its run is broken off."""


class StopSwitch:
    """Pressed once in the flow's thread; every thread that waits with it for something else wakes up and gives up.

    An event of the operating system (Linux), so that a thread can wait for a command's output and for it at once.
    """

    def __init__(self) -> None:
        self._handle = os.eventfd(0)

    def __del__(self) -> None:  # not before the last thread has let go of it
        os.close(self._handle)

    def fileno(self) -> int:
        return self._handle

    def press(self) -> None:
        os.eventfd_write(self._handle, 1)

    def check(self, *, seconds: float = 0) -> None:
        """Wait that long, or until it is pressed.

        Raises:
            Stopped: it is pressed.
        """
        if select.select([self._handle], [], [], seconds)[0]:
            raise Stopped("the run is broken off")
