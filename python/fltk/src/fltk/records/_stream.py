"""A stream of jobs, and what became of each job.

What a job waited for and how it ended follows from the stream's journal, its experiment and its arrivals. fltk alone derives it: the program, or the
server.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .. import _program
from . import _files
from ._errors import NewerError, RecordsError
from ._fields import Fields, parse
from ._table import Cell, Table

_DESCRIPTION = "stream.json"
# The largest `stream.json`.
_DESCRIPTION_BYTES_MAX = 1 << 20
# The columns of jobs, as in `fltk runs jobs`: times are in seconds since the job's replication began.
_COLUMNS = {
    "stream": "text",
    "job": "text",
    "class": "text",
    "replication": "whole",
    "priority": "whole",
    "seed": "seed",
    "state": "text",
    **dict.fromkeys(("began", "arrived", "admitted", "created", "first_pod", "first_step", "ended"), "number"),
    **dict.fromkeys(("queue_seconds", "service_seconds", "response_seconds", "run_seconds"), "number"),
    "suspensions": "whole",
    "pods": "whole",
    "resources": "text",
    "nodes": "text",
    "reason": "text",
    "run": "text",
}


@dataclass(frozen=True)
class Stream:
    """One stream of jobs."""

    path: str
    """Its folder, or its address at a server."""
    name: str
    experiment: str
    started_at: datetime
    _derive: Callable[[], Any] = field(repr=False, compare=False)

    @functools.cached_property
    def jobs(self) -> Table:
        """Its jobs: when they arrived, waited, ran and ended, in seconds since their replication began.

        :raises RecordsError: if they can't be derived: the stream is damaged, or there is no program
        """
        jobs = self._derive()
        if not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
            raise NewerError(f"the jobs of `{self.name}` aren't a list of objects")
        of_jobs = (Fields(job, self.path, None, "jobs.") for job in jobs)
        return Table(_COLUMNS, [_row(self.name, job) for job in of_jobs])


def is_stream(folder: str) -> bool:
    """Return whether ``folder`` is that of a stream, damaged or not."""
    return os.path.lexists(os.path.join(folder, _DESCRIPTION))


def read(folder: str) -> Stream:
    """Return the stream in ``folder``. The program of fltk derives its jobs when they are asked for.

    :raises DamagedError: if its description isn't what fltk wrote
    :raises RecordsError: if it can't be read
    """

    def derive() -> Any:
        try:
            return json.loads(_program.output("runs", "jobs", folder, "--output", "json"))
        except _program.ProgramError as error:
            raise RecordsError(str(error)) from error

    return of(folder, os.path.join(folder, _DESCRIPTION), derive)


def of(path: str, description: str, derive: Callable[[], Any]) -> Stream:
    """Return the stream of the description in this file, whose jobs ``derive`` returns, as ``fltk runs jobs --output json`` has them."""
    fields = parse(_files.read(description, _DESCRIPTION_BYTES_MAX), description)
    return Stream(path, fields.text("run"), fields.text("experiment"), fields.time("started_at"), derive)


def _row(stream: str, job: Fields) -> Sequence[Cell]:
    cells: list[Cell] = [stream]
    for name, kind in list(_COLUMNS.items())[1:]:
        if not job.has(name):
            cells.append(None)
        elif name == "nodes":
            cells.append(" ".join(str(node) for node in job.list(name)))
        elif name == "priority":
            # The only whole number that may be below 0.
            cells.append(int(job.number(name)))
        elif kind == "number":
            cells.append(job.number(name))
        elif kind == "text":
            cells.append(job.text(name))
        else:
            cells.append(job.whole(name))
    return cells


def table(streams: Sequence[Stream]) -> Table:
    """Return the jobs of all streams."""
    return Table(_COLUMNS, (row for stream in streams for row in stream.jobs.rows))
