"""Tests of records over HTTP, from the real server and from hostile ones."""

from __future__ import annotations

import http.server
import io
import socket
import subprocess
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import FOLDERS

from fltk import records

Answer = Callable[[str], tuple[int, bytes]]


@contextmanager
def served(program: str, runs: Path, *arguments: str) -> Iterator[str]:
    """Serve a folder with the real program."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with subprocess.Popen([program, "serve", "--runs", runs, "--listen", address, *arguments], stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    urllib.request.urlopen(f"http://{address}/healthz", timeout=10).close()
                    break
                except OSError:
                    assert server.poll() is None and time.monotonic() < deadline
                    time.sleep(0.02)
            yield f"http://{address}"
        finally:
            server.terminate()


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """Serve what ``answer`` returns for a path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, body = answer(self.path)
            self.send_response(code)
            if code == 302:
                self.send_header("Location", body.decode())
            self.send_header("Content-Length", str(len(body) + (1 if b"cut off" in body else 0)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("folder", ["0.1.0", "0.1.0-virtual-time"])
def test_records_of_a_server_are_those_of_the_folder(folder: str, program: str) -> None:
    here = records.read(FOLDERS / folder / "runs")
    with served(program, FOLDERS / folder / "runs") as address:
        there = records.read(address)
        assert there.table().rows == here.table().rows
        assert there.steps().rows == here.steps().rows
        assert there.clients().rows == here.clients().rows
        columns = [index for index, name in enumerate(here.jobs().columns) if name != "run"]
        assert [[row[at] for at in columns] for row in there.jobs().rows] == [[row[at] for at in columns] for row in here.jobs().rows]


def test_checkpoints_are_fetched_if_asked_for(program: str, runs: Path) -> None:
    pytest.importorskip("safetensors")
    with served(program, runs) as address:
        assert records.read(address).runs[0].checkpoints() == []
        run = records.read(address, checkpoints=True).runs[0]
    # The server isn't needed any more.
    folder = Path(run.path)
    newest = run.checkpoints()[-1]
    assert newest.parameters_sha256 == run.parameters_sha256 and newest.arrays()
    del run, newest
    assert not folder.exists(), "the temporary folder goes with the last run"


def test_a_token_is_needed_and_shown(program: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("secret-of-the-test\n")
    monkeypatch.delenv("FLTK_TOKEN", raising=False)
    with served(program, runs, "--token-file", str(tmp_path / "token")) as address:
        with pytest.raises(records.RecordsError, match=r"answers 401.*\nhint: `token=...`, or the variable FLTK_TOKEN"):
            records.read(address)
        with pytest.raises(records.RecordsError, match="hint: the token isn't the server's"):
            records.read(address, token="another")  # noqa: S106
        assert len(records.read(address, token="secret-of-the-test").runs) == 6  # noqa: S106
        monkeypatch.setenv("FLTK_TOKEN", "secret-of-the-test")
        assert len(records.read(address).runs) == 6


def archive(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.type, member.linkname = len(content), kind, "/etc/passwd"
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def hostile(archive: bytes, names: bytes = b'[{"kind":"run","name":"a"}]') -> Answer:
    answers = {"/api/v1/runs": b"[]", "/api/v1/records": names}
    return lambda path: (200, answers.get(path, archive))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (hostile(archive("a/../../b")), "`a/../../b`, which isn't part of a record"),
        (hostile(archive("/tmp/a")), "which isn't part of a record"),
        (hostile(archive("b/run.json")), "which isn't part of a record"),
        (hostile(archive("a/run.json", kind=tarfile.SYMTYPE)), "which isn't part of a record"),
        (hostile(archive("a/journal.jsonl", b"x" * 100, kind=tarfile.XHDTYPE)), "which isn't part of a record"),
        (hostile(archive("a/journal.jsonl", b"x" * 100, kind=tarfile.GNUTYPE_LONGNAME)), "which isn't part of a record"),
        (hostile(archive("a/journal.jsonl", kind=tarfile.FIFOTYPE)), "which isn't part of a record"),
        (hostile(archive("a/journal.jsonl", b"x" * 3000)[:1536]), "can't be read to its end|ends within"),
        (hostile(b"cut off"), "can't be read to its end"),
        (hostile(b"", b'[{"kind":"run","name":"../a"}]'), "which is no folder's name"),
        (hostile(b"", b'[{"kind":"run"}]'), "something other than records"),
        (hostile(b"", b"{"), "hint: is it `fltk serve`"),
        (lambda _: (500, b'{"error": "no\\u001b[31m disk"}'), r"answers 500: no \[31m disk"),
        (lambda _: (302, b"http://127.0.0.1:1/api"), "redirects to `http://127.0.0.1:1/api`"),
    ],
)
def test_hostile_servers_write_nothing_elsewhere(answer: Answer, message: str) -> None:
    with answering(answer) as address, pytest.raises(records.RecordsError, match=message):
        records.read(address, token="a")  # noqa: S106


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://", "isn't the address of a server"),
        ("http://localhost:8080?a=b", "isn't the address of a server"),
        ("http://" + "user:secret" + "@localhost", "a user and a password isn't supported"),
        ("http://127.0.0.1:1", "can't be read"),
    ],
)
def test_addresses_are_checked(address: str, message: str) -> None:
    with pytest.raises(records.RecordsError, match=message) as error:
        records.read(address)
    assert "secret" not in str(error.value)


def test_a_token_can_smuggle_no_header() -> None:
    with pytest.raises(records.RecordsError, match="the token has blanks"):
        records.read("http://127.0.0.1:1", token="a\r\nHost: b")  # noqa: S106


def test_certificates_are_compared(tmp_path: Path, program: str, runs: Path) -> None:
    """The server is behind a proxy that speaks TLS, as docs/records.md says."""
    import ssl

    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate), *subject]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no `openssl`")
    with served(program, runs) as address:

        def forward(path: str) -> tuple[int, bytes]:
            with urllib.request.urlopen(address + path, timeout=60) as answer:
                return answer.status, answer.read()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                code, body = forward(self.path)
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        proxy.socket = context.wrap_socket(proxy.socket, server_side=True)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            secure = f"https://127.0.0.1:{proxy.server_address[1]}"
            assert len(records.read(secure, cafile=str(certificate)).runs) == 6
            with pytest.raises(records.RecordsError, match="certificate verify failed"):
                records.read(secure)
        finally:
            proxy.shutdown()
            proxy.server_close()
    with pytest.raises(records.RecordsError, match="can't read the certificates"):
        records.read("https://127.0.0.1:1", cafile=str(tmp_path / "nothing"))


def test_a_claim_is_copied_by_the_program(program: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no cluster here: the real program gets the address of a server in place of the claim."""
    with served(program, runs) as address:
        instead = tmp_path / "fltk"
        instead.write_text(
            "#!/bin/sh\n"
            '[ "$1 $2 $3 $4 $6 $7" = "extract --from pvc/logs/stage --into --namespace training" ] || exit 9\n'
            f'exec {program} extract --from {address} --into "$5"\n'
        )
        instead.chmod(0o755)
        monkeypatch.setenv("FLTK_PROGRAM", str(instead))
        read = records.read("pvc/logs/stage", namespace="training")
        assert read.steps().rows == records.read(runs).steps().rows
        assert read.runs[0].checkpoints()
        with pytest.raises(records.RecordsError, match="exit code 9"):
            records.read("pvc/logs")
