"""What a person overrides: the client of a federated run, with its loss, its optimizer, its samples and its training loop.

PyTorch is imported where something is computed, so that `import fltk.node` is fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fltk.node.errors import SettingsError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from fltk.node.samples import Samples

CLASSES_MAX = 1000
"""The most classes for which predictions are counted by class; language models have far more."""


@dataclass(frozen=True)
class Job:
    """What the experiment says."""

    loss: str
    """PyTorch's name of the loss."""
    optimizer: dict[str, Any]
    """The optimizer's `type` and settings. The learning rate of a round is in its order."""
    batch_size: int
    test_batch_size: int
    drop_last: bool
    seed: int
    num_clients: int
    dataset: str
    data: bytes = b""
    """The digest of the training samples that the federator has; zeros if clients have data of their own."""


@dataclass(frozen=True)
class Order:
    """An order to train a client in a round."""

    round: int
    """The round, from 1."""
    client: int
    """The client, from 0."""
    learning_rate: float
    epochs: float | None
    """The number of passes over the client's samples; `None` if there is a number of steps."""
    steps: int | None
    proximal_mu: float = 0.0
    """The weight of the distance from the global model, as FedProx has it."""


@dataclass
class Trained:
    """The figures of a client's training."""

    num_samples: int = 0
    """The number of samples, each counted once in each epoch."""
    num_steps: int = 0
    loss_sum: float = 0.0
    """The sum of the mean losses of batches, each times the size of its batch."""

    def add(self, num_samples: int, loss: float) -> None:
        """Adds a step on so many samples, whose mean loss is `loss`."""
        self.num_samples += int(num_samples)
        self.num_steps += 1
        # It may be a tensor, which isn't for other processes.
        self.loss_sum += float(loss) * int(num_samples)

    @property
    def loss(self) -> float | None:
        """The mean loss of a sample; `None` if there was none."""
        return self.loss_sum / self.num_samples if self.num_samples else None


@dataclass
class Evaluation:
    """The figures of a model on a test set."""

    num_samples: int
    """The number of predictions."""
    loss: float
    """The mean loss of a prediction."""
    accuracy: float
    """The fraction of right predictions."""
    confusion: list[list[int]] | None = None
    """The counts of predictions, `confusion[true][predicted]`; `None` if there are none."""

    def checked(self) -> Evaluation:
        """Returns the figures as plain numbers, if they are what a run can record."""
        accuracy = float(self.accuracy)
        if not 0.0 <= accuracy <= 1.0:
            raise SettingsError(f"`evaluate` returned the accuracy {accuracy}, and it is a fraction between 0 and 1")
        confusion = None if self.confusion is None else [[int(count) for count in row] for row in self.confusion]
        if confusion is not None and any(len(row) != len(confusion) or min(row) < 0 for row in confusion):
            raise SettingsError("`evaluate` returned a `confusion` that isn't a square of counts")
        if confusion is not None and len(confusion) > CLASSES_MAX:
            confusion = None
        return Evaluation(int(self.num_samples), float(self.loss), accuracy, confusion or None)


@dataclass
class _Place:
    """What `Client` was created with."""

    job: Job
    samples: Callable[[], Samples]
    make: Callable[[], nn.Module] | None = None
    folder: Path | None = None
    """The folder of the node, in which the run's experiment is."""
    last: dict[str, Any] = field(default_factory=dict)
    seed: Callable[[int, int], None] | None = None
    """Seeds all draws by the run's seed, a client and a round."""
    loss: Any = None
    """The experiment's loss, once it has been used."""


class Client:
    """Clients of a federated run, one after another. Each method may be overridden; each is a function of its arguments and of the random draws of PyTorch,
    NumPy and `random`, which are seeded by the run's seed, the client and the round before each order. What a client changes in itself may be lost with its
    process, so results mustn't depend on it.
    """

    def __init__(self, place: _Place) -> None:
        self._place = place

    @property
    def job(self) -> Job:
        """What the experiment says."""
        return self._place.job

    @property
    def samples(self) -> Samples:
        """The samples of the data set that the experiment names, and their division. They are opened with the first use."""
        return self._place.samples()

    def make_model(self) -> nn.Module:
        """Returns the net, whose parameters PyTorch draws. `network: { python: "FILE:NAME" }` with a function is this method."""
        if self._place.make is None:
            raise SettingsError(f"`{type(self).__name__}` has no method `make_model`")
        return self._place.make()

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the mean loss of a batch: by default the experiment's. The targets of a text are those of each place in it."""
        from torch import nn

        rows = outputs.reshape(-1, outputs.shape[-1])
        if self.job.loss == "NLLLoss":
            # The experiment's is over logits.
            rows = rows.log_softmax(1)
        if self._place.loss is None:
            self._place.loss = getattr(nn, self.job.loss)()
        mean: Tensor = self._place.loss(rows, targets.reshape(-1))
        return mean

    def optimizer(self, model: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
        """Returns the optimizer of a client's training, new in each round: by default the experiment's."""
        from torch import optim

        settings = {name: value for name, value in self.job.optimizer.items() if name not in {"type", "learning_rate"}}
        kind: Any = getattr(optim, self.job.optimizer["type"])
        optimizer: torch.optim.Optimizer = kind(model.parameters(), lr=learning_rate, **settings)
        return optimizer

    def data(self, client: int) -> Iterable[tuple[Tensor, Tensor]]:
        """Returns the batches of a client, which are iterated once in each epoch: by default those that the program's own nodes train on, in the same order."""
        return self.samples.batches_of(client, self._place.last["round"])

    def test_data(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Returns the batches of the test set."""
        return self.samples.test_batches()

    def train_step(self, model: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, targets: Tensor) -> Tensor:
        """Makes one step of gradients on a batch, without that of the optimizer, and returns the loss."""
        from torch import autograd

        optimizer.zero_grad()
        loss = self.loss(model(inputs), targets)
        autograd.backward(loss)
        return loss.detach()

    def train(self, model: nn.Module, order: Order) -> Trained:
        """Trains the model of `order` on its client's batches, and returns the figures."""
        from torch import no_grad

        model.train()
        optimizer = self.optimizer(model, order.learning_rate)
        begun = [parameter.detach().clone() for parameter in model.parameters()] if order.proximal_mu > 0.0 else []
        trained = Trained()
        batches = self.data(order.client)
        for inputs, targets in _work(batches, order):
            loss = float(self.train_step(model, optimizer, inputs, targets))
            if not math.isfinite(loss):
                raise SettingsError(f"training diverged: the loss of step {trained.num_steps + 1} is {loss}; hint: a lower learning rate may help")
            pairs = zip(model.parameters(), begun, strict=True) if begun else ()
            strayed = [(parameter, parameter.detach() - origin) for parameter, origin in pairs if parameter.grad is not None]
            optimizer.step()
            # The pull towards the global model stays out of momentum: there, it would continue from where the weights no longer are.
            with no_grad():
                for parameter, way in strayed:
                    parameter.add_(way, alpha=-order.learning_rate * order.proximal_mu)
            trained.add(len(targets), loss)
        return trained

    def evaluate(self, model: nn.Module, at_round: int) -> Evaluation:
        """Returns the figures of the global model after a round, 0 for the initial one: by default those on the test set."""
        return self._evaluate(model, self.test_data())

    def measure(self, model: nn.Module, client: int, num_samples: int) -> float:
        """Returns the mean loss of a model on `num_samples` of a client's training samples, on all of them if it is 0."""
        return self._evaluate(model, self.samples.drawn_of(client, self._place.last["round"], num_samples)).loss

    def _evaluate(self, model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Evaluation:
        import torch

        model.eval()
        loss_sum, num_right, num, counts = 0.0, 0, 0, None
        with torch.no_grad():
            for inputs, classified in batches:
                outputs, targets = model(inputs), classified.reshape(-1)
                loss_sum += float(self.loss(outputs, targets)) * len(targets)
                rows = outputs.reshape(-1, outputs.shape[-1])
                predicted = rows.argmax(1)
                num_right += int((predicted == targets).sum())
                num += len(targets)
                classes = rows.shape[1]
                if outputs.dim() == 2 and classes <= CLASSES_MAX:
                    counts = torch.zeros(classes * classes, dtype=torch.int64) if counts is None else counts
                    counts += torch.bincount(targets * classes + predicted, minlength=classes * classes)
        if num == 0:
            raise SettingsError("there is nothing to evaluate on; hint: `test_data` returned no batch")
        confusion = None if counts is None else counts.reshape(math.isqrt(len(counts)), -1).tolist()
        return Evaluation(num, loss_sum / num, num_right / num, confusion)


def _work(batches: Iterable[tuple[Tensor, Tensor]], order: Order) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the batches of an order's work: passes, the last of which may be a part, or steps."""
    done = 0
    epoch = 0
    while True:
        if order.steps is not None:
            most = float(order.steps - done)
        else:
            left = (order.epochs or 0.0) - epoch
            most = math.inf if left >= 1.0 else max(1.0, math.floor(left * _num_batches(batches) + 0.5)) if left > 0.0 else 0.0
        if most <= 0:
            return
        before = done
        for number, batch in enumerate(batches):
            if number >= most:
                break
            done += 1
            yield batch
        epoch += 1
        if isinstance(batches, Iterator):
            more = order.steps - done > 0 if order.steps is not None else (order.epochs or 0.0) > epoch
            if more:
                raise SettingsError(
                    "`data` returned an iterator, which can be gone through once, and the order asks for more; hint: return a list or a `DataLoader`"
                )
        # With less than one batch of samples and `drop_last`, a pass has no steps.
        if done == before:
            return


def _num_batches(batches: Iterable[tuple[Tensor, Tensor]]) -> int:
    try:
        return len(batches)  # type: ignore[arg-type]
    except TypeError:
        raise SettingsError("a part of an epoch needs batches whose number is known; hint: give them a `__len__`, or use whole epochs") from None
