"""What the drivers share: parts of a program, each run by itself, and what came out of them."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Any

import torch

RESULTS: dict[str, float] = {}
"""A number for each part that ran; the runner compares them."""
PROBLEMS: dict[str, str] = {}
"""The error of each that didn't."""


def part(name: str, run: Callable[[], Any]) -> None:
    """Run a part of a program, from the same random state as every other."""
    torch.manual_seed(0)
    try:
        RESULTS[name] = float(run())
    except Exception as error:
        PROBLEMS[name] = f"{type(error).__name__}: {str(error).strip()[:200]}"
        traceback.print_exc()
    print(name, RESULTS.get(name), flush=True)


def tensors(found: Any) -> Iterator[Any]:
    """The tensors of floats in a result."""
    if isinstance(found, torch.Tensor):
        if found.is_floating_point():
            yield found
    elif isinstance(found, dict):
        for value in found.values():
            yield from tensors(value)
    elif isinstance(found, (list, tuple)):
        for value in found:
            yield from tensors(value)


def learned(model: Any, *inputs: Any, **options: Any) -> float:
    """Forward and backward: the mean square of the results, and the mean size of the gradients."""
    loss = sum(t.square().mean() for t in tensors(model(*inputs, **options)))
    if loss.requires_grad:
        loss.backward()
    gradients = [p.grad.abs().mean() for p in model.parameters() if p.grad is not None]
    return float(loss) + float(sum(gradients)) / max(1, len(gradients))


def stepped(model: Any, loss_of: Callable[[], Any], steps: int = 3, lr: float = 1e-3) -> float:
    """The loss after some steps of SGD."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
    return float(loss_of())
