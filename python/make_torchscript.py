#!/usr/bin/env python3
"""make_torchscript.py DIR: the small TorchScript modules of crates/fltk-torch/tests/torchscript.rs.

`plain.pt` has dropout and no buffers and can be trained; `buffers.pt` has batch norm's buffers and is refused.
"""

import sys
from pathlib import Path

import torch
from torch import nn


def small(norm):
    layers = [nn.Conv2d(1, 4, 5, stride=3), norm, nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(4 * 8 * 8, 10)]
    return nn.Sequential(*layers)


torch.manual_seed(1)
folder = Path(sys.argv[1])
torch.jit.script(small(nn.GroupNorm(2, 4))).save(folder / "plain.pt")
torch.jit.script(small(nn.BatchNorm2d(4))).save(folder / "buffers.pt")
