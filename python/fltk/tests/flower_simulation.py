"""Runs apps of Flower in Flower's own simulation, one after another, with given cohorts: `flower_simulation.py`, in a folder with the apps and `plans.json`.
The final arrays go to `registered.npz` and `client_fn.npz`. The tests run it as a process of its own, which ends Ray.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ.update(FLWR_TELEMETRY_ENABLED="0", RAY_USAGE_STATS_ENABLED="0", RAY_DEDUP_LOGS="0")
# The processes that Ray starts have to find the app and this file.
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path.cwd()), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
sys.path.insert(0, str(Path.cwd()))

import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.common import FitIns, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server import ServerAppComponents, ServerConfig, strategy
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

PLANS: dict[str, dict[str, Any]] = json.loads(Path("plans.json").read_text())
NUM_CLIENTS = 10


class Configured:
    """An app that has the configuration of its project, which `run_simulation` doesn't hand on, and that says which part of the data a node has."""

    def __init__(self, app: Any, run_config: dict[str, Any]) -> None:
        self.app, self.run_config = app, run_config

    def __call__(self, message: Any, context: Any) -> Any:
        torch.set_num_threads(1)
        if message.metadata.message_type != "query":
            return self.app(message, Context(context.run_id, context.node_id, context.node_config, context.state, self.run_config))
        return Message(RecordDict({"part": MetricRecord({"part": context.node_config["partition-id"]})}), reply_to=message)


@functools.cache
def nodes_by_part(grid: Any) -> list[int]:
    """Returns the nodes in the order of their parts of the data. Each question takes three seconds, after which Flower looks for answers."""
    while len(nodes := list(grid.get_node_ids())) < NUM_CLIENTS:
        time.sleep(0.1)
    answers = list(grid.send_and_receive([Message(RecordDict(), dst_node_id=node, message_type="query") for node in nodes]))
    parts = {answer.content["part"]["part"]: answer.metadata.src_node_id for answer in answers}
    return [parts[part] for part in range(NUM_CLIENTS)]


def initial(kind: str) -> Any:
    """Returns the initial net, drawn with the same seed."""
    torch.manual_seed(PLANS[kind]["initial_seed"])
    return importlib.import_module("flower_app.task").Net()


class Given(FedAvg):  # type: ignore[misc]
    """Flower's strategy with given cohorts."""

    def configure_train(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Iterable[Any]:
        nodes = nodes_by_part(grid)
        config["server-round"] = server_round
        record = RecordDict({self.arrayrecord_key: arrays, self.configrecord_key: config})
        return [Message(record, dst_node_id=nodes[part], message_type="train") for part in PLANS["registered"]["cohorts"][server_round - 1]]


registered = ServerApp()


@registered.main()  # type: ignore[untyped-decorator]
def main(grid: Any, context: Context) -> None:
    del context
    given, num_rounds = Given(fraction_evaluate=0.0), len(PLANS["registered"]["cohorts"])
    result = given.start(grid=grid, initial_arrays=ArrayRecord(initial("registered").state_dict()), num_rounds=num_rounds, train_config=ConfigRecord({}))
    np.savez("registered.npz", **{name: array.numpy() for name, array in result.arrays.items()})


class GivenOfClients(strategy.FedAvgM):  # type: ignore[misc]
    """The same of the older kind, with momentum at the server."""

    def configure_fit(self, server_round: int, parameters: Any, client_manager: Any) -> list[tuple[Any, Any]]:
        client_manager.wait_for(NUM_CLIENTS)
        proxies = {proxy.node_id: proxy for proxy in client_manager.all().values()}
        nodes = nodes_by_part(next(iter(proxies.values())).grid)
        fit = FitIns(parameters, {"server_round": server_round})
        return [(proxies[nodes[part]], fit) for part in PLANS["client_fn"]["cohorts"][server_round - 1]]

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        assert not failures, failures
        mean = super().aggregate_fit(server_round, results, failures)
        np.savez("client_fn.npz", **{str(number): array for number, array in enumerate(parameters_to_ndarrays(mean[0]))})
        return mean


def server_fn(context: Context) -> Any:
    del context
    plan = PLANS["client_fn"]
    begun = ndarrays_to_parameters([tensor.numpy() for tensor in initial("client_fn").state_dict().values()])
    given = GivenOfClients(fraction_evaluate=0.0, initial_parameters=begun, server_momentum=plan["server_momentum"])
    return ServerAppComponents(strategy=given, config=ServerConfig(num_rounds=len(plan["cohorts"])))


if __name__ == "__main__":
    # Other processes know what this file defines only if it is imported as a module.
    itself = importlib.import_module("flower_simulation")
    for kind, server_app in (("registered", itself.registered), ("client_fn", ServerApp(server_fn=itself.server_fn))):
        plan = PLANS[kind]
        run_simulation(
            server_app=server_app,
            client_app=itself.Configured(importlib.import_module(plan["module"]).app, plan["run_config"]),
            num_supernodes=NUM_CLIENTS,
            backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}, "init_args": {"num_cpus": 2, "include_dashboard": False}},
        )
