"""PyTorch twins of fltk's nets: the same state_dict() keys in the same order, the same numbers out.

Written for reading beside crates/fltk-train/catalogue/src/nets; nothing here is tuned. A net whose size follows from the data set has the
shape of the images and the number of classes as arguments.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


class Cifar10CNN(nn.Module):
    """ReLU before batch norm, logits out, a ReLU between the linear layers."""

    def __init__(self):
        super().__init__()
        widths = [(3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)]
        for number, (inputs, outputs) in enumerate(widths, start=1):
            self.add_module(f"conv{number}", nn.Conv2d(inputs, outputs, 3, padding=1))
            self.add_module(f"bn{number}", nn.BatchNorm2d(outputs))
        self.fc1 = nn.Linear(2048, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        for number in range(1, 7):
            x = getattr(self, f"bn{number}")(F.relu(getattr(self, f"conv{number}")(x)))
            if number % 2 == 0:
                x = F.max_pool2d(x, 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class BasicBlock(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


class ResNet18(nn.Module):
    """For 32x32 images: 3x3 stem, no first pooling."""

    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for layer, (width, stride) in enumerate([(64, 1), (128, 2), (256, 2), (512, 2)], start=1):
            self.add_module(f"layer{layer}", nn.Sequential(BasicBlock(inputs, width, stride), BasicBlock(width, width, 1)))
            inputs = width
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for layer in range(1, 5):
            x = getattr(self, f"layer{layer}")(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Cifar100VGG(nn.Module):
    """VGG-16 with batch norm."""

    def __init__(self, dropout=0.5):
        super().__init__()
        layers, inputs = [], 3
        for widths in [[64, 64], [128, 128], [256] * 3, [512] * 3, [512] * 3]:
            for width in widths:
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                inputs = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(512, 4096), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(4096, 100),
        )  # fmt: skip

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class FashionMNISTCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5, padding=2)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 5, padding=2)
        self.bn2 = nn.BatchNorm2d(32)
        self.fc = nn.Linear(1568, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        return self.fc(x.flatten(1))


class PreActivationBlock(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs, eps=1e-3)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1)
        self.bn2 = nn.BatchNorm2d(width, eps=1e-3)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1)
        self.shortcut = nn.Conv2d(inputs, width, 1, stride) if stride != 1 or inputs != width else nn.Identity()

    def forward(self, x):
        y = self.conv1(F.relu(self.bn1(x)))
        y = self.conv2(F.relu(self.bn2(y)))
        return y + self.shortcut(x)


class FashionMNISTResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 7, 2, 3)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for layer, (width, stride) in enumerate([(64, 1), (128, 2), (256, 2), (512, 2)], start=1):
            blocks = nn.Sequential(PreActivationBlock(inputs, width, stride), PreActivationBlock(width, width, 1))
            self.add_module(f"layer{layer}", blocks)
            inputs = width
        self.fc = nn.Linear(512, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for layer in range(1, 5):
            x = getattr(self, f"layer{layer}")(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class MNISTCNN(nn.Module):
    def __init__(self, dropout=0.5):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, 5)
        self.conv2 = nn.Conv2d(10, 20, 5)
        self.drop2d = nn.Dropout2d(dropout)
        self.fc1 = nn.Linear(320, 50)
        self.drop = nn.Dropout(dropout)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.drop2d(self.conv2(x)), 2))
        return self.fc2(self.drop(F.relu(self.fc1(x.flatten(1)))))


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class TiedDecoder(nn.Module):
    """Linear with the embedding's weight; only the bias is its own, in the state dict too."""

    def __init__(self, vocabulary):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, x, weight):
        return F.linear(x, weight, self.bias)


class RedditLSTM(nn.Module):
    """Logits [B, T, vocabulary] of tokens [B, T]."""

    def __init__(self, vocabulary=50_000, embedding=200, hidden=200, layers=2, dropout=0.5, tied=False):
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(vocabulary, embedding)
        self.rnn = nn.LSTM(embedding, hidden, layers, dropout=dropout, batch_first=True)
        self.tied = tied
        self.decoder = TiedDecoder(vocabulary) if tied else nn.Linear(hidden, vocabulary)

    def forward(self, x):
        x, _ = self.rnn(self.drop(self.encoder(x)))
        x = self.drop(x)
        return self.decoder(x, self.encoder.weight) if self.tied else self.decoder(x)


class LogisticRegression(nn.Module):
    def __init__(self, shape=(1, 28, 28), classes=10):
        super().__init__()
        self.fc = nn.Linear(math.prod(shape), classes)

    def forward(self, x):
        return self.fc(x.flatten(1))


class MLP(nn.Module):
    def __init__(self, shape=(1, 28, 28), classes=10, hidden=(200, 200)):
        super().__init__()
        widths = [math.prod(shape), *hidden, classes]
        for number, (inputs, outputs) in enumerate(zip(widths, widths[1:]), start=1):
            self.add_module(f"fc{number}", nn.Linear(inputs, outputs))

    def forward(self, x):
        first, *others = self.children()
        x = first(x.flatten(1))
        for layer in others:
            x = layer(F.relu(x))
        return x


class TwoConvolutions(nn.Module):
    """McMahanCNN with 512 hidden units, LEAFCNN with 2048."""

    def __init__(self, hidden, shape=(1, 28, 28), classes=10):
        super().__init__()
        channels, height, width = shape
        self.conv1 = nn.Conv2d(channels, 32, 5, padding="same")
        self.conv2 = nn.Conv2d(32, 64, 5, padding="same")
        self.fc1 = nn.Linear(64 * (height // 4) * (width // 4), hidden)
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class NIIDBenchCNN(nn.Module):
    def __init__(self, shape=(3, 32, 32), classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(shape[0], 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        features = self.features(torch.zeros(1, *shape)).shape[1]
        self.fc1 = nn.Linear(features, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def features(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        return F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)

    def forward(self, x):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(self.features(x))))))


class GroupNormBlock(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.GroupNorm(2, width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.GroupNorm(2, width)
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != width:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.GroupNorm(2, width))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.downsample(x))


class ResNet18GN(nn.Module):
    """torchvision's resnet18 with norm_layer=lambda channels: nn.GroupNorm(2, channels)."""

    def __init__(self, shape=(3, 32, 32), classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(shape[0], 64, 7, 2, 3, bias=False)
        self.bn1 = nn.GroupNorm(2, 64)
        inputs = 64
        for layer, (width, stride) in enumerate([(64, 1), (128, 2), (256, 2), (512, 2)], start=1):
            self.add_module(f"layer{layer}", nn.Sequential(GroupNormBlock(inputs, width, stride), GroupNormBlock(width, width, 1)))
            inputs = width
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for layer in range(1, 5):
            x = getattr(self, f"layer{layer}")(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class VGG11(nn.Module):
    """VGG-11 without batch norm, with narrow linear layers."""

    def __init__(self, shape=(3, 32, 32), classes=10, dropout=0.5):
        super().__init__()
        inputs, height, width = shape
        layers = []
        for widths in [[64], [128], [256] * 2, [512] * 2, [512] * 2]:
            for outputs in widths:
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(512 * (height // 32) * (width // 32), 512), nn.ReLU(),
            nn.Dropout(dropout), nn.Linear(512, 512), nn.ReLU(),
            nn.Linear(512, classes),
        )  # fmt: skip

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class CharLSTM(nn.Module):
    """Logits [B, T, vocabulary] of tokens [B, T]."""

    def __init__(self, vocabulary=65):
        super().__init__()
        self.encoder = nn.Embedding(vocabulary, 8)
        self.rnn = nn.LSTM(8, 256, 2, batch_first=True)
        self.decoder = nn.Linear(256, vocabulary)

    def forward(self, x):
        return self.decoder(self.rnn(self.encoder(x))[0])


# Name: (constructor with dropout off, image shape or None, classes). Where sizes follow from the data set, these are typical ones.
NETS = {
    "Cifar10CNN": (Cifar10CNN, (3, 32, 32), 10),
    "Cifar10ResNet": (lambda: ResNet18(10), (3, 32, 32), 10),
    "Cifar100ResNet": (lambda: ResNet18(100), (3, 32, 32), 100),
    "Cifar100VGG": (lambda: Cifar100VGG(dropout=0.0), (3, 32, 32), 100),
    "FashionMNISTCNN": (FashionMNISTCNN, (1, 28, 28), 10),
    "FashionMNISTResNet": (FashionMNISTResNet, (1, 28, 28), 10),
    "MNISTCNN": (lambda: MNISTCNN(dropout=0.0), (1, 28, 28), 10),
    "LeNet5": (LeNet5, (1, 32, 32), 10),
    "RedditLSTM": (lambda **sizes: RedditLSTM(dropout=0.0, **sizes), None, None),
    "LogisticRegression": (LogisticRegression, (1, 28, 28), 10),
    "MLP": (MLP, (1, 28, 28), 10),
    "McMahan2NN": (MLP, (1, 28, 28), 10),
    "McMahanCNN": (lambda **sizes: TwoConvolutions(512, **sizes), (1, 28, 28), 10),
    "LEAFCNN": (lambda classes=62, **sizes: TwoConvolutions(2048, classes=classes, **sizes), (1, 28, 28), 62),
    "NIIDBenchCNN": (NIIDBenchCNN, (3, 32, 32), 10),
    "ResNet18GN": (ResNet18GN, (3, 32, 32), 10),
    "VGG11": (lambda **sizes: VGG11(dropout=0.0, **sizes), (3, 32, 32), 10),
    "CharLSTM": (CharLSTM, None, None),
}
