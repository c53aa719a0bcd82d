"""A node in Python: it joins a federator, has workers train what it orders, and delivers. It computes nothing itself.

The main thread listens to one session after another; a thread for each worker carries out orders; deliveries have threads of their own. What was trained
stays here until the federator asks for it, also over a connection that broke.
"""

from __future__ import annotations

import itertools
import os
import queue
import shutil
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import blake3
import grpc

from fltk import __version__
from fltk.node import wire
from fltk.node.client import Job, Order
from fltk.node.errors import LostError, RefusedError
from fltk.node.samples import Arrays
from fltk.node.worker import FailedError, Worker, Workers

AGAIN_S, AGAIN_MAX_S = 0.05, 5.0
"""The time between two calls of a federator that doesn't answer: at first, and at most."""

CONNECT_S = 20.0
"""The time in which a federator that is there answers."""

MESSAGE_BYTES_MAX = 16 << 20
"""The largest message that is taken: a chunk, or a welcome with a long experiment."""

FILE_BYTES_MAX = 64 << 20
"""The largest file with code that is taken."""

MODEL_BYTES_MAX = 64 << 30
"""The largest model that is taken."""

MODELS_KEPT = 2
"""The models that stay in memory: that of the round, and the one that is evaluated."""

DELIVERIES_MAX = 4
"""The updates that are delivered at a time."""

POLL_S = 0.02
"""The interval at which a worker that may not train yet looks whether it may."""

TRIES_MAX = 5
"""The most tries at bringing the initial model, or at fetching an object."""

ROLES = {1: "trained float32", 2: "a float32 buffer", 3: "int64"}
"""The roles of tensors, for people."""

COMPLETE = "the run is complete"


@dataclass
class Options:
    """What a node is told on its command line."""

    address: str
    credentials: grpc.ChannelCredentials | None = None
    name: str = ""
    patience_s: float = 600.0
    arrays: Path | None = None
    data: str | None = None
    program: str = "fltk"
    client: str = ""
    """The client whose data it has; empty if every node has all data."""
    model: str | None = None
    """The file and the name of a module of its own."""
    is_quiet: bool = False


@dataclass(eq=False)
class _Work:
    """An order, or an errand, that a worker carries out."""

    key: tuple[Any, ...]
    message: Any
    session: _Session
    is_released: bool = False
    outcome: Any = None
    """What a worker's thread made of it: a message. The main thread has it as soon as the work is among the events."""
    content: bytes = b""
    """The bytes of the model, if the outcome has one."""
    ready: Any = None
    """The message that the update is ready, once it was said."""
    attempt: int = 0


class _Pending:
    """The work that no worker has. What is no client's comes first: nobody trains before there is a model, and its figures are what people wait for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._works: deque[_Work] = deque()

    def put(self, work: _Work) -> None:
        with self._changed:
            self._works.append(work)
            self._changed.notify_all()

    def take(self, worker: Worker) -> _Work:
        """Waits until there is work that this worker may do, and returns it."""
        with self._changed:
            while True:
                may_train = worker.may_train
                errand = next((work for work in self._works if work.key[0] in {"initialize", "evaluate"}), None)
                found = errand or (self._works[0] if self._works and may_train else None)
                if found is not None:
                    self._works.remove(found)
                    return found
                self._changed.wait(None if may_train else POLL_S)


@dataclass
class _Session:
    """A connection to a federator, for as long as it lasts."""

    calls: wire.Calls
    channel: Any
    token: bytes
    start: bytes
    heartbeat_s: float
    silence_s: float
    outgoing: queue.SimpleQueue[Any]
    is_over: threading.Event = field(default_factory=threading.Event)

    def say(self, **message: Any) -> None:
        """Sends a message, unless the session is over."""
        self.outgoing.put(wire.message("FromNode", **message))

    def end(self) -> None:
        self.is_over.set()
        self.outgoing.put(None)
        self.channel.close()


class Node:
    """A node that takes part until the run is over."""

    def __init__(self, options: Options, folder: Path, workers: Workers) -> None:
        self._options = options
        self._folder = folder
        self._identity = os.urandom(16)
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._pending = _Pending()
        self._works: dict[tuple[Any, ...], _Work] = {}
        self._models: OrderedDict[bytes, bytes] = OrderedDict()
        self._fetching = threading.Lock()
        self._run: str | None = None
        self._settings = b""
        self._num_samples = 0
        self._workers = workers.all
        self._deliveries = ThreadPoolExecutor(DELIVERIES_MAX, thread_name_prefix="deliver")

    def take_part(self) -> str:
        """Takes part until the run is over, and returns how it ended."""
        threads = [threading.Thread(target=self._carry_out, args=(worker,), daemon=True) for worker in self._workers]
        last_start = None
        try:
            while True:
                session, welcome = self._call()
                try:
                    if self._run is None:
                        self._prepare(session, welcome)
                        for thread in threads:
                            thread.start()
                    elif self._run != welcome.run:
                        raise RefusedError(f"there is another run at `{self._options.address}` now: `{welcome.run}`")
                    if session.start != last_start:
                        # What an earlier start of the federator asked for is of no use to this one.
                        self._forget()
                    last_start = session.start
                    return self._attend(session)
                except LostError as error:
                    self._say(f"the federator is lost: {error}; calling again")
                finally:
                    session.end()
                    for work in self._works.values():
                        # The federator asks anew for what isn't an update: what is asked then doesn't wait for this.
                        work.is_released |= work.key[0] != "train"
                    self._works = {key: work for key, work in self._works.items() if key[0] == "train"}
        finally:
            self._deliveries.shutdown(wait=False, cancel_futures=True)

    def _say(self, text: str) -> None:
        if not self._options.is_quiet:
            print(text, file=sys.stderr, flush=True)

    # Calling.

    def _call(self) -> tuple[_Session, Any]:
        """Calls until the federator answers."""
        began, pause = time.monotonic(), AGAIN_S
        while True:
            try:
                left = self._options.patience_s - (time.monotonic() - began)
                return self._open(min(CONNECT_S, max(left, AGAIN_S)))
            except (LostError, grpc.RpcError) as error:
                reason = error.details() if isinstance(error, grpc.Call) else str(error)
            if time.monotonic() - began >= self._options.patience_s:
                raise RefusedError(f"no federator answers at `{self._options.address}`: {reason}")
            time.sleep(pause)
            pause = min(pause * 2, AGAIN_MAX_S)

    def _open(self, limit_s: float) -> tuple[_Session, Any]:
        options = [("grpc.max_receive_message_length", MESSAGE_BYTES_MAX), ("grpc.enable_retries", 0)]
        address, credentials = self._options.address, self._options.credentials
        if credentials is None:
            # Within this machine: a proxy is elsewhere, and would get all of it unencrypted.
            channel = grpc.insecure_channel(address, [*options, ("grpc.default_authority", "localhost"), ("grpc.enable_http_proxy", 0)])
        else:
            # Nodes expect this name whatever host they call.
            channel = grpc.secure_channel(address, credentials, [*options, ("grpc.ssl_target_name_override", "federator.fltk.internal")])
        try:
            grpc.channel_ready_future(channel).result(timeout=limit_s)
        except grpc.FutureTimeoutError:
            channel.close()
            raise LostError("it accepts no connection") from None
        calls = wire.Calls(channel)
        outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
        hello = wire.message(
            "Hello",
            versions=wire.VERSIONS,
            program=__version__,
            node=self._identity,
            name=self._options.name,
            processor=_processor(),
            client=self._options.client,
            has_twin=self._options.model is not None,
        )
        outgoing.put(wire.message("FromNode", hello=hello))
        incoming = calls.session(iter(outgoing.get, None))
        timer = threading.Timer(CONNECT_S, incoming.cancel)
        timer.start()
        try:
            first = next(incoming, None)
        finally:
            timer.cancel()
        if first is not None and first.HasField("refusal"):
            channel.close()
            raise RefusedError(first.refusal.text)
        if first is None or not first.HasField("welcome"):
            channel.close()
            raise LostError("its first message is no welcome")
        welcome = first.welcome
        session = _Session(calls, channel, welcome.session, welcome.start, max(welcome.heartbeat_ms, 1) / 1000, max(welcome.silence_ms, 1) / 1000, outgoing)
        threading.Thread(target=_beat, args=(session,), daemon=True).start()
        threading.Thread(target=self._listen, args=(session, incoming), daemon=True).start()
        return session, welcome

    def _listen(self, session: _Session, incoming: Iterator[Any]) -> None:
        try:
            for message in incoming:
                self._events.put((session, message))
            self._events.put((session, LostError("it ended the session")))
        except grpc.RpcError as error:
            self._events.put((session, LostError(str(error.details()) if isinstance(error, grpc.Call) else str(error))))

    def _prepare(self, session: _Session, welcome: Any) -> None:
        """Takes the job, and gives it to the workers."""
        own = None if self._options.model is None else _own_code(self._options.model)
        if not welcome.HasField("python" if own is None else "twin"):
            raise RefusedError(
                "the net of this run isn't a module in Python; hint: `fltk node --join ...` takes part, with the same address and invitation, "
                "and so does a module of the same tensors with `--model`, if each client's data is at its node"
            )
        python = welcome.python if own is None else welcome.twin
        for file in welcome.files:
            # A federator names its files itself, one beside the other.
            number = file.path.removeprefix("files/")
            if not (file.path.startswith("files/") and number.isascii() and number.isdigit()):
                raise RefusedError(f"the federator sent a file for `{file.path}`, where it may not be")
            path = self._folder / file.path
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(self._fetch(session, file.object, FILE_BYTES_MAX))
        (self._folder / "experiment.yaml").write_text(welcome.experiment)
        job = Job(
            loss=python.loss,
            optimizer=_object(python.optimizer),
            batch_size=python.batch_size,
            test_batch_size=python.test_batch_size,
            drop_last=python.drop_last,
            seed=python.seed,
            num_clients=python.num_clients,
            dataset=python.dataset,
            data=python.data,
        )
        arrays = self._arrays()
        # Under its own name, for tracebacks.
        source, name = (self._folder / python.file, python.name) if own is None else own
        code = self._folder / "code" / ((Path(python.file_name) if own is None else source).name or "model.py")
        code.parent.mkdir()
        try:
            shutil.copyfile(source, code)
        except OSError as error:
            raise RefusedError(f"`--model`: {error}") from error
        for worker in self._workers:
            worker.take((code, name, job, arrays))
        if own is not None:
            self._compare(python.layout)
        self._run, self._settings = welcome.run, python.settings
        self._say(f"this node takes part in `{welcome.run}`, with {len(self._workers)} worker{'s' if len(self._workers) > 1 else ''}")

    def _compare(self, wanted: Any) -> None:
        """Checks that the node's own module has the tensors of the run's net, and counts the samples of its client."""
        try:
            made, _ = self._workers[0].ask("initialize")
            self._num_samples = self._workers[0].ask("num_samples")
        except FailedError as error:
            raise RefusedError(f"`--model` can't take part: {error}") from error
        difference = _difference(made, [(tensor.name, list(tensor.shape), tensor.role) for tensor in wanted])
        if difference is not None:
            raise RefusedError(f"`--model` makes another net than the run has: {difference}")

    def _arrays(self) -> Arrays:
        if self._options.arrays is not None:
            return Arrays(self._options.arrays, client=self._options.client or None)
        folder = self._folder / "arrays"
        command = [self._options.program, "data", "arrays", str(self._folder / "experiment.yaml"), "--write", str(folder)]
        command += ["--data", self._options.data] if self._options.data else []
        command += ["--client", self._options.client] if self._options.client else []
        return Arrays(folder, tuple(command), self._options.client or None)

    # Listening.

    def _attend(self, session: _Session) -> str:
        """Attends one session to its end, and returns how the run ended."""
        held = [_id(work) for work in self._works.values()]
        session.say(
            prepared=wire.message("Prepared", settings=self._settings, data=bytes(32), held=held, workers=len(self._workers), num_samples=self._num_samples)
        )
        for work in self._works.values():
            work.session = session
            if work.ready is not None:
                session.say(ready=work.ready)
        heard = time.monotonic()
        while True:
            try:
                event = self._events.get(timeout=max(0.0, heard + session.silence_s - time.monotonic()))
            except queue.Empty:
                raise LostError(f"nothing was heard of it for {session.silence_s:g} s") from None
            if isinstance(event, _Work):
                self._answer(session, event)
                continue
            of, message = event
            if of is not session:
                continue
            heard = time.monotonic()
            if isinstance(message, LostError):
                raise message
            ended = self._hear(session, message)
            if ended is not None:
                return ended

    def _hear(self, session: _Session, message: Any) -> str | None:
        kind = message.WhichOneof("message")
        content: Any = getattr(message, kind) if kind else None
        if kind in {"train", "measure"}:
            self._order(session, (kind, content.id.round, content.id.client), content)
        elif kind in {"initialize", "evaluate"}:
            self._order(session, (kind, content.errand, session.token), content)
        elif kind == "collect":
            work = self._works.get(("train", content.id.round, content.id.client))
            if work is None or work.ready is None or work.attempt != content.id.attempt:
                session.say(failed=wire.message("Failed", id=content.id, reason="the update isn't at this node any more"))
            else:
                self._deliveries.submit(self._deliver, session, wire.message("Delivery", session=session.token, id=content.id), work.content, content.offset)
        elif kind == "release":
            key = ("measure" if content.is_measurement else "train", content.id.round, content.id.client)
            work = self._works.get(key)
            if work is not None and work.attempt <= content.id.attempt:
                work.is_released = True
                del self._works[key]
        elif kind == "finished":
            return str(content.text)
        elif kind == "refusal":
            if content.reason == wire.MESSAGES["Refusal"].REASON_SILENT:
                raise LostError(content.text)
            raise RefusedError(content.text)
        elif kind != "heartbeat":
            raise RefusedError("the federator sent a message that doesn't come now")
        return None

    def _order(self, session: _Session, key: tuple[Any, ...], message: Any) -> None:
        attempt = message.id.attempt if key[0] in {"train", "measure"} else 0
        work = self._works.get(key)
        if work is None:
            work = self._works[key] = _Work(key, message, session, attempt=attempt)
            self._pending.put(work)
        elif attempt > work.attempt:
            # The same work once more: its answer is the same.
            work.attempt = attempt
            work.session = session
            if work.ready is not None:
                work.ready.id.attempt = attempt
                session.say(ready=work.ready)

    def _forget(self) -> None:
        for work in self._works.values():
            work.is_released = True
        self._works.clear()

    def _answer(self, session: _Session, work: _Work) -> None:
        """Passes on what a worker did, if somebody still waits for it."""
        if work.is_released or self._works.get(work.key) is not work:
            return
        kind, answer = work.key[0], work.outcome
        if kind in {"train", "measure"}:
            answer.id.attempt = work.attempt
        if answer.DESCRIPTOR.name == "Ready":
            work.ready = answer
            session.say(ready=answer)
            return
        del self._works[work.key]
        field = {"Failed": "failed", "Measured": "measured", "Evaluated": "evaluated", "ErrandFailed": "errand_failed"}.get(answer.DESCRIPTOR.name)
        if field is not None:
            session.say(**{field: answer})
        elif work.content:
            # The initial model goes without being asked for.
            delivery = wire.message("Delivery", session=session.token, initial=answer)
            self._deliveries.submit(self._deliver, session, delivery, work.content, 0, TRIES_MAX)

    def _deliver(self, session: _Session, delivery: Any, content: bytes, offset: int, tries: int = 1) -> None:
        def requests() -> Iterator[Any]:
            first = True
            for chunk in wire.chunks(content, offset):
                yield wire.message("DeliverRequest", delivery=delivery, chunk=chunk) if first else wire.message("DeliverRequest", chunk=chunk)
                first = False
            if first:
                yield wire.message("DeliverRequest", delivery=delivery)

        # An update that breaks off is asked for once more, and a session that ends brings the errand again.
        for _ in range(tries):
            try:
                session.calls.deliver(requests())
                return
            except (grpc.RpcError, ValueError) as error:
                code, details = (error.code(), error.details()) if isinstance(error, grpc.Call) else (None, None)
                if code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION}:
                    if delivery.HasField("initial"):
                        reason = f"the federator doesn't take the model: {details}"
                        session.say(errand_failed=wire.message("ErrandFailed", errand=delivery.initial.errand, reason=reason, is_of_settings=True))
                    return
                if session.is_over.is_set():
                    return
                time.sleep(AGAIN_S)

    # Working.

    def _carry_out(self, worker: Worker) -> None:
        """Carries out what is pending, one after another."""
        while True:
            worker.wait()
            work = self._pending.take(worker)
            if work.is_released:
                continue
            began = time.monotonic()
            try:
                if work.message.settings != self._settings:
                    raise FailedError("its settings aren't those that this node has", is_of_settings=True)
                self._compute(worker, work, began)
            except FailedError as error:
                self._fail(work, str(error), is_of_settings=error.is_of_settings)
            except (LostError, grpc.RpcError, wire.MalformedError) as error:
                details = error.details() if isinstance(error, grpc.Call) else str(error)
                self._fail(work, f"an object of the order wasn't fetched: {details}", is_of_settings=False)
            except Exception as error:
                self._fail(work, f"{type(error).__name__}: {error}", is_of_settings=False)
            self._events.put(work)

    def _compute(self, worker: Worker, work: _Work, began: float) -> None:
        message, kind = work.message, work.key[0]
        if kind == "initialize":
            layout, content = worker.ask("initialize")
            tensors = [wire.message("Tensor", name=name, shape=shape, role=role) for name, shape, role in layout]
            work.content = content
            work.outcome = wire.message("Initial", errand=message.errand, object=_named(content), layout=tensors)
            return
        model = self._model(work.session, message.model)
        if kind == "evaluate":
            figures = worker.ask("evaluate", model, message.round)
            counts = figures.confusion or []
            work.outcome = wire.message(
                "Evaluated",
                errand=message.errand,
                num_samples=figures.num_samples,
                loss=figures.loss,
                accuracy=figures.accuracy,
                confusion=[count for row in counts for count in row],
                num_classes=len(counts),
            )
        elif kind == "measure":
            loss = worker.ask("measure", model, message.id.client, message.id.round, message.num_samples)
            work.outcome = wire.message("Measured", id=message.id, loss=loss)
        else:
            terms = message.terms
            if terms.HasField("arrays") or terms.extras or terms.keeps or message.flips_labels:
                raise FailedError("the strategy asks for more than plain training, which nodes in Python don't do", is_of_settings=True)
            amount = terms.WhichOneof("work")
            order = Order(
                round=message.id.round,
                client=message.id.client,
                learning_rate=terms.learning_rate,
                epochs=terms.epochs if amount == "epochs" else None,
                steps=terms.steps if amount == "steps" else None,
                proximal_mu=terms.proximal_mu,
            )
            content, trained = worker.ask("train", model, order)
            ready = wire.message(
                "Ready",
                id=message.id,
                update=_named(content),
                num_samples=trained.num_samples,
                num_steps=trained.num_steps,
                seconds=time.monotonic() - began,
            )
            if trained.loss is not None:
                ready.loss = trained.loss
            work.content, work.outcome = content, ready

    def _fail(self, work: _Work, reason: str, *, is_of_settings: bool) -> None:
        self._say(f"an order of the federator failed: {reason}")
        if work.key[0] in {"train", "measure"}:
            is_measurement = work.key[0] == "measure"
            work.outcome = wire.message("Failed", id=work.message.id, reason=reason, is_of_settings=is_of_settings, is_measurement=is_measurement)
        else:
            work.outcome = wire.message("ErrandFailed", errand=work.message.errand, reason=reason, is_of_settings=is_of_settings)

    def _model(self, session: _Session, named: Any) -> bytes:
        with self._fetching:
            found = self._models.get(named.digest)
            if found is None:
                found = self._fetch(session, named, MODEL_BYTES_MAX)
                self._models[named.digest] = found
                while len(self._models) > MODELS_KEPT:
                    self._models.popitem(last=False)
            else:
                self._models.move_to_end(named.digest)
            return found

    def _fetch(self, session: _Session, named: Any, num_bytes_max: int) -> bytes:
        """Returns the bytes of an object. A transfer that breaks goes on where it was."""
        if named.num_bytes > num_bytes_max:
            raise LostError(f"an object has {named.num_bytes} bytes, and may have {num_bytes_max}")
        content = bytearray()
        for attempt in range(TRIES_MAX):
            try:
                for chunk in session.calls.fetch(wire.message("FetchRequest", session=session.token, digest=named.digest, offset=len(content))):
                    if chunk.offset != len(content) or len(content) + len(chunk.data) > named.num_bytes:
                        raise LostError("a chunk of an object isn't the next")
                    content += chunk.data
            except grpc.RpcError:
                if attempt + 1 == TRIES_MAX or session.is_over.is_set():
                    raise
                time.sleep(AGAIN_S)
                continue
            break
        if len(content) != named.num_bytes or blake3.blake3(content).digest() != named.digest:
            raise LostError("an object isn't the one that its digest names")
        return bytes(content)


def _own_code(model: str) -> tuple[Path, str]:
    """Returns the file of a module of the node's own, and the name in it."""
    file, _, name = model.rpartition(":")
    if not file or not name.isidentifier():
        raise RefusedError(f"`--model {model}` isn't a file and a name in it; hint: `--model model.py:make_model`")
    return Path(file), name


def _difference(made: list[tuple[str, list[int], int]], wanted: list[tuple[str, list[int], int]]) -> str | None:
    """Returns the first difference between the tensors of two nets, for people; `None` if there is none."""

    def told(tensor: tuple[str, list[int], int]) -> str:
        name, shape, role = tensor
        return f"`{name}` {shape}, {ROLES.get(role, 'which has no role')}"

    for number, (own, other) in enumerate(itertools.zip_longest(made, wanted), 1):
        if own is None:
            return f"it has no tensor {number}, and the run's is {told(other)}"
        if other is None:
            return f"its tensor {number} is {told(own)}, and the run's net has {number - 1}"
        if own != other:
            return f"its tensor {number} is {told(own)}, and the run's is {told(other)}"
    return None


def _beat(session: _Session) -> None:
    while not session.is_over.wait(session.heartbeat_s):
        session.say(heartbeat=wire.message("Heartbeat"))


def _named(content: bytes) -> Any:
    """Returns an object's digest and size."""
    return wire.message("Object", digest=blake3.blake3(content).digest(), num_bytes=len(content))


def _id(work: _Work) -> Any:
    _, at_round, client = work.key
    return wire.message("OrderId", round=at_round, client=client, attempt=work.attempt)


def _object(text: str) -> dict[str, Any]:
    import json

    value = json.loads(text)
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise RefusedError("the federator's optimizer can't be read")
    return value


def _processor() -> str:
    """Returns the kind of processor, as the program names it: results have the same bits on one kind."""
    try:
        with Path("/proc/cpuinfo").open() as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() == "model name":
                    return value.strip()
    except OSError:
        pass
    import platform

    return platform.machine()
