"""The app that `bench_network_flower.py` runs: a server that averages, and clients that train half of a cohort for each message.

It is read anew in a process for every message; the files that it reads are named by the environment of the SuperLink and the SuperNodes.
"""

import json
import os
import time

import torch
from bench_engine import COHORT, WORKS, accuracy, net_of, train_client
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

WORK, NODES = "FashionMNISTCNN", 2
# The interval at which the server asks for answers; `send_and_receive` would ask every three seconds.
POLL_SECONDS = 0.05
# Flower looks for these names in the text.
server = ServerApp()
client = ClientApp()


def images(part):
    torch.set_num_threads(1)
    return torch.load(os.path.join(os.environ["BENCH_FOLDER"], "images.pt"), mmap=True)[part]


def split():
    with open(os.environ["BENCH_SPLIT"]) as file:
        return json.load(file)


def mean(states):
    """The mean of models with the numbers of their samples, and the sum of these numbers."""
    total = sum(samples for _, samples in states)
    sums = {name: torch.zeros_like(value, dtype=torch.float) for name, value in states[0][0].items()}
    for state, samples in states:
        for name, value in state.items():
            sums[name].add_(value, alpha=samples / total)
    return sums, total


@client.train()
def train(message, context):
    _, _, batch, rate, momentum, _, _ = WORKS[WORK]
    (pixels, labels), parts, net = images("train"), split()["clients"], net_of(WORK)
    given, states = message.content["model"].to_torch_state_dict(), []
    for part in message.content["order"]["parts"]:
        samples = torch.tensor(parts[part])
        net.load_state_dict(given)
        train_client(net, pixels, labels, samples, batch, rate, momentum)
        states.append(({name: value.clone() for name, value in net.state_dict().items()}, len(samples)))
    state, total = mean(states)
    return Message(RecordDict({"model": ArrayRecord(state), "figures": MetricRecord({"samples": total})}), reply_to=message)


@server.main()
def serve(grid, context):
    net, test, cohorts = net_of(WORK), images("test"), split()["cohorts"]
    while len(nodes := sorted(grid.get_node_ids())) < NODES:
        time.sleep(POLL_SECONDS)
    ends = []
    for cohort in cohorts[: int(os.environ["BENCH_ROUNDS"])]:
        model, half = ArrayRecord(net.state_dict()), COHORT // NODES
        orders = [
            Message(
                RecordDict({"model": model, "order": ConfigRecord({"parts": cohort[at * half : (at + 1) * half]})}),
                dst_node_id=node,
                message_type="train",
            )
            for at, node in enumerate(nodes)
        ]
        waiting, states = set(grid.push_messages(orders)), []
        while waiting:
            for answer in grid.pull_messages(waiting):
                assert not answer.has_error(), answer
                waiting.remove(answer.metadata.reply_to_message_id)
                states.append((answer.content["model"].to_torch_state_dict(), answer.content["figures"]["samples"]))
            if waiting:
                time.sleep(POLL_SECONDS)
        net.load_state_dict(mean(states)[0])
        ends.append(time.time())
    result = {"ends": ends, "accuracy": accuracy(net, *test)}
    result_file = os.environ["BENCH_RESULT"]
    with open(result_file + ".new", "w") as file:
        json.dump(result, file)
    os.rename(result_file + ".new", result_file)
