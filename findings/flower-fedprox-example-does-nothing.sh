#!/usr/bin/env bash
# The client code that Flower documents for FedProx trains exactly as FedAvg does, whatever mu is.
#
# Expected: Li et al., "Federated Optimization in Heterogeneous Networks" (2020), equation 2, which the documentation of
#   Flower's FedProx repeats: the client's loss has the term mu / 2 * ||w - w^t||^2. With a large mu, w stays near w^t.
# Seen: the documentation's code keeps `global_params = copy.deepcopy(net).parameters()`. That is a generator, which the
#   first batch's loop uses up. In the first batch the term is 0, since w = w^t, and so is its gradient; in all later
#   batches the loop has no turn, and the term is the number 0.0. A third slip lies behind it: if one makes a list of the
#   generator, the code sums norms in place of squared norms, whose gradient has length mu / 2 for each tensor however near
#   w is to w^t. A large mu then throws w about: it ends further away than without the term.
# Where: the documentation of FedProx in flwr 1.42.0, with torch 2.13.0.
# What it means: results "with FedProx" from code that follows this example are results of FedAvg.
# By hand: with the paper's term, SGD of rate r shrinks the distance by the factor 1 - r * mu in each step (plus the loss's
#   own step). With r = .01 and mu = 100 the factor is 0: each step starts from w^t again, so after any number of steps the
#   distance is one step's.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet flwr==1.42.0 torch==2.13.0 numpy==2.4.6
export FLWR_TELEMETRY_ENABLED=0
"$work/venv/bin/python" - <<'PYTHON' | tee "$work/output"
import copy
import inspect
import re
import sys
import textwrap
from importlib.metadata import version
from types import SimpleNamespace

import torch
from flwr.serverapp.strategy import FedProx

examples = re.findall(r"\.\. code:: python\n\n((?:    .*\n|\n)+)", inspect.getdoc(FedProx))
plain, proximal, keep = (textwrap.dedent(example).strip() for example in examples)
print("flwr", version("flwr"), "torch", version("torch"))
print("the documented code:", textwrap.indent(f"{keep}\n...\n{proximal}", "    "), sep="\n")


def train(way, mu):
    """Ten steps; returns the model's distance from the first one, and the model."""
    torch.manual_seed(0)
    net = torch.nn.Linear(4, 2)
    first = [p.detach().clone() for p in net.parameters()]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    message = SimpleNamespace(content={"config": {"proximal-mu": mu}})
    names = {"copy": copy, "net": net, "criterion": torch.nn.CrossEntropyLoss(), "msg": message}
    exec(keep, names)
    if way == "list":
        names["global_params"] = list(names["global_params"])
    for _ in range(10):
        names |= {"inputs": torch.randn(8, 4), "labels": torch.randint(0, 2, (8,))}
        optimizer.zero_grad()
        if way == "paper":
            exec(plain, names)
            squares = sum(((w - old) ** 2).sum() for w, old in zip(net.parameters(), first))
            names["loss"] = names["loss"] + mu / 2 * squares
        else:
            exec(plain if way == "FedAvg" else proximal, names)
        names["loss"].backward()
        optimizer.step()
    weights = torch.cat([p.detach().flatten() for p in net.parameters()])
    return torch.dist(weights, torch.cat([p.flatten() for p in first])).item(), weights


print("distance from the global model after 10 steps of SGD with rate .01:")
print("    mu   FedAvg   documented   documented, with a list   paper's term")
same = True
for mu in (0.1, 1.0, 10.0, 100.0):
    distance = {way: train(way, mu)[0] for way in ("FedAvg", "documented", "list", "paper")}
    print(f"{mu:6}   {distance['FedAvg']:.4f}   {distance['documented']:.4f}       {distance['list']:.4f}"
          f"                    {distance['paper']:.4f}")
    same &= torch.equal(train("FedAvg", mu)[1], train("documented", mu)[1])
same &= distance["list"] > distance["FedAvg"] > 5 * distance["paper"]
if not same:
    sys.exit("CHANGED: the documented code has an effect now")
print("As described: with the documented code, every bit of the model is FedAvg's.")
PYTHON

# Output seen. It is the one above, or the behavior has changed:
if ! diff - "$work/output" <<'SEEN'
flwr 1.42.0 torch 2.13.0
the documented code:
    global_params = copy.deepcopy(net).parameters()
    ...
    # Get proximal term weight from message
    mu = msg.content["config"]["proximal-mu"]

    # Compute proximal term
    proximal_term = 0.0
    for local_weights, global_weights in zip(net.parameters(), global_params):
        proximal_term += (local_weights - global_weights).norm(2)

    # Update loss
    loss = criterion(net(inputs), labels) + (mu / 2) * proximal_term
distance from the global model after 10 steps of SGD with rate .01:
    mu   FedAvg   documented   documented, with a list   paper's term
   0.1   0.0353   0.0353       0.0310                    0.0352
   1.0   0.0353   0.0353       0.0062                    0.0338
  10.0   0.0353   0.0353       0.0465                    0.0232
 100.0   0.0353   0.0353       0.6701                    0.0054
As described: with the documented code, every bit of the model is FedAvg's.
SEEN
then
    echo "CHANGED: the output is no longer the one that was seen" >&2
    exit 1
fi
