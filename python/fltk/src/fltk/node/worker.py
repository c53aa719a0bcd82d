"""The processes that compute for a node: one for each worker, each with PyTorch on one thread.

The code of the user's runs there, so that it can neither keep the node from answering the federator nor end it. What it prints goes to standard error.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from typing import Any

from fltk.node.errors import SettingsError
from fltk.node.process import end_with_parent


class FailedError(Exception):
    """What a worker couldn't do."""

    def __init__(self, reason: str, *, is_of_settings: bool) -> None:
        super().__init__(reason)
        self.is_of_settings = is_of_settings


class Worker:
    """A process that computes. One that ends is started again with the next request."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None
        self._job: tuple[Any, ...] | None = None
        self._has_job = False
        self._is_ready = False
        self._start()

    def take(self, job: tuple[Any, ...]) -> None:
        """Sets the job, which the process loads before its next request."""
        self._job, self._has_job = job, False

    def ask(self, kind: str, *arguments: Any) -> Any:
        """Returns the answer to a request. A process that ends meanwhile, as by a crash of a library, is an error of this machine."""
        if not self._has_job and self._job is not None:
            self._request("job", *self._job)
            self._has_job = True
        return self._request(kind, *arguments)

    def wait(self) -> None:
        """Waits until the process has imported PyTorch, or has ended: until then, another worker may be faster."""
        if self._connection is not None and not self._is_ready:
            try:
                self._connection.recv()
                self._is_ready = True
            except (EOFError, OSError):
                # The next request says so.
                return

    def end(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _start(self) -> tuple[Connection[Any, Any], subprocess.Popen[bytes]]:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fltk.node.worker", str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
            )
        self._connection = Connection(ours.detach())
        self._has_job, self._is_ready = False, False
        return self._connection, self._process

    def _request(self, kind: str, *arguments: Any) -> Any:
        connection, process = self._connection, self._process
        if connection is None or process is None:
            connection, process = self._start()
        self.wait()
        try:
            connection.send((kind, arguments))
            answer = connection.recv()
        except (EOFError, OSError):
            connection.close()
            self._connection, self._has_job = None, False
            code = process.wait()
            ended = f"signal {-code}" if code < 0 else f"exit code {code}"
            when = "" if self._is_ready else " before it was ready; hint: it needs PyTorch, which `python -c 'import torch'` tries"
            raise FailedError(f"the process of the worker ended with {ended}{when}", is_of_settings=False) from None
        if answer[0] == "failed":
            raise FailedError(answer[1], is_of_settings=answer[2])
        return answer[1]


def main() -> None:
    """Serves the node that started this process, whose end of a socket is the first argument."""
    end_with_parent(int(sys.argv[2]))
    # The node decides when it is over.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection: Connection[Any, Any] = Connection(int(sys.argv[1]))
    from fltk.node.training import serve

    try:
        serve(connection.recv, connection.send)
    except (BrokenPipeError, ConnectionResetError, SettingsError):
        # The node has ended.
        return


if __name__ == "__main__":
    main()
