#!/usr/bin/env python3
"""The work of `bench_engine.py` with Flower's simulation: `bench_engine_flower.py WORK SPLIT DATA`. Prints one line of JSON.

It is as kind to Flower as it can be: one core for each client, files read once in each process, no strategy beyond the mean, no metrics. The server's
message names the client's part, since nodes have numbers of their own.
"""

import json
import os
import sys
import time

os.environ.update(FLWR_TELEMETRY_ENABLED="0", RAY_USAGE_STATS_ENABLED="0", RAY_DEDUP_LOGS="0")

import torch  # noqa: E402
from bench_engine import COHORT, WORKS, accuracy, load, net_of, train_client  # noqa: E402
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict  # noqa: E402
from flwr.clientapp import ClientApp  # noqa: E402
from flwr.serverapp import ServerApp  # noqa: E402
from flwr.simulation import run_simulation  # noqa: E402

work, split_file, data = sys.argv[1:]
clients, rounds, batch, rate, momentum, test_every, _ = WORKS[work]
server, client = ServerApp(), ClientApp()


def arguments():
    """What a client's process keeps: its actor runs this file's functions again and again."""
    import builtins

    if not hasattr(builtins, "bench_kept"):
        torch.set_num_threads(1)
        with open(split_file) as file:
            builtins.bench_kept = (load(data, "train"), [torch.tensor(part) for part in json.load(file)["clients"]], net_of(work))
    return builtins.bench_kept


@client.train()
def train(message, context):
    (images, labels), parts, net = arguments()
    part = parts[message.content["order"]["part"]]
    net.load_state_dict(message.content["model"].to_torch_state_dict())
    train_client(net, images, labels, part, batch, rate, momentum)
    content = RecordDict({"model": ArrayRecord(net.state_dict()), "figures": MetricRecord({"samples": len(part)})})
    return Message(content, reply_to=message)


@server.main()
def main(grid, context):
    net, test = net_of(work), load(data, "test")
    with open(split_file) as file:
        cohorts = json.load(file)["cohorts"][:rounds]
    while len(nodes := sorted(grid.get_node_ids())) < clients:
        time.sleep(0.1)
    began, right = time.perf_counter(), None
    for number, cohort in enumerate(cohorts, 1):
        model = ArrayRecord(net.state_dict())
        orders = [
            Message(RecordDict({"model": model, "order": ConfigRecord({"part": part})}), dst_node_id=nodes[part], message_type="train")
            for part in cohort
        ]
        answers = list(grid.send_and_receive(orders))
        assert len(answers) == COHORT and not any(answer.has_error() for answer in answers), answers
        total = sum(answer.content["figures"]["samples"] for answer in answers)
        sums = {name: torch.zeros_like(value, dtype=torch.float) for name, value in net.state_dict().items()}
        for answer in answers:
            for name, value in answer.content["model"].to_torch_state_dict().items():
                sums[name].add_(value, alpha=answer.content["figures"]["samples"] / total)
        net.load_state_dict(sums)
        if number % test_every == 0:
            right = accuracy(net, *test)
    print(json.dumps({"rounds": rounds, "rounds_seconds": time.perf_counter() - began, "accuracy": right}), flush=True)


if __name__ == "__main__":
    run_simulation(
        server_app=server,
        client_app=client,
        num_supernodes=clients,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}, "init_args": {"num_cpus": 2, "include_dashboard": False}},
    )
