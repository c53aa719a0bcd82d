"""Files of folders that may come from elsewhere: no links, no pipes, limited sizes."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from ._errors import DamagedError, RecordsError

# The largest journal, as in fltk itself: about two million records of clients.
JOURNAL_BYTES_MAX = 512 << 20
# The largest `run.json`, as in fltk itself.
DESCRIPTION_BYTES_MAX = 1 << 20
# The largest number of names in a folder, as in fltk itself.
NAMES_MAX = 1_000_000


def read(path: str, bytes_max: int) -> bytes:
    """Return the content of a plain file of at most ``bytes_max`` bytes."""
    try:
        # Opening a pipe would wait for its other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise DamagedError(path, "it is a link, not a file") from None
        raise RecordsError(f"can't read `{path}`: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DamagedError(path, "it is not a plain file")
        try:
            # A file may have grown since its size was asked for.
            content = file.read(bytes_max + 1)
        except OSError as error:
            raise RecordsError(f"can't read `{path}`: {error.strerror}") from error
    if len(content) > bytes_max:
        raise DamagedError(path, f"it has more than {bytes_max} bytes")
    return content


def names(folder: str) -> list[str]:
    """Return the names in a folder that aren't hidden, sorted."""
    found: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if len(found) == NAMES_MAX:
                    raise RecordsError(f"`{folder}` has more than {NAMES_MAX} files")
                if not entry.name.startswith("."):
                    found.append(entry.name)
    except OSError as error:
        raise RecordsError(f"can't list `{folder}`: {error.strerror}") from error
    return sorted(found)


def is_locked(folder: str) -> bool:
    """Return whether a process is writing the run or stream in ``folder``."""
    try:
        descriptor = os.open(os.path.join(folder, "lock"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES)
    finally:
        # This gives the lock back too.
        os.close(descriptor)
    return False
