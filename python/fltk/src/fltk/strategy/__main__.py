"""`python -m fltk.strategy`: the process of a strategy, which the program starts with its end of a socket as standard input."""

from __future__ import annotations

import os
import signal
import socket
import sys


def main() -> int:
    """Serves the program until that closes the socket."""
    from fltk.node import process

    launcher = os.environ.pop(process.LAUNCHER, "")
    if not launcher.isdigit():
        print("error: this is for the program `fltk`, which starts it for a `strategy: { python: ... }`", file=sys.stderr)
        return 2
    process.end_with_parent(int(launcher))
    # `python -m` puts the current folder first: whether a run goes on mustn't depend on where it is started, nor on modules that nobody compares.
    if sys.path and sys.path[0] == os.getcwd():
        del sys.path[0]
    # The program decides when it is over.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = socket.socket(fileno=os.dup(0))
    # The code reads nothing, and what it prints is for people.
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    from fltk.strategy import frames, worker

    worker.serve(lambda: frames.read(connection.recv_into), lambda *message: frames.write(connection.sendall, *message))
    return 0


if __name__ == "__main__":
    sys.exit(main())
