"""The proof that a node may take part: a certificate of the run's authority, which an invitation brings."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
from pathlib import Path

import grpc

from fltk.node.errors import RefusedError

_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n?", re.DOTALL)


def credentials(arguments: argparse.Namespace) -> grpc.ChannelCredentials | None:
    """Returns the credentials for TLS on both sides; `None` for a connection within this machine.

    Raises:
        RefusedError: if the address needs a proof that isn't given, or it can't be used.
    """
    if not arguments.join.startswith("https:"):
        return None
    if arguments.credentials is not None:
        return _read(arguments.credentials)
    if arguments.invitation is None:
        raise RefusedError("the federator asks for a proof; hint: `--invitation`, as it printed it, or `--credentials FILE`")
    return _read(_enroll(arguments))


def _read(path: Path) -> grpc.ChannelCredentials:
    """Reads a file with a certificate, its authority's, and its key."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise RefusedError(f"`{path}` can't be read: {error}") from error
    blocks = [(match.group(1), match.group(0)) for match in _PEM.finditer(text)]
    certificates = [block for kind, block in blocks if kind == b"CERTIFICATE"]
    keys = [block for kind, block in blocks if kind.endswith(b"PRIVATE KEY")]
    if (len(certificates), len(keys)) != (2, 1):
        raise RefusedError(f"`{path}` has {len(certificates)} certificates and {len(keys)} keys, and needs 2, its own and its authority's, and 1")
    own, authority = certificates
    return grpc.ssl_channel_credentials(root_certificates=authority, private_key=keys[0], certificate_chain=own)


def _enroll(arguments: argparse.Namespace) -> Path:
    """Has the program enroll with an invitation, and returns the file with the credentials. One that was used before brings the same file again."""
    wait = f"{max(1, int(arguments.wait))}s"
    command = [arguments.program, "node", "--enroll", "--join", arguments.join, "--name", arguments.name, "--wait", wait]
    # A command line can be seen by everybody on the machine.
    environment = {**os.environ, "FLTK_INVITATION": arguments.invitation}
    try:
        enrolled = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment)
    except FileNotFoundError:
        raise RefusedError(
            f"the program `{arguments.program}`, which enrolls with an invitation, isn't there; "
            "hint: install it, name it by `FLTK_PROGRAM`, or use `--credentials FILE`, which `fltk pki issue` writes"
        ) from None
    if enrolled.returncode != 0:
        raise RefusedError(enrolled.stderr.strip().removeprefix("error: "))
    return Path(enrolled.stdout.strip())
