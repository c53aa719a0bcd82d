"""The ties of a process to the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal

LAUNCHER = "FLTK_LAUNCHER"
"""The variable with the process ID of a launcher, as `fltk run` sets it."""

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Has the kernel kill this process when the thread that started it ends; on other systems than Linux, nothing does.

    Raises:
        SystemExit: if that has happened already.
    """
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:
        raise SystemExit(130)
