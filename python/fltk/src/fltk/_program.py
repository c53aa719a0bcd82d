"""The program of fltk: where it is, and what it prints."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess

# The variable that names the program.
VARIABLE = "FLTK_PROGRAM"
_NAME = "fltk"
# The longest wait for a command that only reads records, in seconds: a stream of 15,000 jobs takes two.
_READ_LIMIT = 600


class ProgramError(Exception):
    """The program isn't there, or ends with an error, whose message this has."""

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        """The exit code, of which ``fltk --help`` has a table; None if the program wasn't started."""


def find() -> tuple[str, dict[str, str]]:
    """Return the path of the program, and the variables that it needs in addition to the environment.

    It is the one that the variable FLTK_PROGRAM names; or else the one that the wheel ``fltk-program`` brought into this environment; or else the one in
    the folders of PATH.

    :raises ProgramError: if there is none
    """
    named = os.environ.get(VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise ProgramError(f"the variable {VARIABLE} names `{named}`, which is no program")
        return os.path.abspath(found), {}
    try:
        import fltk_program
    except ImportError:
        pass
    else:
        return str(fltk_program.path()), dict(fltk_program.environment())
    found = shutil.which(_NAME)
    if found is None:
        raise ProgramError(
            f"there is no program `{_NAME}`: not in this environment, and not in the folders of PATH\n"
            f"hint: install the wheel `fltk-program`, or name the program in the variable {VARIABLE}, such as `{VARIABLE}=target/release/fltk`"
        )
    return os.path.abspath(found), {}


def output(*arguments: str, limit: int = _READ_LIMIT) -> str:
    """Return what the program prints with these arguments.

    :raises ProgramError: if it ends with an error, or doesn't end
    """
    program, variables = find()
    try:
        done = subprocess.run(
            [program, *arguments],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=limit,
        )
    except OSError as error:
        raise ProgramError(f"can't start `{program}`: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"`fltk {' '.join(arguments)}` was ended: it took more than {limit} s") from error
    if done.returncode != 0:
        raise failed(done.returncode, done.stderr.decode("utf-8", "replace"))
    return done.stdout.decode("utf-8", "replace")


def failed(exit_code: int, messages: str) -> ProgramError:
    """Return the error of a program that ended with ``exit_code`` after these messages."""
    if exit_code < 0:
        return ProgramError(f"fltk was ended by {signal.Signals(-exit_code).name}\n{messages}".strip(), exit_code)
    # Everything from the first error on: a file has all of its errors at once.
    begin = re.search(r"^error: ", messages, re.MULTILINE)
    text = messages[begin.end() :] if begin else messages
    return ProgramError(text.strip() or f"fltk ended with exit code {exit_code}", exit_code)
