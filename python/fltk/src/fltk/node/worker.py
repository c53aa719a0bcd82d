"""The processes that compute for a node: one for each worker, each with PyTorch on one thread.

The code of the user's runs there, so that it can neither keep the node from answering the federator nor end it. What it prints goes to standard error.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

from fltk.node.errors import SettingsError
from fltk.node.process import end_with_parent
from fltk.node.zygote import Zygote


class FailedError(Exception):
    """What a worker couldn't do."""

    def __init__(self, reason: str, *, is_of_settings: bool) -> None:
        super().__init__(reason)
        self.is_of_settings = is_of_settings


class Workers:
    """The processes that compute, each a copy of a process that has imported PyTorch. If that ends, the next worker begins with another one."""

    def __init__(self, num: int) -> None:
        self._lock = threading.Lock()
        self._zygote: Zygote | None = None
        self._has_ended = False
        # The first makes the model and evaluates it while the others, which are to train at once, get what an optimizer imports.
        self.all = [Worker(self, is_early=number == 0) for number in range(num)]

    def zygote(self) -> Zygote:
        """Returns the process that makes copies."""
        with self._lock:
            if self._has_ended:
                raise FailedError("the node is ending", is_of_settings=False)
            if self._zygote is not None and not self._zygote.is_running:
                self._zygote.end()
                self._zygote = None
            self._zygote = self._zygote or Zygote()
            return self._zygote

    def end(self) -> None:
        """Ends all processes: the copies end with the one that they are of."""
        with self._lock:
            self._has_ended = True
            if self._zygote is not None:
                self._zygote.end()


class Worker:
    """A process that computes. One that ends is started again with the next request."""

    def __init__(self, workers: Workers, *, is_early: bool) -> None:
        self._workers = workers
        self._zygote: Zygote | None = None
        self._connection: Connection[Any, Any] | None = None
        self._number: int | None = None
        self._job: tuple[Any, ...] | None = None
        self._has_job = False
        self._successor: Connection[Any, Any] | None = None
        self._start(is_early=is_early)

    @property
    def may_train(self) -> bool:
        """False as long as another process, which is about to be there, would train sooner."""
        return self._successor is None or self._successor.poll()

    def take(self, job: tuple[Any, ...]) -> None:
        """Sets the job, which the process loads before its next request."""
        self._job, self._has_job = job, False

    def ask(self, kind: str, *arguments: Any) -> Any:
        """Returns the answer to a request. A process that ends meanwhile, as by a crash of a library, is an error of this machine."""
        if kind == "train" and self._successor is not None:
            self._end()
            self._stop()
            self._connection, self._successor = self._successor, None
            self.wait()
            if self._number is None:
                self._stop()
        if self._has_gone():
            # It is no fault of the request, which another process carries out.
            self._stop()
        if not self._has_job and self._job is not None:
            self._request("job", *self._job)
            self._has_job = True
        return self._request(kind, *arguments)

    def wait(self) -> None:
        """Waits until the process has imported PyTorch, or has ended: until then, another worker may be faster."""
        if self._connection is not None and self._number is None:
            try:
                self._number = self._connection.recv()
            except (EOFError, OSError):
                # The next request says so.
                return

    def _end(self) -> None:
        """Ends the process, if it is known, and nobody else can have its number: that of a copy stays its own until it is asked how the copy ended."""
        number = self._number
        if number is not None and self._zygote is not None and self._zygote.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)

    def _has_gone(self) -> bool:
        """True if the process was there, and has ended while nobody asked anything of it."""
        if self._connection is None or self._number is None:
            return False
        try:
            # A process that is there says nothing unless it is asked.
            return self._connection.poll()
        except OSError:
            return True

    def _start(self, *, is_early: bool = False) -> Connection[Any, Any]:
        self._zygote = self._workers.zygote()
        self._connection = self._zygote.begin(is_early=is_early)
        self._has_job, self._number = False, None
        if self._successor is not None:
            self._successor.close()
        # What optimizers import isn't in an early copy: another one, which has it, takes its place.
        self._successor = self._zygote.begin(is_early=False) if is_early else None
        return self._connection

    def _stop(self) -> int | None:
        """Goes on without the process, which has ended or is about to, and returns its exit code."""
        number, self._number = self._number, None
        if self._connection is not None:
            self._connection.close()
        self._connection, self._has_job = None, False
        return self._zygote.exit_code(number) if self._zygote is not None else None

    def _request(self, kind: str, *arguments: Any) -> Any:
        connection = self._connection or self._start()
        self.wait()
        try:
            connection.send((kind, arguments))
            answer = connection.recv()
        except (EOFError, OSError):
            was_ready = self._number is not None
            code = self._stop()
            ended = "" if code is None else f" with signal {-code}" if code < 0 else f" with exit code {code}"
            when = "" if was_ready else " before it was ready; hint: it needs PyTorch, which `python -c 'import torch'` tries"
            raise FailedError(f"the process of the worker ended{ended}{when}", is_of_settings=False) from None
        if answer[0] == "failed":
            raise FailedError(answer[1], is_of_settings=answer[2])
        return answer[1]


def work(connection: Connection[Any, Any]) -> None:
    """Answers the requests of a node, in this process."""
    from fltk.node.training import serve

    try:
        serve(connection.recv, connection.send)
    except (BrokenPipeError, ConnectionResetError, SettingsError):
        # The node has ended.
        return


def main() -> None:
    """Serves the node whose end of a socket is the first argument. The second is the process that started this one."""
    end_with_parent(int(sys.argv[2]))
    # The node decides when it is over.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    work(Connection(int(sys.argv[1])))


if __name__ == "__main__":
    main()
