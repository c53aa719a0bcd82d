"""FedAvgM as a strategy of one's own: federated averaging with momentum on the server. It ends with the bits of `strategy: { type: FedAvgM }`."""

import numpy as np

from fltk.strategy import Strategy, mean_changes, moved


class FedAvgM(Strategy):
    momentum = 0.9
    learning_rate = 1.0

    def initial_state(self, model):
        return {name: np.zeros(model[name].shape) for name in model.parameters}

    def combine(self, model, updates, state):
        changes, others = mean_changes(model, updates)
        for name, change in changes.items():
            state[name] = self.momentum * state[name] + change
        return moved(model, {name: self.learning_rate * state[name] for name in changes}, others)
