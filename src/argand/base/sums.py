"""How long a sum may run on: blocks of so many additions start afresh, in kernels and in NumPy.

A sum of N numbers that are added one by one is off by up to N roundings; by blocks, and blocks of
blocks, by a few hundred (docs/design.md states the bound).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["BLOCK_CHAIN", "blocked_sum", "running_sums"]

BLOCK_CHAIN = 256
"""Additions in one chain."""


def blocked_sum(x: Any, axes: Sequence[int], keepdims: bool = False) -> Any:
    """NumPy's sum along `axes`, block by block along each that is long."""
    for axis in axes:
        while x.shape[axis] > BLOCK_CHAIN:
            x = _sums_of_blocks(x, axis)
    return np.sum(x, tuple(axes), keepdims=keepdims)


def _sums_of_blocks(x: Any, axis: int) -> Any:
    count = x.shape[axis] // BLOCK_CHAIN
    x = np.moveaxis(x, axis, 0)
    whole, rest = x[: count * BLOCK_CHAIN], x[count * BLOCK_CHAIN :]
    parts = whole.reshape(count, BLOCK_CHAIN, *x.shape[1:]).sum(1)
    if len(rest):
        parts = np.concatenate([parts, rest.sum(0, keepdims=True)])
    return np.moveaxis(parts, 0, axis)


def running_sums(x: Any, axis: int) -> Any:
    """y[i] = x[0] + ... + x[i] along `axis`: what came before the block's block, and before the
    block, plus the running sum of the block. So each step rounds up or down alike, and sums of what
    is not negative never fall."""
    n = x.shape[axis]
    if n <= BLOCK_CHAIN:
        return np.cumsum(x, axis) + x.dtype.type(0)
    x = np.moveaxis(x, axis, -1)
    local = np.cumsum(_in_blocks(x), -1)
    middle = np.cumsum(_in_blocks(local[..., -1]), -1)
    before = _shifted(np.cumsum(middle[..., -1], -1))[..., None]
    blocks = local.shape[-2]
    first = _shifted(middle).reshape(*x.shape[:-1], -1)[..., :blocks]
    outer = np.repeat(before, BLOCK_CHAIN, -1).reshape(*x.shape[:-1], -1)[..., :blocks]
    found = outer[..., None] + (first[..., None] + local)
    return np.moveaxis(found.reshape(*x.shape[:-1], -1)[..., :n], -1, axis)


def _in_blocks(x: Any) -> Any:
    """The last axis as blocks, the last one filled up with zeros."""
    count = -(-x.shape[-1] // BLOCK_CHAIN)
    padding = [(0, 0)] * (x.ndim - 1) + [(0, count * BLOCK_CHAIN - x.shape[-1])]
    return np.pad(x, padding).reshape(*x.shape[:-1], count, BLOCK_CHAIN)


def _shifted(x: Any) -> Any:
    """For each element the one before it on the last axis: 0 for the first."""
    return np.concatenate([np.zeros_like(x[..., :1]), x[..., :-1]], -1)
