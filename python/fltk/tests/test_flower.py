"""Apps of the real Flower as clients: the parameters are those of Flower's own simulation, and what can't be is refused."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

np = pytest.importorskip("numpy")
pytest.importorskip("torch")
pytest.importorskip("flwr")

from fltk.flower._apps import TESTED
from fltk.node.client import Evaluation, Job, Order
from fltk.node.errors import SettingsError
from fltk.node.samples import Arrays
from fltk.node.streams import Stream
from fltk.node.training import Training
from fltk.records import read

# Both sum in floats, in another order.
ROUNDING = 1e-5
SEED = 42
LIMIT_S = 300


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example in a folder of its own, in which the test runs."""
    at = tmp_path / "app"
    shutil.copytree(ROOT / "examples/flower", at, ignore=shutil.ignore_patterns("runs", "__pycache__"))
    shutil.copy(Path(__file__).with_name("flower_numpy_app.py"), at / "flower_app/numpy_app.py")
    monkeypatch.chdir(at)
    monkeypatch.setenv("FLTK_PYTHON", sys.executable)
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "0")
    for name in [name for name in sys.modules if name.partition(".")[0] == "flower_app"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(at))
    return at


def fltk(program: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, "run", "experiment.yaml", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=LIMIT_S)


def run_with_fltk(program: str, folder: Path, network: str, strategy: str) -> tuple[dict[str, Any], list[list[int]]]:
    """Runs an app with fltk, and returns the final arrays and the cohorts."""
    out = network.rpartition("/")[2]
    settings = (f"tasks.0.network.python={network}", f"tasks.0.federated.strategy={strategy}")
    ran = fltk(program, folder, "--runs", out, *(argument for setting in settings for argument in ("--set", setting)))
    assert ran.returncode == 0, ran.stderr
    records = read(folder / out)
    (run,) = records.runs
    cohorts: dict[int, list[int]] = {}
    for row in records.clients():
        cohorts.setdefault(int(str(row["round"])), []).append(int(str(row["client"])))
    assert [len(cohorts[at]) for at in (1, 2, 3)] == [5, 5, 5]
    state: dict[str, Any] = dict(run.state_dict())
    return {name: tensor.numpy() for name, tensor in state.items()}, [cohorts[at] for at in (1, 2, 3)]


def test_the_parameters_are_those_of_flowers_own_simulation(program: str, folder: Path) -> None:
    pytest.importorskip("ray")
    assert version("flwr") == TESTED
    pytest.importorskip("safetensors")
    kinds = {
        "registered": ("flower_app/client_app.py:app", "{type: FedAvg, weights: steps}", 0.0),
        "client_fn": ("flower_app/numpy_app.py:app", "{type: FedAvgM, momentum: 0.9, weights: steps}", 0.9),
    }
    plans, ours = {}, {}
    for kind, (network, strategy, momentum) in kinds.items():
        ours[kind], cohorts = run_with_fltk(program, folder, network, strategy)
        plans[kind] = {
            "module": network.removesuffix(".py:app").replace("/", "."),
            "cohorts": cohorts,
            "initial_seed": Stream(SEED, "init").next_u64() & ((1 << 63) - 1),
            "server_momentum": momentum,
            "run_config": {"local-epochs": 1, "learning-rate": 0.05, "momentum": 0.9, "batch-size": 16, "seed": SEED},
        }
    (folder / "plans.json").write_text(json.dumps(plans))
    script = Path(__file__).with_name("flower_simulation.py")
    simulated = subprocess.run([sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert simulated.returncode == 0, simulated.stderr
    for kind, arrays in ours.items():
        theirs = np.load(folder / f"{kind}.npz")
        assert {name: array.shape for name, array in arrays.items()} == {name: theirs[name].shape for name in theirs.files}
        worst = max(float(np.abs(array - theirs[name]).max()) for name, array in arrays.items())
        assert worst < ROUNDING, kind
    assert not np.allclose(ours["registered"]["layers.1.bias"], ours["client_fn"]["1"], atol=100 * ROUNDING), "momentum at the server matters"


def training(code: Path | str, name: str, num_clients: int = 10) -> Training:
    if isinstance(code, str):
        Path("own.py").write_text(code)
        code = Path("own.py")
    optimizer = {"type": "SGD", "learning_rate": 0.05, "momentum": 0.9}
    job = Job("CrossEntropyLoss", optimizer, batch_size=16, test_batch_size=100, drop_last=False, seed=SEED, num_clients=num_clients, dataset="none")
    return Training(code, name, job, Arrays(Path("nowhere")))


def order(client: int = 0, at_round: int = 1, **more: Any) -> Order:
    return Order(**{"round": at_round, "client": client, "learning_rate": 0.05, "epochs": 1.0, "steps": None, **more})


def test_both_kinds_of_apps_answer_their_orders_alike(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, lambda *_: pytest.fail("it calls somebody"))
    registered, older = training(folder / "flower_app/client_app.py", "app"), training(folder / "flower_app/numpy_app.py", "app")
    (names, begun), (numbers, begun_older) = registered.initialize(), older.initialize()
    assert [name for name, _, _ in names] == ["layers.1.weight", "layers.1.bias", "layers.3.weight", "layers.3.bias"]
    assert [(name, role) for name, _, role in numbers] == [("0", 1), ("1", 1), ("2", 1), ("3", 1)]
    assert begun == begun_older, "both are drawn with the run's seed"
    first = registered.train(begun, order())
    assert (first[1].num_samples, first[1].num_steps) == (40, 40), "the number of examples counts as that of samples and of steps"
    for asked in (order(), order(3, 2, epochs=2.0)):
        assert registered.train(begun, asked) == older.train(begun, asked)
    assert registered.train(begun, order()) == first, "answers depend on their orders alone"
    figures = registered.evaluate(first[0], 1)
    assert figures == older.evaluate(first[0], 1)
    assert figures.num_samples == 500, "all clients are evaluated"
    assert 0.0 < figures.accuracy < 1.0
    registered.client._place.last["round"] = 1
    assert registered.measure(first[0], 2, 1, 0) > 0.0


@pytest.mark.parametrize("name", ["client_fn", "FlowerClient", "wrapped"])
def test_other_forms_of_an_app_are_the_same_app(folder: Path, name: str) -> None:
    file = folder / "flower_app/numpy_app.py"
    file.write_text(file.read_text() + "\n\nimport fltk.flower\n\nwrapped = fltk.flower.client(client_fn, initial=Net)\n")
    app, same = training(file, "app"), training(file, name)
    begun = app.initialize()[1]
    assert same.initialize()[1] == begun
    assert same.train(begun, order()) == app.train(begun, order())


SEES = """
import json
import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
import fltk.flower

app = ClientApp()
def make_model():
    return {"w": np.zeros(3, np.float32), "steps": np.zeros((), np.int64)}

@app.train()
def train(message, context):
    seen = {"config": dict(message.content["config"]), "run_config": dict(context.run_config), "node_config": dict(context.node_config)}
    open("seen.json", "w").write(json.dumps(seen))
    arrays = {name: array.numpy() + 1 for name, array in message.content["arrays"].items()}
    content = RecordDict({"any": ArrayRecord({name: Array(np.asarray(array, array.dtype)) for name, array in arrays.items()})})
    content["figures"] = MetricRecord({"num-examples": 7})
    return Message(content, reply_to=message)

def evaluate_fn(server_round, arrays):
    return MetricRecord({"loss": 0.5, "top1": float(arrays["w"].numpy()[0]) / 4, "num-examples": 9})

client = fltk.flower.client(app, initial=make_model, evaluate=evaluate_fn, accuracy="top1", run_config={"batch-size": 3})
"""


def test_an_app_is_told_what_the_experiment_and_its_project_say(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool.flwr.app.config]\nmy = { own = 5 }\nmomentum = 0.1\nseed = 7\n")
    made = training(SEES, "client", num_clients=4)
    layout, begun = made.initialize()
    assert layout == [("w", [3], 1), ("steps", [], 3)]
    content, trained = made.train(begun, order(2, 5, learning_rate=0.25, epochs=3.0, proximal_mu=0.5))
    assert (trained.num_samples, trained.num_steps, trained.loss) == (0, 7, None), "without a loss, samples would count with one of 0"
    seen = json.loads(Path("seen.json").read_text())
    assert seen["node_config"] == {"partition-id": 2, "num-partitions": 4}
    said = {"server-round": 5, "server_round": 5, "lr": 0.25, "learning-rate": 0.25, "learning_rate": 0.25, "local-epochs": 3, "local_epochs": 3}
    assert seen["config"] == {**said, "proximal-mu": 0.5, "proximal_mu": 0.5}
    expected = {"my.own": 5, "momentum": 0.9, "seed": SEED, "lr": 0.25, "local-epochs": 3, "batch-size": 3, "batch_size": 3}
    assert {name: seen["run_config"].get(name) for name in expected} == expected, "the experiment decides over the project, and the code over both"
    assert made.evaluate(content, 5) == Evaluation(9, 0.5, 0.25)
    made.train(content, order(epochs=None, steps=4))
    assert json.loads(Path("seen.json").read_text())["config"]["local-steps"] == 4


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("array.dtype)) for", "np.float64)) for", "returned `w` as float64 of shape \\[3\\], and it is float32"),
        ("array.numpy() + 1 for", "array.numpy()[..., None] for", "shape \\[3, 1\\]"),
        ('{"any": ArrayRecord(', '{"more": ArrayRecord({}), "any": ArrayRecord(', "has 2 of `ArrayRecord`"),
        ('{"num-examples": 7}', '{"examples": 7}', "doesn't say how many examples"),
        ('{"num-examples": 7}', '{"num-examples": -7}', "says -7 examples"),
        ("    return Message(content, reply_to=message)", "    return content", "is RecordDict, and answers are a `Message`"),
        ("    seen = {", "    context.state['mine'] = ConfigRecord({})\n    seen = {", "keeps `mine` in `context.state`"),
        ('"w": np.zeros(3, np.float32)', '"w": np.zeros(3)', "`w` of the initial model is float64"),
        ('{"w": np.zeros(3, np.float32), "steps": np.zeros((), np.int64)}', "3", "the initial model is int"),
        ("for name, array in message", "for name, array in [] and message", "`steps`, `w` are in one alone"),
    ],
)
def test_what_cant_be_is_refused(folder: Path, old: str, new: str, words: str) -> None:
    del folder
    assert old in SEES
    made = training(SEES.replace(old, new, 1), "client")
    with pytest.raises(SettingsError, match=words):
        made.train(made.initialize()[1], order())


SILENT = """
import numpy as np
from flwr.client import NumPyClient

class Own(NumPyClient):
    pass

def make_model():
    return [np.zeros(2, np.float32)]
"""


def test_what_isnt_in_an_app_is_asked_for(folder: Path) -> None:
    del folder
    made = training(SEES, "app")
    begun = made.initialize()[1]
    with pytest.raises(SettingsError, match=r"no function for `@app.evaluate\(\)`; hint: .*evaluate="):
        made.evaluate(begun, 0)
    made = training(SEES.replace(', accuracy="top1"', ""), "client")
    with pytest.raises(SettingsError, match=r"has `loss`, `top1`, .*is the accuracy; hint: .*accuracy="):
        made.evaluate(made.initialize()[1], 0)
    made = training(SEES.replace("def make_model", "def make").replace("initial=make_model, ", ""), "client")
    with pytest.raises(SettingsError, match=r"its file has no class of models; hint: a function `make_model`"):
        made.initialize()
    with pytest.raises(SettingsError, match="`ServerApp` is no client of Flower"):
        training("from flwr.serverapp import ServerApp\napp = ServerApp()\n", "app")
    with pytest.raises(SettingsError, match="`Own` is made of `net`, `loader`, and only its app knows them"):
        training("from flwr.client import NumPyClient\nclass Own(NumPyClient):\n    def __init__(self, net, loader): ...\n", "Own")
    silent = training(SILENT, "Own")
    begun = silent.initialize()[1]
    with pytest.raises(SettingsError, match="`fit` of the client answered with FIT_NOT_IMPLEMENTED"):
        silent.train(begun, order())
    with pytest.raises(SettingsError, match="the client has no method `evaluate`; hint"):
        silent.evaluate(begun, 0)


@pytest.mark.parametrize(("weights", "num"), [("samples", 1), ("steps", 0), ("uniform", 0)])
def test_other_weights_than_flowers_are_warned_of_once(folder: Path, capsys: pytest.CaptureFixture[str], weights: str, num: int) -> None:
    (folder / "experiment.yaml").write_text(f"    strategy:\n      type: FedAvg\n      weights: {weights}\n")
    for _ in range(2):
        training(folder / "flower_app/client_app.py", "app").initialize()
    assert capsys.readouterr().err.count("weights: steps }` weights it by the examples") == num


def test_an_app_that_raises_ends_the_run_with_its_error(program: str, folder: Path) -> None:
    file = folder / "flower_app/client_app.py"
    file.write_text(file.read_text().replace("    net, config = Net(), context.run_config\n", "    raise ValueError('not today')\n"))
    ran = fltk(program, folder)
    assert ran.returncode != 0
    assert "in round `1`: ValueError: not today" in ran.stderr
    assert "Traceback (most recent call last)" in ran.stderr
