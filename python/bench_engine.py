#!/usr/bin/env python3
"""Federated averaging by hand, in one process and in two: what `cargo xtask bench engine` compares fltk with. Prints one line of JSON.

    bench_engine.py loop|one|two WORK SPLIT DATA      `one` is `loop` on one thread
    bench_engine.py split WORK SPLIT DATA             writes the division and the cohorts that all programs use

WORK is one of those below, SPLIT a file for fltk's partition and selection `file`, DATA a folder with the four files of (Fashion-)MNIST. The loops do
what the others do and nothing else: no records, no checks, no model but the one that trains.
"""

import gzip
import json
import os
import random
import sys
import time

# Clients, rounds, batch size, learning rate, momentum, rounds between tests, threads of the loop in one process (the faster number).
WORKS = {
    "LogisticRegression": (1000, 100, 10, 0.03, 0.0, 20, 1),
    "McMahan2NN": (1000, 100, 10, 0.03, 0.0, 20, 1),
    "FashionMNISTCNN": (100, 10, 32, 0.01, 0.9, 10, 2),
}
COHORT = 10


def bytes_of(data, name, header):
    with gzip.open(os.path.join(data, name + ".gz")) as file:
        return file.read()[header:]


def load(data, part, mean=0.1307, deviation=0.3081):
    import torch

    prefix = {"train": "train", "test": "t10k"}[part]
    pixels = torch.frombuffer(bytearray(bytes_of(data, f"{prefix}-images-idx3-ubyte", 16)), dtype=torch.uint8)
    labels = torch.frombuffer(bytearray(bytes_of(data, f"{prefix}-labels-idx1-ubyte", 8)), dtype=torch.uint8)
    return pixels.view(-1, 1, 28, 28).float().div_(255).sub_(mean).div_(deviation), labels.long()


def split(work, data):
    """Two classes for each of many clients, with log-normal sizes; or, for few clients, equal parts at random."""
    clients, rounds = WORKS[work][:2]
    labels, stream = bytes_of(data, "train-labels-idx1-ubyte", 8), random.Random(1)
    if clients == 1000:
        by_class = [[index for index, label in enumerate(labels) if label == k] for k in range(10)]
        for samples in by_class:
            stream.shuffle(samples)
        weights = [stream.lognormvariate(0, 1) for _ in range(clients)]
        of_class = [sum(weights[client] for client in range(clients) if k in (client % 10, (client + 1) % 10)) for k in range(10)]
        scale = min(len(by_class[k]) / of_class[k] for k in range(10)) * 0.97
        parts = []
        for client in range(clients):
            count = max(1, int(weights[client] * scale))
            parts.append(sorted(by_class[client % 10][:count] + by_class[(client + 1) % 10][:count]))
            for k in (client % 10, (client + 1) % 10):
                del by_class[k][:count]
    else:
        order = list(range(len(labels)))
        stream.shuffle(order)
        parts = [sorted(order[client::clients]) for client in range(clients)]
    return {"clients": parts, "cohorts": [sorted(stream.sample(range(clients), COHORT)) for _ in range(rounds)]}


def net_of(work):
    from nets import NETS

    return NETS[work][0]()


def train_client(net, images, labels, samples, batch, rate, momentum):
    """One epoch over a client's samples. `torch.optim` would import its compiler first, which takes a second or two."""
    import torch
    from torch.nn import functional as F

    parameters, velocity = list(net.parameters()), None
    images, labels = images[samples], labels[samples]
    for chosen in torch.randperm(len(samples)).split(batch):
        gradients = torch.autograd.grad(F.cross_entropy(net(images[chosen]), labels[chosen]), parameters)
        with torch.no_grad():
            if momentum and velocity is not None:
                torch._foreach_mul_(velocity, momentum)
                torch._foreach_add_(velocity, gradients)
            else:
                velocity = gradients
            torch._foreach_add_(parameters, velocity, alpha=-rate)


def accuracy(net, images, labels):
    import torch

    net.eval()
    with torch.no_grad():
        right = sum((net(i).argmax(1) == y).sum().item() for i, y in zip(images.split(1000), labels.split(1000)))
    net.train()
    return right / len(labels)


def run(work, split_file, data, num_processes, threads=None):
    import torch
    import torch.distributed as dist

    _, rounds, batch, rate, momentum, test_every, faster = WORKS[work]
    torch.set_num_threads(threads or (faster if num_processes == 1 else 1))
    rank = 0
    if num_processes == 2:
        # The second process begins with what the first has imported.
        import tempfile

        store = tempfile.mktemp()
        rank = 0 if os.fork() else 1
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    (images, labels), test = load(data, "train"), load(data, "test")
    with open(split_file) as file:
        given = json.load(file)
    parts = [torch.tensor(part) for part in given["clients"]]
    net = net_of(work)
    # Counters of batches are left out: nothing reads them.
    own = [value for value in net.state_dict().values() if value.is_floating_point()]
    began = time.perf_counter()
    if num_processes == 2:
        for value in own:
            dist.broadcast(value, 0)
    state = [value.clone() for value in own]

    def test_accuracy():
        torch._foreach_copy_(own, state)
        half = len(test[1]) // num_processes
        rows = slice(rank * half, (rank + 1) * half)
        right = torch.tensor(accuracy(net, test[0][rows], test[1][rows]) / num_processes)
        if num_processes == 2:
            dist.all_reduce(right)
        return right

    # Like fltk and Flower, it tests the initial model too.
    right, first_ended = test_accuracy(), 0.0
    for number, cohort in enumerate(given["cohorts"][:rounds], 1):
        total = sum(len(parts[client]) for client in cohort)
        sums = [torch.zeros_like(value) for value in state]
        for client in cohort[rank::num_processes]:
            torch._foreach_copy_(own, state)
            train_client(net, images, labels, parts[client], batch, rate, momentum)
            torch._foreach_add_(sums, own, alpha=len(parts[client]) / total)
        if num_processes == 2:
            for value in sums:
                dist.all_reduce(value)
        state = sums
        ended = time.perf_counter()
        first_ended = ended if number == 1 else first_ended
        if number % test_every == 0:
            right = test_accuracy()
    if rank == 0:
        seconds = time.perf_counter() - began
        print(json.dumps({"rounds": rounds, "rounds_seconds": seconds, "later_seconds": ended - first_ended, "accuracy": right.item()}))
    if num_processes == 2:
        dist.destroy_process_group()
        if rank == 0:
            os.wait()


if __name__ == "__main__":
    mode, work, split_file, data = sys.argv[1:]
    if mode == "split":
        with open(split_file, "w") as file:
            json.dump(split(work, data), file)
    else:
        run(work, split_file, data, *{"loop": (1,), "one": (1, 1), "two": (2,)}[mode])
