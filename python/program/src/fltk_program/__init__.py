"""The program fltk, which this wheel carries, and what it needs to find libtorch."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

_LIBTORCH = "libtorch_cpu.so"
_LIBRARY_PATH = "LD_LIBRARY_PATH"


def path() -> Path:
    """Return the path of the program. The part that computes is beside it."""
    return Path(__file__).resolve().parent / "bin" / "fltk"


def environment() -> dict[str, str]:
    """Return the variables that the program needs in addition to the environment.

    It looks for libtorch in the package ``torch`` beside this one. If that is elsewhere, as in an environment that uses another's packages, the folder of
    its libraries is named.
    """
    if (path().parents[2] / "torch" / "lib" / _LIBTORCH).exists():
        return {}
    # This doesn't import it.
    spec = importlib.util.find_spec("torch")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        libraries = Path(folder) / "lib"
        if (libraries / _LIBTORCH).exists():
            before = os.environ.get(_LIBRARY_PATH)
            return {_LIBRARY_PATH: f"{libraries}:{before}" if before else str(libraries)}
    # Commands that don't train work all the same, and the others say which library is missing.
    return {}


def main() -> None:
    """Become the program, with this command line."""
    program = str(path())
    try:
        os.execve(program, ["fltk", *sys.argv[1:]], {**os.environ, **environment()})  # noqa: S606 - there is no shell
    except OSError as error:
        sys.exit(f"error: can't run `{program}`: {error.strerror}")
