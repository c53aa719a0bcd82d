"""The net, the samples and the training of the app: nothing of Flower, and nothing of fltk."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

CLASSES, SIDE, NOISE = 10, 8, 3.0


class Net(nn.Module):
    """A perceptron for pictures of 8 times 8 pixels."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 32), nn.ReLU(), nn.Linear(32, CLASSES))

    def forward(self, pictures):
        return self.layers(pictures)


def samples(num, seed):
    """Draws pictures: that of their class, which is the same for all, under noise. An app of yours would read a data set here."""
    patterns = torch.randn(CLASSES, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    draws = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (num,), generator=draws)
    return TensorDataset(patterns[labels] + NOISE * torch.randn(num, 1, SIDE, SIDE, generator=draws), labels)


def load_data(partition_id, num_partitions, batch_size, seed):
    """Returns the training and the test batches of a client. The last client has the most samples."""
    train = samples(40 + 400 * partition_id // num_partitions, 2 * partition_id)
    test = samples(50, 2 * partition_id + 1)
    order = torch.Generator().manual_seed(seed)
    return DataLoader(train, batch_size=batch_size, shuffle=True, generator=order), DataLoader(test, batch_size=batch_size)


def train(net, batches, epochs, learning_rate, momentum):
    """Trains, and returns the mean loss of a sample."""
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=momentum)
    net.train()
    total, num = 0.0, 0
    for _ in range(epochs):
        for pictures, labels in batches:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(pictures), labels)
            loss.backward()
            optimizer.step()
            total, num = total + loss.item() * len(labels), num + len(labels)
    return total / num


def test(net, batches):
    """Returns the mean loss and the accuracy."""
    net.eval()
    total, right, num = 0.0, 0, 0
    with torch.no_grad():
        for pictures, labels in batches:
            outputs = net(pictures)
            total += nn.functional.cross_entropy(outputs, labels, reduction="sum").item()
            right += (outputs.argmax(1) == labels).sum().item()
            num += len(labels)
    return total / num, right / num
