#!/usr/bin/env python3
"""make_torchscript.py DIR: the small TorchScript modules of crates/fltk-torch/tests/torchscript.rs.

`plain.pt` has dropout and no buffers; `buffers.pt` has dropout and batch norm's buffers; `statistics.pt` has batch norm and no dropout, so that clients can be trained
at the same time; `replaced.pt` puts another tensor in the place of its buffer in each step; `labels.pt` has outputs for three classes alone.
"""

import sys
from pathlib import Path

import torch
from torch import nn


def small(norm, dropout=0.2, classes=10):
    layers = [nn.Conv2d(1, 4, 5, stride=3), norm, nn.ReLU()]
    layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 8 * 8, classes))


class Replaced(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))
        self.linear = nn.Linear(28 * 28, 10)

    def forward(self, x):
        if self.training:
            self.mean = 0.5 * self.mean + 0.5 * x.mean().reshape(1).detach()
        return self.linear((x - self.mean).flatten(1))


torch.manual_seed(1)
folder = Path(sys.argv[1])
torch.jit.script(small(nn.GroupNorm(2, 4))).save(folder / "plain.pt")
torch.jit.script(small(nn.BatchNorm2d(4))).save(folder / "buffers.pt")
torch.jit.script(small(nn.BatchNorm2d(4), dropout=0)).save(folder / "statistics.pt")
torch.jit.script(Replaced()).save(folder / "replaced.pt")
torch.jit.script(small(nn.GroupNorm(2, 4), dropout=0, classes=3)).save(folder / "labels.pt")
