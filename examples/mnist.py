"""Train a convolutional network on MNIST to 99 % and more of the test set.

    python examples/mnist.py --data mnist.npz

The file is Keras's mnist.npz: arrays x_train, y_train, x_test, y_test of bytes.
"""

import argparse
import time

import argand as ag
from argand import nn, optim
from argand.data import DataLoader
from argand.nn import functional as F
from argand.vision.datasets import MNIST


class Net(nn.Module):
    """Two convolutions with pooling, two linear layers, dropout between them."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.fc1 = nn.Linear(64 * 7 * 7, 128)
        self.fc2 = nn.Linear(128, 10)
        self.dropout = nn.Dropout(0.3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc2(self.dropout(x))


def accuracy(model, predict, data, batch_size=1000):
    """The share of right predictions."""
    model.eval()
    right = 0
    for x, y in DataLoader(data, batch_size):
        right += int((predict(x).argmax(1) == y).sum().item())
    model.train()
    return right / len(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="FILE", help="mnist.npz")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--lr", type=float, default=2e-3, help="the highest of the schedule")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--eager", action="store_true", help="don't compile")
    parser.add_argument("--save", metavar="FILE", help="where to keep the weights")
    options = parser.parse_args()

    ag.manual_seed(options.seed)
    train, test = MNIST(options.data, train=True), MNIST(options.data, train=False)
    loader = DataLoader(train, options.batch_size, shuffle=True, drop_last=True)
    model = Net()
    optimizer = optim.Adam(model.parameters(), lr=options.lr)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, options.lr, total_steps=options.epochs * len(loader), cycle_momentum=False
    )

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def predict(x):
        with ag.no_grad():
            return model(x)

    if not options.eager:
        step, predict = ag.compile(step), ag.compile(predict)

    for epoch in range(options.epochs):
        started, total = time.perf_counter(), 0.0
        for i, (x, y) in enumerate(loader):
            total += step(x, y).item()
            if epoch * len(loader) + i + 1 < options.epochs * len(loader):
                schedule.step()  # the compiled step reads the new rate; nothing is traced again
        seconds = time.perf_counter() - started
        print(
            f"epoch {epoch + 1}: loss {total / len(loader):.4f}, "
            f"test accuracy {accuracy(model, predict, test):.2%}, {seconds:.1f} s",
            flush=True,
        )
    if options.save:
        ag.save(model.state_dict(), options.save)


if __name__ == "__main__":
    main()
