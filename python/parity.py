#!/usr/bin/env python3
"""Checks fltk against PyTorch: the same weights and batches must give the same losses.

    parity.py --golden DIR [NET...] write golden losses for the Rust tests (crates/fltk-train/tests/golden)
    parity.py --live FLTK [NET...]  drive a built `fltk` and compare with PyTorch here and now

Weights and batches of the golden files are made by a rule that both sides compute (`noise` below, `noise` in
crates/fltk-train/tests/golden.rs), so that the files hold losses alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from nets import NETS

STEPS = 5
TOLERANCE = 1e-4
SEED = 1
# Deep nets amplify rounding: at 0.01, PyTorch in float32 is 1e-3 and more from itself in float64, in channels last or on another kind of
# processor after five steps on noise. So in the golden files, which are to hold on any machine, they take smaller steps.
CHAOTIC = {"Cifar10CNN", "Cifar10ResNet", "Cifar100ResNet", "Cifar100VGG", "FashionMNISTResNet", "ResNet18GN", "VGG11"}


# Without norms, weights as small as those of the other nets shrink the signal in every layer, until the losses hardly depend on the input and no
# error of a layer shows. So matrices of deep nets without norms are larger by this factor.
GAINS = {"VGG11": 2.5, "CharLSTM": 2.5}


def golden_optimizers(name):
    sgd, adam = (0.0001, 0.00001) if name in CHAOTIC else (0.01, 0.0001)
    return [
        {"type": "SGD", "learning_rate": sgd, "momentum": 0.9, "weight_decay": 0.0005},
        {"type": "SGD", "learning_rate": sgd, "momentum": 0.9, "nesterov": True},
        {"type": "Adam", "learning_rate": adam, "weight_decay": 0.01},
        {"type": "AdamW", "learning_rate": adam},
    ]


# Here and now, PyTorch and fltk compute with the same kernels, so steps may be as large as in real training.
LIVE_OPTIMIZERS = [
    {"type": "SGD", "learning_rate": 0.05, "momentum": 0.9},
    {"type": "SGD", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.0005, "nesterov": True},
    {"type": "Adam", "learning_rate": 0.001, "weight_decay": 0.01},
    {"type": "AdamW", "learning_rate": 0.001},
]


def live_optimizers(name):
    """Two for each net, when all nets are compared: each optimizer meets half of the nets. Every net with every one is in the golden files."""
    return LIVE_OPTIMIZERS[list(NETS).index(name) % 2 :: 2]


MNIST, CIFAR100 = {"shape": (1, 28, 28)}, {"shape": (3, 32, 32), "classes": 100}
# Golden cases: file name, net, the sizes and settings that aren't those in NETS, batch size.
CASES = [(name, name, {}, 16) for name, (_, shape, _) in NETS.items() if shape] + [
    ("LogisticRegression-cifar100", "LogisticRegression", CIFAR100, 16),
    ("MLP-deep", "MLP", {"settings": {"hidden": [30, 20, 40]}}, 16),
    ("McMahanCNN-cifar100", "McMahanCNN", CIFAR100, 16),
    ("NIIDBenchCNN-mnist", "NIIDBenchCNN", MNIST, 16),
    ("ResNet18GN-cifar100", "ResNet18GN", CIFAR100, 16),
    ("RedditLSTM", "RedditLSTM", {"vocabulary": 50, "settings": {"embedding": 16, "hidden": 24, "layers": 2, "tied": False}}, 4),
    ("RedditLSTM-tied", "RedditLSTM", {"vocabulary": 50, "settings": {"embedding": 16, "hidden": 16, "layers": 1, "tied": True}}, 4),
    ("CharLSTM", "CharLSTM", {"vocabulary": 50}, 4),
]
SEQUENCE = 12


def hashes(tensor, count):
    """SplitMix64 of (seed, number of the tensor, index of the element)."""
    with np.errstate(over="ignore"):
        z = np.arange(count, dtype=np.uint64) + (np.uint64(tensor) << np.uint64(40)) + (np.uint64(SEED) << np.uint64(56))
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def noise(tensor, count):
    """Float64 on [-1, 1), from 24 bits."""
    return (hashes(tensor, count) >> np.uint64(40)).astype(np.float64) / 2**23 - 1.0


def golden_weights(net, gain):
    """Matrices uniform within gain/sqrt(fan-in), norms' weights near 1, biases small, running statistics as at the start."""
    state = {}
    for number, (name, tensor) in enumerate(net.state_dict().items()):
        count = tensor.numel()
        if name.endswith("num_batches_tracked"):
            values = np.zeros(count)
        elif name.endswith("running_mean"):
            values = np.zeros(count)
        elif name.endswith("running_var"):
            values = np.ones(count)
        elif tensor.dim() == 1 and name.endswith("weight"):
            values = 1.0 + 0.1 * noise(number, count)
        elif tensor.dim() == 1:
            values = 0.05 * noise(number, count)
        else:
            values = gain * noise(number, count) / np.sqrt(count / tensor.shape[0])
        state[name] = torch.from_numpy(values).reshape(tensor.shape).to(tensor.dtype)
    return state


def make_batches(name, batch, vocabulary=None, shape=None, classes=None):
    """A stack of STEPS batches."""
    _, typical, outputs = NETS[name]
    shape, classes = shape or typical, classes or outputs
    if shape is None:
        count = STEPS * batch * SEQUENCE
        x, y = (torch.from_numpy((hashes(tensor, count) % np.uint64(vocabulary)).astype(np.int64)) for tensor in (1000, 1001))
        return x.reshape(STEPS, batch, SEQUENCE), y.reshape(STEPS, batch, SEQUENCE)
    x = torch.from_numpy(noise(1000, STEPS * batch * int(np.prod(shape)))).float().reshape(STEPS, batch, *shape)
    y = torch.from_numpy((hashes(1001, STEPS * batch) % np.uint64(classes)).astype(np.int64)).reshape(STEPS, batch)
    return x, y


def make_optimizer(config, parameters):
    settings = {key: value for key, value in config.items() if key not in ("type", "learning_rate")}
    return getattr(torch.optim, config["type"])(parameters, lr=config["learning_rate"], **settings)


def train(net, x, y, optimizer_config):
    """The loss before each step; plain eager PyTorch."""
    net.train()
    optimizer = make_optimizer(optimizer_config, net.parameters())
    losses = []
    for inputs, targets in zip(x, y):
        optimizer.zero_grad()
        logits = net(inputs)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def write_golden(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for file, name, sizes, batch in CASES:
        if name not in names:
            continue
        settings = sizes.get("settings", {})
        of_data = {key: value for key, value in sizes.items() if key != "settings"}
        x, y = make_batches(name, batch, **of_data)
        runs = []
        for optimizer in golden_optimizers(name):
            net = NETS[name][0](**of_data, **settings)
            net.load_state_dict(golden_weights(net, GAINS.get(name, 1.0)))
            runs.append({"optimizer": optimizer, "losses": train(net, x, y, optimizer)})
        case = {"torch": torch.__version__.split("+")[0], "net": name, "sizes": sizes, "gain": GAINS.get(name, 1.0), "batch": batch, "runs": runs}
        (folder / f"{file}.json").write_text(json.dumps(case, indent=1) + "\n")
        print(f"{file}: {[round(run['losses'][-1], 4) for run in runs]}", file=sys.stderr)


def fltk(binary, *arguments):
    result = subprocess.run([binary, *arguments, "--output", "json"], capture_output=True, text=True, timeout=600)
    if result.returncode != 0:
        raise SystemExit(f"`fltk {' '.join(arguments)}` failed with {result.returncode}:\n{result.stderr}")
    return json.loads(result.stdout) if result.stdout.strip() else None


def check_live(binary, name, optimizers, folder):
    """Returns what is wrong with one net."""
    problems = []
    net = NETS[name][0]()
    weights = folder / "weights.safetensors"
    fltk(binary, "nets", "init", name, "--seed", "7", "--out", str(weights))
    initial = load_file(weights)
    twin = net.state_dict()
    shown = fltk(binary, "nets", "show", name)
    names = [tensor["name"] for tensor in shown["tensors"]]
    if names != list(twin):
        problems.append(f"names or order differ: {names} != {list(twin)}")
    trainable = sum(p.numel() for p in net.parameters())
    if shown["trainable"] != trainable:
        problems.append(f"{shown['trainable']} trainable elements, PyTorch has {trainable}")
    vocabulary = initial["encoder.weight"].shape[0] if "encoder.weight" in initial else None
    x, y = make_batches(name, 4 if vocabulary else 16, vocabulary)
    batch = folder / "batch.safetensors"
    save_file({"x": x, "y": y}, batch)
    for optimizer in optimizers:
        saved = folder / "saved.safetensors"
        arguments = ["--weights", str(weights), "--batch", str(batch), "--steps", str(STEPS), "--save", str(saved)]
        ours = fltk(binary, "parity", name, *arguments, "--optimizer", json.dumps(optimizer))["losses"]
        net.load_state_dict(initial, strict=True)
        theirs = train(net, x, y, optimizer)
        worst = max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))
        label = f"{name} {optimizer['type']}{' nesterov' if optimizer.get('nesterov') else ''}"
        print(f"{label}: largest relative difference {worst:.1e}", file=sys.stderr)
        if not worst <= TOLERANCE:
            problems.append(f"{label}: losses {ours} != {theirs}")
        # Back into PyTorch, to the same numbers.
        other = NETS[name][0](**({"vocabulary": vocabulary} if vocabulary else {}))
        other.load_state_dict(load_file(saved), strict=True)
        for key, value in net.state_dict().items():
            if not torch.allclose(other.state_dict()[key], value, rtol=1e-3, atol=1e-4):
                problems.append(f"{label}: `{key}` differs after {STEPS} steps")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", type=Path, metavar="DIR")
    parser.add_argument("--live", metavar="FLTK")
    parser.add_argument("nets", nargs="*", metavar="NET", help="only these; with --live, each with all optimizers")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    unknown = set(arguments.nets) - set(NETS)
    if unknown:
        parser.error(f"unknown nets {sorted(unknown)}; known: {', '.join(NETS)}")
    if arguments.golden:
        write_golden(arguments.golden, arguments.nets or NETS)
    if arguments.live:
        problems = []
        for name in arguments.nets or NETS:
            optimizers = LIVE_OPTIMIZERS if arguments.nets else live_optimizers(name)
            with tempfile.TemporaryDirectory() as folder:
                problems += check_live(arguments.live, name, optimizers, Path(folder))
        print("\n".join(problems) or "all nets agree with PyTorch")
        return 1 if problems else 0
    if not arguments.golden:
        parser.error("say --golden DIR or --live FLTK")
    return 0


if __name__ == "__main__":
    sys.exit(main())
