"""An app of the older kind, with a `NumPyClient`: the tests put it beside `client_app.py` of the example."""

from __future__ import annotations

from typing import Any

import torch
from flower_app.task import Net, load_data, test, train
from flwr.client import ClientApp, NumPyClient
from flwr.common import Context


class FlowerClient(NumPyClient):  # type: ignore[misc]
    def __init__(self, context: Context) -> None:
        self.net, self.config = Net(), context.run_config
        self.part, self.num_parts = context.node_config["partition-id"], context.node_config["num-partitions"]

    def batches(self, at_round: int) -> Any:
        return load_data(self.part, self.num_parts, self.config["batch-size"], self.config["seed"] + 1000 * at_round + self.part)

    def get_parameters(self, config: Any) -> list[Any]:
        return [tensor.numpy() for tensor in self.net.state_dict().values()]

    def set_parameters(self, parameters: list[Any]) -> None:
        self.net.load_state_dict({name: torch.tensor(array) for name, array in zip(self.net.state_dict(), parameters, strict=True)})

    def fit(self, parameters: list[Any], config: dict[str, Any]) -> tuple[list[Any], int, dict[str, Any]]:
        self.set_parameters(parameters)
        own, _ = self.batches(config["server_round"])
        loss = train(self.net, own, self.config["local-epochs"], self.config["learning-rate"], self.config["momentum"])
        return self.get_parameters({}), len(own.dataset), {"train_loss": loss}

    def evaluate(self, parameters: list[Any], config: dict[str, Any]) -> tuple[float, int, dict[str, Any]]:
        self.set_parameters(parameters)
        _, own = self.batches(0)
        loss, accuracy = test(self.net, own)
        return loss, len(own.dataset), {"accuracy": accuracy}


def client_fn(context: Context) -> Any:
    return FlowerClient(context).to_client()


app = ClientApp(client_fn)
