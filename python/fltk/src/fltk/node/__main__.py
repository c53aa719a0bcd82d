"""`python -m fltk.node`: takes part in a federated run whose net is a module in Python, or with a module of its own in place of the run's net."""

from __future__ import annotations

import argparse
import ipaddress
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from fltk import _program
from fltk.node import process
from fltk.node.worker import Workers


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m fltk.node",
        description="Takes part in a federated run whose net is a module in Python. The node runs the code that the federator sends, unless it has its own.",
    )
    parser.add_argument(
        "--join", required=True, metavar="ADDRESS", help="the federator: https://example.com:7400, http://localhost:7400 (--insecure there), or unix:PATH"
    )
    proof = parser.add_mutually_exclusive_group()
    proof.add_argument("--credentials", type=Path, metavar="FILE", help="a certificate of the federator's authority, as `fltk pki issue` writes it")
    proof.add_argument(
        "--invitation",
        metavar="TEXT",
        help="the invitation that the federator printed; the program `fltk` enrolls with it. FLTK_INVITATION says the same, and is seen by nobody else",
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="the clients that it trains at a time (default: the cores)")
    parser.add_argument("--name", help="its name for people (default: that of its client, or of this machine)")
    parser.add_argument(
        "--wait", type=float, default=600.0, metavar="SECONDS", help="the time for which it calls a federator that doesn't answer (default: 600)"
    )
    parser.add_argument(
        "--arrays", type=Path, metavar="DIR", help="the samples, as `fltk data arrays` wrote them (default: it runs that command if they are needed)"
    )
    parser.add_argument("--data", metavar="DIR", help="the folder of data sets for `fltk data arrays`; with `--client`, the folder of the client's data set")
    parser.add_argument(
        "--client", default="", metavar="NAME", help="the client whose data it has, if the clients of the run have data of their own (`data: here`)"
    )
    parser.add_argument(
        "--model",
        metavar="FILE:NAME",
        help="a module of its own in place of the run's net, which nodes in Rust train: a function that makes it, or a class of clients. "
        "It needs `--client`, and the tensors of the run's net",
    )
    parser.add_argument(
        "--program", metavar="PATH", help="the program `fltk` (default: FLTK_PROGRAM, or the one of the wheel `fltk-program`, or the one on the path)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    arguments = parser.parse_args()
    if arguments.client and arguments.data is None and arguments.arrays is None:
        parser.error("`--client` needs `--data`, the folder of the client's data set")
    arguments.name = arguments.client or arguments.name or socket.gethostname()
    if arguments.program is None:
        try:
            arguments.program, variables = _program.find()
            os.environ.update(variables)
        except _program.ProgramError:
            # Only an invitation and the samples need it, and name it then.
            arguments.program = os.environ.get(_program.VARIABLE) or "fltk"
    if arguments.credentials is None and arguments.invitation is None:
        arguments.invitation = os.environ.get("FLTK_INVITATION")
    return arguments


def main() -> int:
    """Runs the command, and returns its exit code."""
    # What it wrote goes with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = _arguments()
    launcher = os.environ.pop(process.LAUNCHER, "")
    if launcher.isdigit():
        process.end_with_parent(int(launcher))
    # PyTorch is imported while this process imports gRPC, and calls.
    workers = Workers(max(1, arguments.workers))
    try:
        return _take_part(arguments, workers)
    except KeyboardInterrupt:
        return 130
    finally:
        workers.end()


def _take_part(arguments: argparse.Namespace, workers: Workers) -> int:
    try:
        from fltk.node import access, session
        from fltk.node.errors import RefusedError
    except ModuleNotFoundError as error:
        print(f"error: the package `{error.name}` isn't there\nhint: `pip install 'fltk[node]'`", file=sys.stderr)
        return 1
    try:
        with tempfile.TemporaryDirectory(prefix="fltk-node-") as folder:
            options = session.Options(
                address=_address(arguments.join),
                credentials=access.credentials(arguments),
                name=arguments.name,
                patience_s=arguments.wait,
                arrays=arguments.arrays,
                data=arguments.data,
                program=arguments.program,
                client=arguments.client,
                model=arguments.model,
                is_quiet=arguments.quiet,
            )
            ended = session.Node(options, Path(folder), workers).take_part()
    except RefusedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not arguments.quiet:
        print(ended, file=sys.stderr)
    return 0


def _address(join: str) -> str:
    if join.startswith("unix:"):
        return join
    problem = "hint: https://example.com:7400, as the federator printed it"
    try:
        parts = urlsplit(join)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port is not None and "@" not in parts.netloc
    except ValueError:
        is_address = False
    if not is_address:
        print(f"error: `{join}` is no address\n{problem}", file=sys.stderr)
        raise SystemExit(2)
    if parts.scheme == "http" and not _is_here(parts.hostname or ""):
        print(f"error: `{join}` is another machine, and `http` has no encryption\n{problem}, with its invitation", file=sys.stderr)
        raise SystemExit(2)
    return parts.netloc


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    # Threads that wait for the network have nothing to finish.
    code = main()
    sys.stderr.flush()
    os._exit(code)
