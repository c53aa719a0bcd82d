"""The process that imports PyTorch once, and of which workers are copies: a fork takes milliseconds.

```text
  node                                  zygote                            worker
    | begin, with an end of a socket ----> |
    |                                      | imports PyTorch, forks -------> |
    | <------------------------------------------------- ready: its number - |
    | has ended, with its number --------> |
    | <------------------- its exit code - |
```

A copy is safe while no other thread runs: this process imports neither gRPC nor code of the user's, and computes nothing. If there is another thread all the
same, as of a package that every start of Python imports, or the system isn't Linux, workers are programs of their own, which import PyTorch themselves.

An optimizer imports PyTorch's compiler, which takes as long as PyTorch itself once more. A copy that is made before that can evaluate already.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from fltk.node.process import end_with_parent

_REQUEST = struct.Struct("<ii")
_ANSWER = struct.Struct("<i")

_EARLY, _WHOLE, _ENDED = 1, 2, 3
"""The requests: a copy as soon as there is PyTorch, a copy with the compiler, and the exit code of the copy whose number follows."""

_GRACE_S = 2.0
"""The time for a zygote whose copies are gone to end, and to have an exit code."""


class Zygote:
    """The node's side of such a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fltk.node.zygote", str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
            )

    @property
    def is_running(self) -> bool:
        """True unless it has ended."""
        return self._process.poll() is None

    def begin(self, *, is_early: bool) -> Connection[Any, Any]:
        """Has a copy made, and returns the connection over which it says its number once it is there."""
        ours, theirs = socket.socketpair()
        # If it has ended, so has the connection: whoever uses it asks why.
        with theirs, self._lock, contextlib.suppress(OSError):
            socket.send_fds(self._control, [_REQUEST.pack(_EARLY if is_early else _WHOLE, 0)], [theirs.fileno()])
        return Connection(ours.detach())

    def exit_code(self, worker: int | None) -> int | None:
        """Returns the exit code of a copy that has ended, negative for a signal; for one that never said its number that of this process, if there is one."""
        if worker is not None:
            with self._lock:
                try:
                    self._control.sendall(_REQUEST.pack(_ENDED, worker))
                    answer = self._control.recv(_ANSWER.size)
                except OSError:
                    answer = b""
            if answer:
                return int(_ANSWER.unpack(answer)[0])
        try:
            return self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> None:
        """Ends it; its copies end with it."""
        self._process.kill()
        self._process.wait()
        with self._lock:
            self._control.close()


def main() -> None:
    """Serves the node that started this process, whose end of a socket is the first argument; in a copy, works."""
    end_with_parent(int(sys.argv[2]))
    # The node decides when it is over. Where children are ignored, nobody learns how they ended.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A worker may be killed, and what it has printed isn't lost.
        sys.stdout.reconfigure(line_buffering=True)
    connection = _serve(socket.socket(fileno=int(sys.argv[1])))
    if connection is not None:
        from fltk.node.worker import work

        work(connection)


def _serve(control: socket.socket) -> Connection[Any, Any] | None:
    """Makes copies until the node ends; returns the connection of a copy, in the copy."""
    # Libraries start their threads with the first import, or when they compute.
    os.environ["OMP_NUM_THREADS"] = "1"
    if sys.platform == "linux":
        # Copies have both.
        import torch  # noqa: F401

        from fltk.node import training  # noqa: F401
    programs: dict[int, subprocess.Popen[bytes]] = {}
    own, has_compiler = os.getpid(), sys.platform != "linux"
    while True:
        message, sockets, _, _ = socket.recv_fds(control, _REQUEST.size, 1)
        if not message:
            return None
        kind, worker = _REQUEST.unpack(message)
        if kind == _ENDED:
            control.sendall(_ANSWER.pack(_reaped(worker, programs.pop(worker, None))))
            continue
        if not sockets:
            # Its end of the socket was lost on the way, as where there are too many open files: the node sees it closed.
            continue
        if kind == _WHOLE and not has_compiler:
            _import_compiler()
            has_compiler = True
        try:
            if not _is_alone():
                command = [sys.executable, "-m", "fltk.node.worker", str(sockets[0]), str(own)]
                started = subprocess.Popen(command, pass_fds=sockets, stdin=subprocess.DEVNULL)
                programs[started.pid] = started
            elif os.fork() == 0:
                control.close()
                end_with_parent(own)
                return Connection(sockets[0])
        except OSError as error:
            # The others go on, and the node asks again.
            print(f"a worker can't be started: {error}", file=sys.stderr, flush=True)
        os.close(sockets[0])


def _reaped(worker: int, program: subprocess.Popen[bytes] | None) -> int:
    """Returns the exit code of a worker that is about to end, negative for a signal; one that doesn't end is killed, and one that isn't a child has none: 0."""
    if program is not None:
        # Nobody else may wait for it: the code would be lost.
        try:
            return program.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            program.kill()
            return program.wait()
    patience = time.monotonic() + _GRACE_S
    try:
        while (ended := os.waitpid(worker, os.WNOHANG))[0] == 0:
            if time.monotonic() > patience:
                os.kill(worker, signal.SIGKILL)
                ended = os.waitpid(worker, 0)
                break
            time.sleep(0.01)
        return os.waitstatus_to_exitcode(ended[1])
    except (ChildProcessError, ProcessLookupError):
        return 0


def _import_compiler() -> None:
    try:
        import torch._dynamo  # noqa: F401 (optimizers import it)
    except Exception as error:
        # The optimizer that needs it says so, too.
        print(f"PyTorch's compiler can't be imported: {error}", file=sys.stderr)


def _is_alone() -> bool:
    """True if this is a process's only thread, as far as the system says."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


if __name__ == "__main__":
    main()
