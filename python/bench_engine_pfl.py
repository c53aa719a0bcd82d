#!/usr/bin/env python3
"""The work of `bench_engine.py` with pfl-research: `bench_engine_pfl.py WORK SPLIT DATA`. Prints one line of JSON.

It is as kind to pfl as it can be: its simulation in one process, clients' samples cut out of tensors in memory, no metrics while training.
"""

import json
import sys
import time

import torch
from bench_engine import COHORT, WORKS, accuracy, load, net_of
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.pytorch import PyTorchTensorDataset
from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
from pfl.metrics import Metrics
from pfl.model.pytorch import PyTorchModel
from torch.nn import functional as F


class Client(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)

    def loss(self, x, y, eval=False):
        return F.cross_entropy(self.net(x), y)

    def metrics(self, x, y, eval=False):
        return {}


class Test(TrainingProcessCallback):
    def __init__(self, every, test):
        self.every, self.test, self.right = every, test, None

    def on_train_begin(self, *, model):
        # Like fltk and Flower, it tests the initial model too.
        self.right = accuracy(model.pytorch_model, *self.test)
        return Metrics()

    def after_central_iteration(self, aggregate_metrics, model, *, central_iteration):
        if (central_iteration + 1) % self.every == 0:
            self.right = accuracy(model.pytorch_model, *self.test)
        return False, Metrics()


def main(work, split_file, data):
    _, rounds, batch, rate, momentum, test_every, threads = WORKS[work]
    torch.set_num_threads(threads)
    (images, labels), test = load(data, "train"), load(data, "test")
    with open(split_file) as file:
        given = json.load(file)
    parts = [torch.tensor(part) for part in given["clients"]]
    order = iter([client for cohort in given["cohorts"] for client in cohort])

    def of_client(client):
        chosen = parts[client][torch.randperm(len(parts[client]))]
        return PyTorchTensorDataset(tensors=(images[chosen], labels[chosen]), user_id=str(client))

    net = Client(net_of(work))
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    create = lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=momentum)  # noqa: E731
    model = PyTorchModel(net, local_optimizer_create=create, central_optimizer=optimizer)
    federated = FederatedDataset(of_client, lambda: next(order))
    tested = Test(test_every, test)
    began = time.perf_counter()
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=rounds, evaluation_frequency=rounds + 1, train_cohort_size=COHORT, val_cohort_size=0
        ),
        backend=SimulatedBackend(training_data=federated, val_data=federated),
        model=model,
        model_train_params=NNTrainHyperParams(local_num_epochs=1, local_learning_rate=rate, local_batch_size=batch),
        model_eval_params=NNEvalHyperParams(local_batch_size=None),
        callbacks=[tested],
    )
    print(json.dumps({"rounds": rounds, "rounds_seconds": time.perf_counter() - began, "accuracy": tested.right}))


if __name__ == "__main__":
    main(*sys.argv[1:])
