"""The samples of a data set as the program wrote them (`fltk data arrays`), and the batches that its own nodes train on, in the same order.

Files are NumPy arrays that are mapped, not read, so many processes share them. Numbers become floats by a table that the program wrote: they have its bits.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fltk.node.client import Job
from fltk.node.errors import MachineError, SettingsError
from fltk.node.streams import Stream

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

DESCRIPTION = "arrays.json"
"""The file of the folder that describes the others."""

FORMAT = 1
"""The form of the folder that this package reads."""

CROP = 4
"""The pixels by which a random crop may move an image in each direction."""


@dataclass(frozen=True)
class Arrays:
    """The folder of the arrays, and the command that makes it if it isn't there."""

    folder: Path
    command: tuple[str, ...] = ()
    client: str | None = None
    """The client whose data they have to be; `None` if they are the samples of all."""

    def open(self) -> Path:
        """Returns the folder, which is made with the first use; processes that come at the same time wait for one of them."""
        import fcntl

        # The description is written last: without it, the folder is being made, or whoever made it was interrupted.
        whole = self.folder / DESCRIPTION
        if self.command and not whole.exists():
            with self.folder.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not whole.exists():
                    shutil.rmtree(self.folder, ignore_errors=True)
                    self._make()
        return self.folder

    def _make(self) -> None:
        try:
            made = subprocess.run(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        except FileNotFoundError:
            raise MachineError(
                f"the program `{self.command[0]}`, which writes the samples, isn't there; "
                "hint: install it, name it by `FLTK_PROGRAM`, or give `--arrays` the folder that `fltk data arrays` wrote elsewhere"
            ) from None
        if made.returncode != 0:
            raise MachineError(f"the samples can't be written: {made.stderr.decode(errors='replace').strip()}")


def _owner(client: object) -> str:
    return "all clients" if client is None else f"the client `{client}`"


class Samples:
    """The samples of a folder, and which of them each client has."""

    def __init__(self, folder: Path, job: Job, client: str | None = None) -> None:
        import numpy as np

        self.folder = folder
        self.job = job
        try:
            self.description: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text())
        except (OSError, ValueError) as error:
            raise MachineError(f"the samples in `{folder}` can't be read: {error}") from error
        if self.description.get("format") != FORMAT:
            raise MachineError(f"the samples in `{folder}` are in form {self.description.get('format')}, and this package reads form {FORMAT}")
        if (found := self.description.get("client")) != client:
            raise MachineError(
                f"the samples in `{folder}` are those of {_owner(found)}, and here are needed those of {_owner(client)}; "
                "hint: `fltk data arrays --client NAME --data DIR` writes those of a client"
            )
        if any(job.data) and bytes.fromhex(self.description["data"]) != job.data:
            raise MachineError("this node has other training data than the federator; hint: give both the same data set: `fltk data verify` checks it")
        if self.description.get("seed") != job.seed:
            raise MachineError(
                f"the samples in `{folder}` are divided with the seed {self.description.get('seed')}, and this run has {job.seed}; "
                "hint: write them anew with `fltk data arrays`, from the run's own experiment file"
            )
        self.kind: str = self.description["kind"]

        def array(name: str) -> np.ndarray[Any, Any]:
            path = folder / f"{name}.npy"
            try:
                # A plain view: NumPy's class for mapped files does more work for each slice.
                loaded: np.ndarray[Any, Any] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
            except (OSError, ValueError) as error:
                raise MachineError(f"`{path}` can't be read: {error}") from error
            return loaded

        self._inputs = {part: array(f"{part}-inputs") for part in ("train", "test")}
        self._targets = {part: array(f"{part}-labels" if self.kind != "text" else f"{part}-starts") for part in ("train", "test")}
        self._table = array("table") if self.kind == "images" else None
        self._parts, self._ends = array("parts"), array("ends")
        if len(self._ends) != job.num_clients:
            raise MachineError(f"the samples in `{folder}` are those of {len(self._ends)} clients, and this run has {job.num_clients}")

    @property
    def num_samples(self) -> int:
        """The number of training samples of all clients."""
        return len(self._parts)

    def of(self, client: int) -> list[int]:
        """Returns the places of a client's samples in the training set, ascending."""
        if not 0 <= client < len(self._ends):
            raise SettingsError(f"there is no client `{client}`")
        begin = int(self._ends[client - 1]) if client else 0
        places: list[int] = self._parts[begin : int(self._ends[client])].tolist()
        return places

    def batches_of(self, client: int, at_round: int) -> Batches:
        """Returns the training batches of a client in a round."""
        return Batches(self, client, at_round)

    def test_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the batches of the test set."""
        num = len(self._targets["test"])
        for begin in range(0, num, self.job.test_batch_size):
            yield self.batch("test", list(range(begin, min(num, begin + self.job.test_batch_size))))

    def drawn_of(self, client: int, at_round: int, num_samples: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields batches of `num_samples` of a client's samples, drawn by client and round, in their own order; of all if there are no more, or it is 0."""
        places = self.of(client)
        if 0 < num_samples < len(places):
            Stream(self.job.seed, "loss-samples", [client, at_round]).shuffle(places)
            places = sorted(places[:num_samples])
        for begin in range(0, len(places), self.job.test_batch_size):
            yield self.batch("train", places[begin : begin + self.job.test_batch_size])

    def batch(self, part: str, places: Sequence[int], moves: Sequence[tuple[int, int, bool]] | None = None) -> tuple[Tensor, Tensor]:
        """Returns the samples at these places of `train` or `test`: images as floats of shape `[B, C, H, W]`, vectors `[B, F]`, tokens `[B, T]`, and their
        targets. `moves` are the crops and flips of images.
        """
        import numpy as np
        import torch

        inputs, targets = self._inputs[part], self._targets[part]
        if self.kind == "text":
            window = int(self.description["window"])
            tokens = np.stack([inputs[start : start + window + 1] for start in (int(targets[place]) for place in places)]).astype(np.int64)
            return torch.from_numpy(tokens[:, :-1].copy()), torch.from_numpy(tokens[:, 1:].copy())
        index = np.asarray(places, dtype=np.int64)
        labels = torch.from_numpy(targets[index].astype(np.int64))
        if self.kind == "vectors":
            return torch.from_numpy(np.ascontiguousarray(inputs[index])), labels
        pixels = inputs[index]
        if moves is not None:
            pixels = _moved(pixels, moves)
        table: Any = self._table
        floats = np.empty(pixels.shape, dtype=np.float32)
        for channel in range(pixels.shape[1]):
            floats[:, channel] = table[channel][pixels[:, channel]]
        return torch.from_numpy(floats), labels


class Batches:
    """The batches of a client in a round. Each iteration is the next epoch: its order, and its crops and flips, are those of the program's own nodes."""

    def __init__(self, samples: Samples, client: int, at_round: int) -> None:
        self._samples = samples
        self._key = (client, at_round)
        self._places = samples.of(client)
        self._epoch = 0

    def __len__(self) -> int:
        size, num = self._samples.job.batch_size, len(self._places)
        return num // size if self._samples.job.drop_last else -(-num // size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        job, (client, at_round) = self._samples.job, self._key
        indices = [client, at_round, self._epoch]
        self._epoch += 1
        places = list(self._places)
        Stream(job.seed, "shuffle", indices).shuffle(places)
        moves = self._samples.description.get("augmentation") == "flip_and_crop"
        for number in range(len(self)):
            own = places[number * job.batch_size : (number + 1) * job.batch_size]
            yield self._samples.batch("train", own, [_move(job.seed, [*indices, place]) for place in own] if moves else None)


def _move(seed: int, indices: Sequence[int]) -> tuple[int, int, bool]:
    """Draws the crop of an image, down and right, and whether it is mirrored."""
    bits = Stream(seed, "augment", indices).next_u64()

    def offset(shift: int) -> int:
        return ((bits >> shift & ((1 << 21) - 1)) * (2 * CROP + 1) >> 21) - CROP

    return offset(1), offset(22), bits & 1 == 1


def _moved(pixels: Any, moves: Sequence[tuple[int, int, bool]]) -> Any:
    """Returns images that are mirrored and then cropped, with black around them."""
    import numpy as np

    height, width = pixels.shape[2:]
    moved = np.zeros_like(pixels)
    for image, into, (down, right, flip) in zip(pixels, moved, moves, strict=True):
        source = image[:, :, ::-1] if flip else image
        top, left = max(down, 0), max(right, 0)
        bottom, end = min(height + down, height), min(width + right, width)
        into[:, top - down : bottom - down, left - right : end - right] = source[:, top:bottom, left:end]
    return moved
