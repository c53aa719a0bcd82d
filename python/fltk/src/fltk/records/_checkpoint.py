"""Checkpoints: a folder with a model, and a manifest of its files with their digests."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import _files
from ._errors import DamagedError, RecordsError
from ._fields import Fields, parse
from ._history import Milestone

if TYPE_CHECKING:
    import numpy
    import torch

# Limits and names as in fltk itself.
_MANIFEST = "manifest.json"
_MANIFEST_BYTES_MAX = 2 << 20
_FILES_MAX = 4096
_BYTES_MAX = 8 << 30
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk that the run's journal has."""

    unit: str
    """``round`` or ``epoch``."""
    at: Milestone
    """The point of the run at which it was taken."""
    path: str
    """Its folder."""
    parameters_sha256: str
    """The digest of parameters and buffers, from the journal."""
    files: Mapping[str, tuple[int, str]]
    """The size and the SHA-256 of each file."""
    _keep: object = field(default=None, repr=False, compare=False)

    def read(self, file: str = "model.safetensors") -> bytes:
        """Return the content of a file, whose digest was compared.

        :raises DamagedError: if the file isn't what was saved
        :raises RecordsError: if the checkpoint has no such file, or it can't be read
        """
        if file not in self.files:
            raise RecordsError(f"the checkpoint `{self.path}` has no `{file}`\nhint: it has {', '.join(f'`{name}`' for name in self.files)}")
        num_bytes, sha256 = self.files[file]
        path = os.path.join(self.path, file)
        content = _files.read(path, _BYTES_MAX)
        if len(content) != num_bytes or hashlib.sha256(content).hexdigest() != sha256:
            raise DamagedError(path, "its size or digest is another than in the manifest")
        return content

    def state_dict(self, file: str = "model.safetensors") -> dict[str, torch.Tensor]:
        """Return the tensors of a file, by name: what ``Module.load_state_dict`` takes. Needs ``torch`` and ``safetensors``."""
        from safetensors.torch import load

        tensors: dict[str, torch.Tensor] = load(self.read(file))
        return tensors

    def arrays(self, file: str = "model.safetensors") -> dict[str, numpy.ndarray[Any, Any]]:
        """Return the same as arrays. Needs ``numpy`` and ``safetensors``."""
        from safetensors.numpy import load

        arrays: dict[str, numpy.ndarray[Any, Any]] = load(self.read(file))
        return arrays


def folder_of(run: str, unit: str, at: Milestone) -> str:
    """Return the folder of a checkpoint."""
    name = f"{unit}-{at.completed:06}" + (f"-step-{at.steps:06}" if at.steps else "")
    return os.path.join(run, "checkpoints", name)


def read(run: str, unit: str, at: Milestone, parameters_sha256: str, keep: object) -> Checkpoint | None:
    """Return the checkpoint of the run in the folder ``run`` at ``at``; None if it isn't on disk any more.

    :raises DamagedError: if its manifest isn't one that fltk writes
    """
    folder = folder_of(run, unit, at)
    # A link would lead to another run's.
    for part in (os.path.dirname(folder), folder):
        if os.path.islink(part):
            raise DamagedError(part, "it is a link, not a folder")
    if not os.path.isdir(folder):
        return None
    path = os.path.join(folder, _MANIFEST)
    manifest = parse(_files.read(path, _MANIFEST_BYTES_MAX), path)
    if manifest.whole("format") != 1:
        raise manifest.error(f"it has format {manifest.values['format']}, and this version knows 1")
    place = manifest.values.get("at")
    expected: object = {"completed": at.completed, "steps": at.steps} if at.steps else at.completed
    if (manifest.text("unit"), place) != (unit, expected):
        raise manifest.error("it is of another checkpoint")
    return Checkpoint(unit, at, folder, parameters_sha256, _digests(manifest.inner("files")), keep)


def _digests(files: Fields) -> dict[str, tuple[int, str]]:
    if len(files.values) > _FILES_MAX:
        raise files.error(f"it names {len(files.values)} files")
    digests: dict[str, tuple[int, str]] = {}
    for name in sorted(files.values):
        if not _NAME.fullmatch(name) or name == _MANIFEST:
            raise files.error(f"it names a file `{name}`")
        digests[name] = (files.inner(name).whole("num_bytes"), files.inner(name).text("sha256"))
    return digests
