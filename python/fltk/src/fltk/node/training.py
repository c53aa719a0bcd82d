"""What a worker process computes: it runs the code of the user's, with PyTorch, on one thread.

Answers are functions of their orders: the model's numbers, the random generators and the optimizer are set anew for each.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import inspect
import os
import random
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fltk import flower
from fltk.node import wire
from fltk.node.client import Client, Evaluation, Job, Order, Trained, _Place
from fltk.node.errors import MachineError, SettingsError
from fltk.node.samples import Arrays, Samples
from fltk.node.streams import Stream

if TYPE_CHECKING:
    from torch import nn

PARAMETER, BUFFER, COUNTER = 1, 2, 3
"""The roles of tensors, as messages have them."""

_SEED_BITS = (1 << 63) - 1


class Training:
    """The user's client, and its model."""

    def __init__(self, path: Path, name: str, job: Job, arrays: Arrays) -> None:
        self._job = job
        self._arrays = arrays
        self._samples: Samples | None = None
        # The code has a folder of its own in that of the node.
        self.place = _Place(job, self._open, folder=path.parent.parent)
        self.place.seed = self._seed_for
        module = _load(path)
        found = getattr(module, name, None)
        if found is None:
            raise SettingsError(f"`{path.name}` has no `{name}`")
        if inspect.isclass(found) and issubclass(found, Client):
            self.client = flower.with_names(found, vars(module))(self.place)
        elif flower.is_of_flower(found):
            self.client = flower.client(found, beside=vars(module))(self.place)
        elif callable(found):
            self.place.make = found
            self.client = Client(self.place)
        else:
            raise SettingsError(f"`{name}` in `{path.name}` is neither a function nor a class of clients")
        self._model: nn.Module | None = None

    def _open(self) -> Samples:
        if self._samples is None:
            self._samples = Samples(self._arrays.open(), self._job, self._arrays.client)
        return self._samples

    @property
    def model(self) -> nn.Module:
        """The model, whose numbers are set before they are used."""
        if self._model is None:
            self._model = self._make()
        return self._model

    def _make(self) -> nn.Module:
        from torch import nn

        _seed(Stream(self._job.seed, "init").next_u64())
        model = self.client.make_model()
        if not isinstance(model, nn.Module):
            raise SettingsError(f"`make_model` returned {type(model).__name__}, and a model is a `torch.nn.Module`")
        return model.cpu()

    def layout(self) -> list[tuple[str, list[int], int]]:
        """Returns the name, the shape and the role of each tensor of the model's state dict, in order."""
        import torch

        trained = {name for name, _ in self.model.named_parameters(remove_duplicate=False)}
        layout = []
        for name, tensor in self.model.state_dict().items():
            if not isinstance(tensor, torch.Tensor) or tensor.dtype not in {torch.float32, torch.int64}:
                kind = tensor.dtype if isinstance(tensor, torch.Tensor) else type(tensor).__name__
                raise SettingsError(
                    f"`{name}` of the model is {kind}, and models have float32 and int64 numbers; hint: convert it, or register it as not persistent"
                )
            role = COUNTER if tensor.dtype == torch.int64 else PARAMETER if name in trained else BUFFER
            layout.append((name, list(tensor.shape), role))
        return layout

    def state(self) -> bytes:
        """Returns the bundle of the model's numbers."""
        floats: list[bytes] = []
        counters: list[bytes] = []
        for tensor in self.model.state_dict().values():
            numbers = tensor.detach().contiguous().numpy()
            (counters if numbers.dtype.kind == "i" else floats).append(numbers.tobytes())
        return wire.bundle({wire.MODEL: b"".join(floats)}, {wire.MODEL: b"".join(counters)})

    def set_state(self, content: bytes) -> None:
        """Sets the model's numbers to those of a bundle."""
        import numpy as np
        import torch

        floats, counters = wire.open_bundle(content)
        rest = {"f": np.frombuffer(floats.get(wire.MODEL, b""), dtype="<f4"), "i": np.frombuffer(counters.get(wire.MODEL, b""), dtype="<i8")}
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                kind = "i" if tensor.dtype == torch.int64 else "f"
                if len(rest[kind]) < tensor.numel():
                    raise SettingsError(f"the model of the run has no numbers for `{name}`: its code makes another model here")
                numbers, rest[kind] = rest[kind][: tensor.numel()], rest[kind][tensor.numel() :]
                tensor.copy_(torch.from_numpy(numbers.copy()).reshape(tensor.shape))
        if any(len(left) for left in rest.values()):
            raise SettingsError("the model of the run has more numbers than the one that the code makes here")

    def num_samples(self) -> int:
        """Returns the number of training samples of all clients whose samples are here."""
        return self._open().num_samples

    def initialize(self) -> tuple[list[tuple[str, list[int], int]], bytes]:
        """Makes the model anew, and returns its layout and its numbers."""
        self._model = self._make()
        return self.layout(), self.state()

    def train(self, content: bytes, order: Order) -> tuple[bytes, Trained]:
        """Trains a client from the model in `content`, and returns the bundle of the model and the figures."""
        import torch

        self.set_state(content)
        self._begin(order.client, order.round)
        self.model.train()
        trained = self.client.train(self.model, order)
        if not isinstance(trained, Trained):
            raise SettingsError(f"`train` returned {type(trained).__name__}, and its figures are a `fltk.node.Trained`")
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise SettingsError(f"training diverged: `{name}` has a number that isn't finite; hint: a lower learning rate may help")
        return self.state(), trained

    def evaluate(self, content: bytes, at_round: int) -> Evaluation:
        """Returns the figures of the model in `content`."""
        self.set_state(content)
        self._begin(self._job.num_clients, at_round)
        self.model.eval()
        figures = self.client.evaluate(self.model, at_round)
        if not isinstance(figures, Evaluation):
            raise SettingsError(f"`evaluate` returned {type(figures).__name__}, and figures are a `fltk.node.Evaluation`")
        return figures.checked()

    def measure(self, content: bytes, client: int, at_round: int, num_samples: int) -> float:
        """Returns the loss of the model in `content` on samples of a client."""
        self.set_state(content)
        self._begin(client, at_round)
        self.model.eval()
        return float(self.client.measure(self.model, client, num_samples))

    def _begin(self, client: int, at_round: int) -> None:
        self.place.last = {"client": client, "round": at_round}
        # Nothing of the order before is left: neither its mode, which the caller sets, nor its gradients.
        self.model.zero_grad(set_to_none=True)
        self._seed_for(client, at_round)

    def _seed_for(self, client: int, at_round: int) -> None:
        _seed(Stream(self._job.seed, "torch", [client, at_round, 0, 0]).next_u64())


def is_of_settings(error: BaseException) -> bool:
    """True if an error comes again at every node: that of code, and not of a machine."""
    if isinstance(error, (MachineError, OSError, MemoryError)):
        return False
    # PyTorch has no class of its own for a processor's memory.
    return type(error).__name__ != "OutOfMemoryError" and "can't allocate memory" not in str(error)


def last_line(error: BaseException) -> str:
    """Returns an error in one line, as the last line of its traceback has it."""
    if isinstance(error, (SettingsError, MachineError)):
        return str(error)
    return traceback.format_exception_only(type(error), error)[-1].strip()


def _load(path: Path) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("fltk_experiment_code", str(path))
    spec = importlib.util.spec_from_file_location("fltk_experiment_code", path, loader=loader)
    if spec is None or spec.loader is None:
        raise SettingsError(f"`{path.name}` can't be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        # It is of the settings, and still wants to be seen with its place.
        traceback.print_exc()
        raise SettingsError(f"{last_line(error)}; hint: {_hint(error, path)}") from None
    return module


def _hint(error: ImportError, path: Path) -> str:
    """Returns what to do about something that a file with code can't import."""
    if error.name == "flwr":
        return "`pip install 'fltk[flower]'` for the Python of the node"
    if error.name is None and "relative import" in str(error):
        return f"`{path.name}` is loaded alone: write out the package from which it imports, as in `from my_app.task import Net`"
    return f"`{path.name}` is loaded alone: what it imports has to be installed for the Python of the node, or to lie in the folder in which that was started"


@functools.cache
def _may_have_accelerator() -> bool:
    """False if PyTorch knows of nothing but the processor; versions before 2.6 don't say it of all devices."""
    import torch

    accelerator = getattr(torch, "accelerator", None)
    if accelerator is None:
        return True
    # This one was built for; whether a GPU is there is asked of the driver's monitor: PyTorch's own question would start CUDA, which no fork survives.
    device = accelerator.current_accelerator()
    return device is not None and (device.type != "cuda" or torch.cuda.device_count() > 0)


def _seed(seed: int) -> None:
    import numpy as np
    import torch

    # For each kind of device that isn't there, PyTorch's function records the call stack, which takes longer than a small step.
    (torch.manual_seed if _may_have_accelerator() else torch.default_generator.manual_seed)(seed & _SEED_BITS)
    np.random.seed(seed & 0xFFFF_FFFF)
    random.seed(seed)


def serve(receive: Callable[[], Any], send: Callable[[Any], None]) -> None:
    """Says the number of this process, and answers requests until there are no more. A failure is an answer too, and its traceback goes to standard error."""
    # One thread for each process: results don't depend on their number, and processes don't compete.
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    send(os.getpid())
    training: Training | None = None
    while True:
        try:
            kind, arguments = receive()
        except EOFError:
            return
        try:
            if kind == "job":
                training = None
                training = Training(*arguments)
                answer: Any = None
            elif training is None:
                raise SettingsError("the code couldn't be loaded")
            else:
                answer = getattr(training, kind)(*arguments)
            send(("done", answer))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            if not isinstance(error, (SettingsError, MachineError)):
                traceback.print_exc()
            send(("failed", last_line(error), is_of_settings(error)))
