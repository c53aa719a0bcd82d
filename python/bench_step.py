#!/usr/bin/env python3
"""Times one PyTorch training step (forward, cross-entropy, backward, SGD with momentum) on made-up data; prints one line of JSON.

    bench_step.py NET BATCH THREADS [STEPS] [--tuned]

Eager is what a tutorial writes. Tuned is what an expert gets out of it without compiling: channels last, and one update over flat
parameters. crates/fltk-train/examples/step.rs is the same for fltk.
"""

import argparse
import json
import statistics
import time

import torch
from torch.nn import functional as F

from nets import NETS, VGG11, Cifar100VGG, CharLSTM, MNISTCNN, RedditLSTM

VOCABULARY, SEQUENCE = 10_000, 20
WARM_UP_STEPS = 10
LEARNING_RATE, MOMENTUM = 0.01, 0.9
# The twins for comparisons have dropout off; a training step has it on.
AS_TRAINED = {
    "Cifar100VGG": Cifar100VGG, "MNISTCNN": MNISTCNN, "VGG11": VGG11,
    "RedditLSTM": lambda: RedditLSTM(vocabulary=VOCABULARY), "CharLSTM": lambda: CharLSTM(vocabulary=VOCABULARY),
}  # fmt: skip


def make(name, batch):
    constructor, shape, classes = NETS[name]
    net = AS_TRAINED.get(name, constructor)()
    if shape is None:
        return net, torch.randint(VOCABULARY, (batch, SEQUENCE)), torch.randint(VOCABULARY, (batch * SEQUENCE,))
    return net, torch.rand(batch, *shape) * 2 - 1, torch.randint(classes, (batch,))


class FlatSgd:
    """Parameters and gradients as views of two flat vectors, so that an update is three operations."""

    def __init__(self, parameters):
        parameters = list(parameters)
        count = sum(p.numel() for p in parameters)
        self.weights, self.gradients, self.velocity = torch.empty(count), torch.zeros(count), torch.zeros(count)
        start = 0
        for p in parameters:
            # as_strided keeps channels last.
            weights, gradients = (flat.as_strided(p.shape, p.stride(), start) for flat in (self.weights, self.gradients))
            weights.copy_(p.data)
            p.data, p.grad = weights, gradients
            start += p.numel()

    def zero_grad(self):
        self.gradients.zero_()

    def step(self):
        self.velocity.mul_(MOMENTUM).add_(self.gradients)
        self.weights.add_(self.velocity, alpha=-LEARNING_RATE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("net", choices=list(NETS))
    parser.add_argument("batch", type=int)
    parser.add_argument("threads", type=int)
    parser.add_argument("steps", type=int, nargs="?", default=50)
    parser.add_argument("--tuned", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    net, x, y = make(arguments.net, arguments.batch)
    net.train()
    if arguments.tuned:
        net = net.to(memory_format=torch.channels_last)
        if x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        optimizer = FlatSgd(net.parameters())
    else:
        optimizer = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    milliseconds = []
    for step in range(WARM_UP_STEPS + arguments.steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        logits = net(x)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y)
        loss.backward()
        optimizer.step()
        loss.item()
        if step >= WARM_UP_STEPS:
            milliseconds.append((time.perf_counter() - start) * 1e3)
    engine = "pytorch-tuned" if arguments.tuned else "pytorch-eager"
    print(json.dumps({
        "engine": engine, "net": arguments.net, "batch": arguments.batch, "threads": arguments.threads, "steps": arguments.steps,
        "median_ms": statistics.median(milliseconds), "min_ms": min(milliseconds),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
