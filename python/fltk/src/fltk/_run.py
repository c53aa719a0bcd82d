"""Starting the program, with its progress, and the records of what it ran."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from . import _program, records
from ._program import ProgramError

if TYPE_CHECKING:
    from collections.abc import Callable

# The time that an interrupted program gets to end by itself, in seconds: as long as it gives its own jobs.
_END_LIMIT = 15.0
# The last bytes of the messages that are kept for an error.
_MESSAGES_MAX = 64 << 10
# A line of progress, such as `round   2/20  accuracy 0.7030  loss 0.7729`.
_PROGRESS = re.compile(r"(round|epoch)\s+(\d+)/(\d+)\s*(.*)")
# The width of the bar, in characters.
_BAR = 20

Value = str | int | float | bool | None | Sequence["Value"] | Mapping[str, "Value"]


class RunError(Exception):
    """A run failed, or couldn't begin. The message is the program's own."""

    def __init__(self, message: str, exit_code: int | None, found: records.Records) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        """The exit code, of which ``fltk --help`` has a table; None if the program wasn't started."""
        self.records = found
        """The runs that ended well all the same."""


def run(
    file: str | os.PathLike[str] | None = None,
    *,
    set: Mapping[str, Value] | None = None,  # noqa: A002
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    id: str | None = None,  # noqa: A002
    resume: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> records.Records:
    """Run an experiment on this machine, and return the records of its runs, and of its stream if it has one.

    :param file: the experiment file
    :param set: values to replace in the file, by path, such as ``{"tasks.0.federated.rounds": 5}``
    :param seed: the seed to use instead of those in the file
    :param out: the folder in which the runs' folders are made, by default that in the variable FLTK_RUNS, or ``runs``
    :param id: a name for the runs: if they are started again with the same name and file, they go on where they stopped, or are found finished
    :param resume: the folder of an interrupted run or stream to resume, instead of a file
    :param data: the cache folder of data sets
    :param workers: the number of clients that are trained at once
    :param progress: whether the program's progress and messages are shown, on standard error
    :raises RunError: if the program isn't there, the file is wrong, or a run fails
    :raises KeyboardInterrupt: after Ctrl-C, once the program has ended
    """
    if (file is None) == (resume is None):
        raise TypeError("one of `file` and `resume` is needed, and not both")
    arguments = ["run", "--output", "json"]
    for path, value in (set or {}).items():
        # JSON is YAML.
        arguments += ["--set", f"{path}={json.dumps(value, allow_nan=False)}"]
    options = {"runs": out, "seed": seed, "id": id, "data": data, "workers": workers, "resume": resume}
    arguments += [f"--{name}={value}" for name, value in options.items() if value is not None]
    # What begins with a dash is a file all the same.
    arguments += ["--", os.fspath(file)] if file is not None else []
    try:
        program, variables = _program.find()
        result, messages, exit_code = _execute([program, *arguments], {**os.environ, **variables}, progress)
    except ProgramError as error:
        raise RunError(str(error), error.exit_code, records.Records([])) from error
    found = _records(result)
    if exit_code != 0:
        raise RunError(str(_program.failed(exit_code, messages)), exit_code, found)
    return found


def _execute(command: list[str], environment: Mapping[str, str], progress: bool) -> tuple[str, str, int]:
    """Run a command; return its output, the end of its messages, and its exit code."""
    try:
        # In a group of its own, so that Ctrl-C reaches it once: from here.
        child = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramError(f"can't start `{command[0]}`: {error.strerror}") from error
    with child:
        output: list[bytes] = []
        reader = threading.Thread(target=_drain, args=(child.stdout, output), daemon=True)
        reader.start()
        try:
            messages = _follow(child.stderr, _shower() if progress else _Shower())
            exit_code = child.wait()
        except BaseException:
            _end(child)
            raise
        reader.join()
    return b"".join(output).decode("utf-8", "replace"), messages, exit_code


def _drain(pipe: IO[bytes] | None, into: list[bytes]) -> None:
    while pipe is not None and (block := pipe.read(1 << 16)):
        into.append(block)


def _follow(pipe: IO[bytes] | None, shower: _Shower) -> str:
    """Show the program's messages as they come, and return the last of them."""
    kept = ""
    with shower:
        for line in pipe or ():
            text = line.decode("utf-8", "replace").rstrip("\n")
            kept = f"{kept}{text}\n"[-_MESSAGES_MAX:]
            shower.line(text)
    return kept


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a program as Ctrl-C does; kill it if it doesn't end."""
    # A second Ctrl-C may interrupt the wait: whatever happens, no program is left.
    try:
        child.send_signal(signal.SIGINT)
        child.wait(_END_LIMIT)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if child.poll() is None:
            child.kill()


def _records(result: str) -> records.Records:
    """Return the records that the program's JSON names: of one run, of several, or of the jobs of a stream."""
    try:
        document: Any = json.loads(result)
    except ValueError:
        return records.Records([])
    jobs: list[Any] = []
    if isinstance(document, dict):
        runs: list[Any] = document.get("runs", [document])
    else:
        runs = jobs = list(document)
    of_runs = [records.read(str(run["run"])).runs[0] for run in runs if run.get("run")]
    # A stream's jobs have the name of the stream, and their own; its folder is beside theirs.
    folders = {
        os.path.join(os.path.dirname(run.path), run.group_name.removesuffix(f"-{job['job']}"))
        for run in of_runs
        for job in jobs
        if run.group_name is not None and run.group_name.endswith(f"-{job['job']}")
    }
    streams = [stream for folder in sorted(folders) for stream in records.read(folder).streams]
    return records.Records(of_runs, streams)


class _Shower:
    """Shows nothing."""

    def __enter__(self) -> _Shower:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def line(self, text: str) -> None:
        """Show a line of the program."""


class _Lines(_Shower):
    """Shows each line as it is."""

    def line(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class _Bar(_Shower):
    """Shows the progress of the present run in one line that is written anew, and the other lines above it."""

    def __init__(self) -> None:
        self._width = 0

    def __exit__(self, *_: object) -> None:
        if self._width:
            print(file=sys.stderr, flush=True)

    def line(self, text: str) -> None:
        progress = _PROGRESS.fullmatch(text)
        if progress is None:
            end = "\n"
            shown, self._width = text.ljust(self._width), 0
        else:
            unit, step, steps, rest = progress.groups()
            done = _BAR * min(int(step), int(steps)) // max(int(steps), 1)
            shown, end = f"{unit} {step}/{steps} [{'#' * done}{'.' * (_BAR - done)}] {rest}", ""
            # The end of a run stays.
            if step == steps:
                shown, end = shown.ljust(self._width), "\n"
            shown, self._width = shown.ljust(self._width), 0 if end else len(shown)
        print(f"\r{shown}", end=end, file=sys.stderr, flush=True)


class _Tqdm(_Shower):
    """Shows the progress with tqdm."""

    def __init__(self, tqdm: Callable[..., Any]) -> None:
        self._tqdm = tqdm
        self._bar: Any = None

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def line(self, text: str) -> None:
        progress = _PROGRESS.fullmatch(text)
        if progress is None:
            self.__exit__()
            print(text, file=sys.stderr, flush=True)
            return
        unit, step, steps, rest = progress.groups()
        if self._bar is None:
            self._bar = self._tqdm(total=int(steps), unit=unit, file=sys.stderr)
        self._bar.set_postfix_str(rest, refresh=False)
        self._bar.update(int(step) - self._bar.n)
        self._bar.refresh()


def _shower() -> _Shower:
    if not (sys.stderr.isatty() or _in_notebook()):
        return _Lines()
    try:
        from tqdm import tqdm
    except ImportError:
        return _Bar()
    return _Tqdm(tqdm)


def _in_notebook() -> bool:
    # The kernel's standard error isn't a terminal, and shows a line that is written anew.
    return type(sys.stderr).__module__.startswith("ipykernel")
