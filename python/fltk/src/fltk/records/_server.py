"""Records of a ``fltk serve``, over HTTP: fetched into a temporary folder, and read there."""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from email.message import Message
from typing import IO, TYPE_CHECKING, Any, cast

from . import _files
from ._errors import RecordsError, printable

if TYPE_CHECKING:
    from typing_extensions import Self

# The limit on the time without a byte, in seconds: the server may have to read every journal before it answers.
_STALL_LIMIT = 600
# The largest JSON, as in fltk itself: a million names.
_JSON_BYTES_MAX = 256 << 20
# The longest message of a server, in bytes.
_ERROR_BYTES_MAX = 64 << 10
# The largest file of an archive, as in fltk itself: a checkpoint.
_FILE_BYTES_MAX = 8 << 30
# The largest number of files in an archive.
_FILES_MAX = 1_000_000
# Types that count as files, and aren't plain ones.
_OTHERS = (tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE)
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
# What isn't needed to read a run.
_LEFT_OUT = re.compile(r"client-state|events\.out\..*|metrics\.csv|experiment\.yaml|cluster\.json|trace\.txt|jobs.*|lock")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: the token would be sent to another address."""

    def redirect_request(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str) -> None:
        raise RecordsError(f"`{req.full_url}` redirects to `{printable(newurl)}`\nhint: give that address, if it is the right one")


class _Member(tarfile.TarInfo):
    """A file or a folder of an archive. fltk puts nothing else there, and a header of another kind may ask for any amount of memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Parse a header."""
        member = super().frombuf(buf, encoding, errors)
        if not (member.isfile() or member.isdir()) or member.type in _OTHERS:
            raise RecordsError(f"the archive has `{printable(member.name)}`, which isn't part of a record")
        return member


class Server:
    """A server of records."""

    def __init__(self, address: str, token: str | None, cafile: str | None) -> None:
        self.address = address.rstrip("/")
        parts = urllib.parse.urlsplit(self.address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise RecordsError(f"`{address}` isn't the address of a server\nhint: such as `http://localhost:8080`, where `fltk serve` listens")
        if parts.username is not None:
            raise RecordsError("an address with a user and a password isn't supported\nhint: a token is: `token=...`")
        if token is not None and not re.fullmatch(r"[\x21-\x7e]+", token):
            raise RecordsError("the token has blanks, control characters or letters other than ASCII's, or is empty")
        self._token = token
        try:
            context = ssl.create_default_context(cafile=cafile)
        except OSError as error:
            raise RecordsError(f"can't read the certificates in `{cafile}`: {error}") from error
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirects())

    @contextmanager
    def _get(self, path: str) -> Generator[IO[bytes], None, None]:
        url = self.address + path
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme was checked
        try:
            with self._opener.open(request, timeout=_STALL_LIMIT) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            raise RecordsError(f"`{url}` answers {error.code}: {_message(error)}{self._hint(error.code)}") from None
        except urllib.error.URLError as error:
            raise RecordsError(f"`{url}` can't be read: {printable(str(error.reason))}") from error
        except (http.client.HTTPException, OSError, tarfile.TarError) as error:
            raise RecordsError(f"`{url}` can't be read to its end: {printable(str(error) or type(error).__name__)}") from error

    def _hint(self, code: int) -> str:
        if code != 401:
            return ""
        return "\nhint: the token isn't the server's" if self._token else "\nhint: `token=...`, or the variable FLTK_TOKEN"

    def json(self, path: str) -> Any:
        """Return the JSON at ``path``."""
        with self._get(path) as answer:
            data = answer.read(_JSON_BYTES_MAX + 1)
        try:
            if len(data) > _JSON_BYTES_MAX:
                raise ValueError(f"it has more than {_JSON_BYTES_MAX} bytes")
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise RecordsError(f"`{self.address}{path}` answers with something other than records: {error}\nhint: is it `fltk serve`?") from None

    def names(self) -> list[tuple[str, str]]:
        """Return the kind and the name of each record."""
        records: Any = self.json("/api/v1/records")
        try:
            found = [(str(record["kind"]), str(record["name"])) for record in records]
        except (TypeError, KeyError):
            raise RecordsError(f"`{self.address}` answers with something other than records\nhint: is it `fltk serve`?") from None
        for kind, name in found:
            if kind not in ("run", "stream") or not _NAME.fullmatch(name):
                raise RecordsError(f"`{self.address}` has a {printable(kind)} `{printable(name)}`, which is no folder's name")
        return found

    def running(self) -> set[str]:
        """Return the names of the runs that a process is writing."""
        runs: Any = self.json("/api/v1/runs")
        if not isinstance(runs, list):
            raise RecordsError(f"`{self.address}` answers with something other than runs\nhint: is it `fltk serve`?")
        of_runs = (cast("dict[str, Any]", run) for run in runs if isinstance(run, dict))
        return {str(run.get("run")) for run in of_runs if run.get("status") == "running"}

    def fetch(self, kind: str, name: str, into: str, checkpoints: bool) -> str:
        """Fetch what is needed of a record into a folder of its name in ``into``, and return that folder."""
        folder = os.path.join(into, name)
        os.mkdir(folder)
        with (
            self._get(f"/api/v1/{kind}s/{urllib.parse.quote(name)}/archive") as answer,
            tarfile.open(fileobj=answer, mode="r|", tarinfo=_Member) as archive,
        ):
            for number, member in enumerate(archive):
                if number == _FILES_MAX:
                    raise RecordsError(f"the archive of `{name}` has more than {_FILES_MAX} files")
                parts = member.name.split("/")
                if parts[0] != name or not all(_NAME.fullmatch(part) for part in parts):
                    raise RecordsError(f"the archive of `{name}` has `{printable(member.name)}`, which isn't part of a record")
                inside = parts[1:]
                if not inside or member.isdir() or _LEFT_OUT.fullmatch(inside[0]) or (inside[0] == "checkpoints" and not checkpoints):
                    continue
                _write(archive, member, os.path.join(folder, *inside))
        return folder


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    limit = _FILE_BYTES_MAX if "/checkpoints/" in path else _files.JOURNAL_BYTES_MAX
    content = archive.extractfile(member)
    if content is None or member.size > limit:
        raise RecordsError(f"the archive has `{printable(member.name)}` of {member.size} bytes, more than {limit}")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as file:
        remaining = member.size
        while remaining > 0:
            block = content.read(min(remaining, 1 << 20))
            if not block:
                raise RecordsError(f"the archive ends within `{printable(member.name)}`")
            file.write(block)
            remaining -= len(block)


def _message(error: urllib.error.HTTPError) -> str:
    try:
        said: Any = json.loads(error.read(_ERROR_BYTES_MAX))
        return printable(str(said["error"]))
    except (ValueError, TypeError, KeyError, OSError, http.client.HTTPException):
        return printable(error.reason)
