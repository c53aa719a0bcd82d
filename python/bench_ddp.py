#!/usr/bin/env python3
"""Times data-parallel training, or all-reduce, of one rank with plain PyTorch; prints one line of JSON.

    bench_ddp.py loader|memory|tuned RANK RANKS PORT    seconds of an epoch over Fashion-MNIST, FashionMNISTCNN, 64 samples a rank
    bench_ddp.py all-reduce RANK RANKS PORT             milliseconds of an all-reduce, by bytes

`loader` is what a tutorial writes: torchvision's data set and transforms, DistributedSampler, DataLoader, DistributedDataParallel. `memory` indexes
tensors instead of loading samples.
`tuned` is what an expert makes of `memory`: channels last, no broadcast of buffers, one update over flat parameters.
"""

import gzip
import json
import os
import statistics
import sys
import tempfile
import time

import numpy
import torch
import torch.distributed as dist
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler
from torchvision import datasets, transforms

from bench_step import FlatSgd
from nets import NETS

FOLDER = "/usr/share/datasets/fashion-mnist"
BATCH = 64
EPOCHS = 2
# Bytes, and how often: some seconds each.
ALL_REDUCE = ((1_000_000, 500), (10_000_000, 100), (100_000_000, 20))


def read(name, header):
    with gzip.open(f"{FOLDER}/{name}") as file:
        return torch.from_numpy(numpy.frombuffer(file.read(), numpy.uint8, offset=header).copy())


def loader(ranks, rank):
    """torchvision wants the files unpacked, in folders of its own."""
    root = tempfile.TemporaryDirectory()
    raw = f"{root.name}/FashionMNIST/raw"
    os.makedirs(raw)
    for part in "train", "t10k":
        for kind in "images-idx3", "labels-idx1":
            with gzip.open(f"{FOLDER}/{part}-{kind}-ubyte.gz") as file, open(f"{raw}/{part}-{kind}-ubyte", "wb") as out:
                out.write(file.read())
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.2860,), (0.3530,))])
    dataset = datasets.FashionMNIST(root.name, train=True, transform=transform)
    sampler = DistributedSampler(dataset, ranks, rank)
    return sampler, DataLoader(dataset, batch_size=BATCH, sampler=sampler)


def batches(mode, sampler, images, labels):
    order = torch.tensor(list(sampler))
    for indices in order.split(BATCH):
        inputs = images[indices]
        yield inputs.to(memory_format=torch.channels_last) if mode == "tuned" else inputs, labels[indices]


def train(mode, rank, ranks):
    if mode == "loader":
        sampler, samples = loader(ranks, rank)
    else:
        images = (read("train-images-idx3-ubyte.gz", 16).view(-1, 1, 28, 28).float() / 255 - 0.2860) / 0.3530
        labels = read("train-labels-idx1-ubyte.gz", 8).long()
        sampler = DistributedSampler(labels, ranks, rank)
    torch.manual_seed(rank)
    net = NETS["FashionMNISTCNN"][0]()
    if mode == "tuned":
        net = net.to(memory_format=torch.channels_last)
        model = DistributedDataParallel(net, forward_sync_buffers=False)
        optimizer = FlatSgd(net.parameters())
    else:
        model = DistributedDataParallel(net)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    seconds = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        dist.barrier()
        began = time.perf_counter()
        for inputs, targets in samples if mode == "loader" else batches(mode, sampler, images, labels):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss.item()
        seconds.append(time.perf_counter() - began)
    return {"epoch_seconds": min(seconds)}


def all_reduce():
    results = {}
    for size, repeats in ALL_REDUCE:
        tensor, times = torch.ones(size // 4), []
        for _ in range(repeats):
            tensor.fill_(1.0)
            dist.barrier()
            began = time.perf_counter()
            dist.all_reduce(tensor)
            times.append((time.perf_counter() - began) * 1e3)
        results[str(size)] = statistics.median(times)
    return {"all_reduce_ms": results}


def main():
    mode, rank, ranks, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    result = all_reduce() if mode == "all-reduce" else train(mode, rank, ranks)
    dist.barrier()
    # Without it a rank aborts now and then while the interpreter ends.
    dist.destroy_process_group()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
