"""The server of `flwr run`. fltk doesn't use it: the experiment file says what is here."""

import torch
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from flower_app.task import Net

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    torch.manual_seed(config["seed"])
    strategy = FedAvg(fraction_train=config["fraction-train"])
    result = strategy.start(grid=grid, initial_arrays=ArrayRecord(Net().state_dict()), num_rounds=config["num-server-rounds"])
    torch.save(result.arrays.to_torch_state_dict(), "final.pt")
