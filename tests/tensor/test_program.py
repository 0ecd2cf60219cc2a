"""Programs written for PyTorch run with `import argand as torch`."""

from __future__ import annotations

import math

import numpy as np

import argand as torch
import argand.nn as nn
import argand.nn.functional as F
import argand.optim as optim
from argand.optim.lr_scheduler import StepLR
from argand.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    """The network of PyTorch's MNIST example, for small images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, 1)
        self.conv2 = nn.Conv2d(4, 8, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.fc1 = nn.Linear(32, 16)
        self.fc2 = nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1(x)
        x = F.relu(x)
        x = self.conv2(x)
        x = F.relu(x)
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        x = self.fc1(x)
        x = F.relu(x)
        x = self.fc2(x)
        return F.log_softmax(x, dim=1)


def images(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Bright upper or lower halves, with noise."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, count)
    data = rng.uniform(0, 0.5, (count, 1, 8, 8)).astype(np.float32)
    for n, t in enumerate(target):
        data[n, 0, 4 * t : 4 * t + 4] += 0.5
    return torch.from_numpy(data), torch.from_numpy(target)


def test_the_mnist_example_learns() -> None:
    torch.manual_seed(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data, target = images(128)
    loader = DataLoader(TensorDataset(data, target), batch_size=32, shuffle=True)
    model = Net().to(device)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.9)
    for _ in range(4):
        model.train()
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            optimizer.zero_grad()
            loss = F.nll_loss(model(x), y)
            loss.backward()
            optimizer.step()
        scheduler.step()
    model.eval()
    with torch.no_grad():
        output = model(data)
        pred = output.argmax(dim=1, keepdim=True)
        correct = pred.eq(target.view_as(pred)).sum().item()
    assert correct / len(data) > 0.95


def test_polynomial_regression_by_hand() -> None:
    torch.manual_seed(0)
    x = torch.linspace(-math.pi, math.pi, 200)
    y = torch.sin(x)
    a, b, c, d = (torch.randn((), requires_grad=True) for _ in range(4))
    first = last = 0.0
    for step in range(200):
        y_pred = a + b * x + c * x**2 + d * x**3
        loss = (y_pred - y).pow(2).sum()
        loss.backward()
        if step == 0:
            first = loss.item()
        last = loss.item()
        with torch.no_grad():
            for p in (a, b, c, d):
                p -= 1e-6 * p.grad
                p.grad = None
    assert last < 0.8 * first


def test_attention_by_hand() -> None:
    torch.manual_seed(0)
    b, t, c, heads = 2, 5, 8, 2
    x = torch.randn(b, t, c, requires_grad=True)
    qkv = nn.Linear(c, 3 * c, bias=False)
    q, k, v = qkv(x).split(c, dim=2)
    q, k, v = (z.view(b, t, heads, c // heads).transpose(1, 2) for z in (q, k, v))
    att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
    mask = torch.tril(torch.ones(t, t)).view(1, 1, t, t)
    att = att.masked_fill(mask == 0, float("-inf"))
    y = (F.softmax(att, dim=-1) @ v).transpose(1, 2).contiguous().view(b, t, c)
    fast = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(y, fast.transpose(1, 2).reshape(b, t, c), atol=1e-5)
    y.sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()
