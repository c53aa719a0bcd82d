"""Clients with a loss, an optimizer and a training step of their own: `network: { python: "own_client.py:Cautious" }`. What isn't overridden is the experiment's."""

from torch import nn, optim

from fltk.node import Client


class Cautious(Client):
    def make_model(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))

    def loss(self, outputs, targets):
        return nn.functional.cross_entropy(outputs, targets, label_smoothing=0.1)

    def optimizer(self, model, learning_rate):
        return optim.AdamW(model.parameters(), lr=learning_rate / 50)

    def train_step(self, model, optimizer, inputs, targets):
        loss = super().train_step(model, optimizer, inputs, targets)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        return loss
