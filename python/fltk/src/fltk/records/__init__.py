"""Records of runs and streams: as tables, as frames of pandas or polars, as figures by seed, and checkpoints as state dicts.

``read("runs")`` reads a folder, ``read("http://localhost:8080")`` a ``fltk serve``, and ``read("pvc/CLAIM")`` a claim of a Kubernetes cluster. The journal of
a run decides, as for fltk itself: every line has a checksum, which is compared, and damage is an error that names the file and the line.
"""

from ._checkpoint import Checkpoint
from ._errors import DamagedError, NewerError, RecordsError
from ._figures import Figure, Group, figure
from ._history import ClientStep, ClientTest, Milestone, Step, Test, Train
from ._records import Records, read
from ._run import Run
from ._stream import Stream
from ._table import Table

__all__ = [
    "Checkpoint",
    "ClientStep",
    "ClientTest",
    "DamagedError",
    "Figure",
    "Group",
    "Milestone",
    "NewerError",
    "Records",
    "RecordsError",
    "Run",
    "Step",
    "Stream",
    "Table",
    "Test",
    "Train",
    "figure",
    "read",
]
