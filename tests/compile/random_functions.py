"""Random functions of tensors: views, in-place writes, aliases, gradients, layers of every kind.

A function is a pure choice of its seed, so the same one runs eagerly and compiled. Values stay
small, and every step is continuous, so that a rounding moves no result far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import argand as ag
import argand.nn.functional as F

MOST = 300  # elements of a value


def view(rng: np.random.Generator, x: Any) -> Any:
    """A view (or for some reshapes a copy) of x."""
    choice = rng.integers(8)
    if choice == 0 and x.ndim:
        d = int(rng.integers(x.ndim))
        start = int(rng.integers(x.shape[d])) if x.shape[d] else 0
        return x.narrow(d, start, int(rng.integers(0 if start else 1, x.shape[d] - start + 1)))
    if choice == 1 and x.ndim > 1:
        return x.transpose(0, x.ndim - 1)
    if choice == 2:
        return x.reshape(-1)
    if choice == 3 and x.ndim and x.shape[0]:
        return x[int(rng.integers(x.shape[0]))]
    if choice == 4 and x.ndim:
        return x[:: int(rng.integers(1, 4))]
    if choice == 5 and x.ndim < 4:
        return x.expand(2, *x.shape)
    if choice == 6 and x.ndim > 1:
        return x.diagonal(0, 0, 1)
    return x.unsqueeze(0)


def fresh(rng: np.random.Generator, x: Any, y: Any, scale: float) -> Any:
    """A new tensor of x and perhaps a number from y."""
    choice = rng.integers(8)
    if choice == 0:
        return x * 0.5 + 1
    if choice == 1:
        return ag.tanh(x) * 1.5  # its backward needs tanh's own result, which nobody overwrites
    if choice == 2:
        return x + number(y)
    if choice == 3:
        return x.detach() * 1.5
    if choice == 4:
        return x.clone()
    if choice == 5 and x.shape == y.shape:
        return x * 0.5 - y * scale
    return ag.tanh(layer(rng, x)) * 1.0


def number(x: Any) -> Any:
    """A number of modest size from a tensor."""
    return ag.tanh(x.sum() * 0.1)


def _conv(rng: np.random.Generator, x: Any, dims: int, transposed: bool) -> Any:
    size = {1: (6,), 2: (4, 3), 3: (3, 2, 2)}[dims]
    image = _filled(x, (1, 2, *size))
    weight = _filled(number(x) * 0.5 + 0.3, (2, 2, *(2,) * dims))
    if transposed and dims < 3:
        return getattr(F, f"conv_transpose{dims}d")(image, weight)
    return getattr(F, f"conv{dims}d")(image, weight, padding=int(rng.integers(2)))


def _filled(x: Any, shape: Sequence[int]) -> Any:
    """The elements of x, repeated, in another shape."""
    count = int(np.prod(shape))
    flat = x.reshape(-1) if x.numel() else ag.ones(1)
    times = -(-count // flat.shape[0])
    return flat.repeat(times)[:count].reshape(*shape)


def _table(rng: np.random.Generator, x: Any) -> dict[str, Callable[[], Any]]:
    rows = _filled(x, (4, 6))
    places = ag.tensor(rng.integers(0, 4, 5))
    image = _filled(x, (1, 2, 4, 4))
    return {
        "matmul": lambda: rows @ rows.T * 0.2,
        "einsum": lambda: ag.einsum("ij,kj->ik", rows, rows) * 0.2,
        "linear": lambda: F.linear(rows, rows, rows[:, 0]),
        "conv1d": lambda: _conv(rng, x, 1, False),
        "conv2d": lambda: _conv(rng, x, 2, False),
        "conv3d": lambda: _conv(rng, x, 3, False),
        "conv_transpose1d": lambda: _conv(rng, x, 1, True),
        "conv_transpose2d": lambda: _conv(rng, x, 2, True),
        "max_pool2d": lambda: F.max_pool2d(image, 2, 1),
        "avg_pool1d": lambda: F.avg_pool1d(image[0], 3, 2, 1),
        "avg_pool2d": lambda: F.avg_pool2d(image, 2),
        "avg_pool3d": lambda: F.avg_pool3d(image, 2),
        "interpolate": lambda: F.interpolate(image, scale_factor=2.0),
        "gather": lambda: rows[places],
        "embedding": lambda: F.embedding(places, rows),
        "index_select": lambda: ag.index_select(rows, 0, places),
        "index_add": lambda: rows.index_add(0, places, _filled(x, (5, 6))),
        "scatter_add": lambda: rows.scatter_add(0, places.unsqueeze(1), rows[:1, :1].expand(5, 1)),
        "put": lambda: _put(rows, places),
        "sort": lambda: rows.sort(1)[0],
        "topk": lambda: rows.topk(2, 1)[0],
        "cumsum": lambda: rows.cumsum(0) * 0.3,
        "softmax": lambda: rows.softmax(int(rng.integers(2))) * 2,
        "log_softmax": lambda: rows.log_softmax(1) * 0.3,
        "logsumexp": lambda: rows.logsumexp(0),
        "layer_norm": lambda: F.layer_norm(rows, (6,), eps=0.5),
        "batch_norm": lambda: F.batch_norm(image, None, None, training=True, eps=0.5),
        "group_norm": lambda: F.group_norm(image, 2, eps=0.5),
        "rms_norm": lambda: F.rms_norm(rows, (6,), eps=0.5),
        "dropout": lambda: F.dropout(rows, 0.25),
        "mse_loss": lambda: F.mse_loss(rows, rows.roll(1, 0)),
        "smooth_l1_loss": lambda: F.smooth_l1_loss(rows, rows.flip(0)),
        "cross_entropy": lambda: F.cross_entropy(rows, places[:4]),
        "attention": lambda: F.scaled_dot_product_attention(rows, rows * 0.3, rows),
        "mean": lambda: rows.mean(0),
        "var": lambda: rows.var(1) * 0.5,
        "std": lambda: (rows + ag.arange(6) * 0.5).std(1) * 0.5,
        "prod": lambda: (rows * 0.1 + 1).prod(1),
        "amax": lambda: rows.amax(1),
        "cat": lambda: ag.cat([rows, rows[:2] * 0.5], 0),
        "stack": lambda: ag.stack([rows, rows.abs()], 1),
        "where": lambda: ag.where(rows > 0, rows, rows * 0.1),
        "float64": lambda: (rows.double() * 1.1).sin().float(),
        "half": lambda: (rows.half() * 0.5).float(),
        "bfloat16": lambda: (rows.bfloat16() + 1).float() * 0.5,
        "int32": lambda: (rows > 0).to(ag.int32).cumsum(1).float() * 0.1,
        "complex": lambda: ag.complex(rows, rows * 0.5).abs(),
        "gelu": lambda: F.gelu(rows),
        "pad": lambda: F.pad(rows, (1, 2), value=0.5),
    }


def _put(rows: Any, places: Any) -> Any:
    copy = rows.clone()
    copy[places[0]] = rows[places[1]] * 0.5
    return copy


LAYERS = tuple(_table(np.random.default_rng(0), ag.ones(2, 3)))


def layer(rng: np.random.Generator, x: Any, name: str = "") -> Any:
    """A function of the library, of x's elements in a shape that goes with it."""
    return _table(rng, x)[name or LAYERS[rng.integers(len(LAYERS))]]()


def write(rng: np.random.Generator, x: Any, y: Any, scale: float) -> None:
    """Write into the memory of x."""
    choice = rng.integers(8)
    if choice == 0:
        x.mul_(0.5)
    elif choice == 1:
        x.add_(number(y))
    elif choice == 2 and x.ndim and x.shape[0]:
        x[-1] = number(y)
    elif choice == 3 and x.shape == y.shape:
        x.copy_(y)
    elif choice == 4 and x.ndim > 1 and x.shape[0] > 1:
        x[1:].sub_(x[:-1] * scale)
    elif choice == 5:
        x.clamp_(-1.0, 2.0)
    elif choice == 6:
        x[x > 0.5] = 0.5
    else:
        x.copy_(ag.sin(x) + 0.25)


def random_function(
    seed: int, state: Sequence[Any], locked: int = 0, steps: int = 14
) -> Callable[..., Any]:
    """A function of tensors and a float; it writes its arguments, `state` and its own results.

    The first `locked` of arguments and state are only read. Returns sums of all it has made, and
    some of the values themselves: shared ones, views, arguments as they are.
    """

    def f(*given: Any) -> Any:
        *tensors, scale = given
        rng = np.random.default_rng(seed)
        pool = [*tensors, *state, tensors[0] * 1.0]
        read_only = [n < locked for n in range(len(pool))]
        for _ in range(steps):
            i, j = rng.integers(len(pool), size=2)
            kind = rng.integers(4)
            if kind == 3:
                if not read_only[i]:
                    write(rng, pool[i], pool[j], scale)
                continue
            made = view(rng, pool[i]) if kind == 0 else fresh(rng, pool[i], pool[j], scale)
            if made.numel() <= MOST:
                pool.append(made)
                # elements of an expanded tensor share their places, so they can't be written
                expanded = made.numel() > pool[i].numel()
                read_only.append(kind == 0 and (read_only[i] or expanded))
        chosen = [pool[int(k)] for k in rng.integers(len(pool), size=3)]
        return [t.sum() for t in pool], chosen

    return f
