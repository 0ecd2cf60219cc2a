"""The cases of eager.py: 40 small ops, and three small networks forward and backward.

Each is written once, in the names that Argand and PyTorch share: `lib` is either of them. An op has
several variants, each a line of operands: sizes from 0-d to 64 x 64, ranks 1 to 4, contiguous and
transposed, so that no single case can be tuned.

An operand is written as its sizes, `8x64`, and is of float32 unless a letter comes before:
`p:` positive, `w:` small as weights are, `b:` booleans, `i5:` int64 from 0 to 4. `T` after it
stores the last two dimensions transposed, `R` all dimensions in reverse; `scalar` has no dimension.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """A step to time: `make(lib, operands)` gives a function of the operands.

    `recorded` tells which rows of the table it has: without gradients, with, or both.
    """

    name: str
    make: Callable[[Any, Sequence[Any]], Callable[..., Any]]
    variants: Sequence[str]
    recorded: Sequence[bool] = (False, True)


def op(name: str, call: Callable[..., Any], *variants: str, **more: Any) -> Case:
    """A case whose step needs nothing made before."""
    return Case(name, lambda lib, operands: lambda *given: call(lib, *given), variants, **more)


class Operand(NamedTuple):
    """The values of an operand, and the order in which its dimensions are stored."""

    values: Any
    order: tuple[int, ...]

    @property
    def wants_gradient(self) -> bool:
        """Whether it is differentiated where the case is recorded."""
        return self.values.dtype.kind == "f"


def operand(text: str, seed: str) -> Operand:
    """The operand that a text describes, the same in every process."""
    rng = np.random.default_rng(zlib.crc32(f"{seed} {text}".encode()))
    kind, _, sizes = text.rpartition(":")
    layout = sizes[-1] if sizes[-1] in "TR" else ""
    sizes = sizes.removesuffix(layout)
    shape = () if sizes == "scalar" else tuple(int(n) for n in sizes.split("x"))
    values = _values(rng, kind, shape)
    order = tuple(range(len(shape)))
    if layout == "T":
        order = (*order[:-2], order[-1], order[-2])
    return Operand(values, order[::-1] if layout == "R" else order)


def _values(rng: Any, kind: str, shape: tuple[int, ...]) -> Any:
    if kind.startswith("i"):
        return rng.integers(0, int(kind[1:]), shape)
    values = rng.standard_normal(shape)
    if kind == "b":
        return np.asarray(values > 0)
    changed = {"p": np.abs(values) + 0.5, "w": values * 0.2}.get(kind, values)
    return np.asarray(changed, np.float32)


def linear(inputs: int, outputs: int) -> Callable[[Any, Sequence[Any]], Callable[..., Any]]:
    """A call of a linear layer; its parameters are the operands after the input."""

    def make(lib: Any, operands: Sequence[Any]) -> Callable[..., Any]:
        layer = lib.nn.Linear(inputs, outputs)
        _set(layer, operands[1:])
        return lambda x, w, b: layer(x)

    return make


def _set(layer: Any, values: Sequence[Any]) -> None:
    """Give a layer parameters: the values themselves, so that their gradients are seen."""
    for name, value in zip(("weight", "bias"), values, strict=True):
        setattr(layer, name, _parameter(layer, name, value))


def _parameter(layer: Any, name: str, value: Any) -> Any:
    made = type(getattr(layer, name))(value.detach())
    made.requires_grad_(value.requires_grad)
    return made


def _masked(lib: Any, a: Any, mask: Any) -> Any:
    return a.masked_fill(mask, -1.0)


def _expanded(lib: Any, a: Any) -> Any:
    *batch, rows, columns = a.shape
    return a.transpose(-1, -2).unsqueeze(0).expand(3, *batch, columns, rows)


def _chain(lib: Any, a: Any, b: Any) -> Any:
    return ((a * 2.0 + b) * a - 1.0).tanh() / 3.0


OPS = (
    op(
        "a + b",
        lambda lib, a, b: a + b,
        "scalar scalar",
        "8x8 8x8",
        "2x3x4x5 2x3x4x5",
        "64x64T 64x64",
    ),
    op("a + bias", lambda lib, a, b: a + b, "8x8 8", "4x16x32 32", "64x64 64x1", "2x3x4x5 3x1x1"),
    op("a - b", lambda lib, a, b: a - b, "16 16", "8x8 scalar", "3x1x5 4x1", "32x32T 32x32T"),
    op("a * b", lambda lib, a, b: a * b, "scalar 16", "8x8T 8x8", "4x8x16 4x8x16", "64x64 64x64"),
    op("a / 3.0", lambda lib, a: a / 3.0, "scalar", "8x8", "4x5x6R", "64x64"),
    op("a / b", lambda lib, a, b: a / b, "8 p:8", "16x16 p:16x1", "4x8x8T p:4x8x8", "64x64 p:64"),
    op("a ** 2", lambda lib, a: a**2, "scalar", "8x8", "4x4x16T", "64x32"),
    op("exp", lambda lib, a: a.exp(), "scalar", "8x8", "8x8T", "2x4x8x8"),
    op("tanh", lambda lib, a: lib.tanh(a), "7", "16x16", "4x8x8R", "64x64"),
    op("gelu", lambda lib, a: lib.nn.functional.gelu(a), "scalar", "8x8", "16x32T", "2x4x8x8"),
    op("relu", lambda lib, a: lib.nn.functional.relu(a), "16", "8x8", "4x16x16T", "64x64"),
    op("clamp", lambda lib, a: a.clamp(-0.5, 0.5), "scalar", "8x8", "8x16T", "4x8x4x8"),
    op("a < b", lambda lib, a, b: a < b, "scalar scalar", "8x8 8x8", "8x8T 8", "64x64 64x64"),
    op(
        "where",
        lambda lib, c, a, b: lib.where(c, a, b),
        "b:8 8 8",
        "b:8x8 8x8 8x8T",
        "b:4x1x8 4x8x8 scalar",
    ),
    op("masked_fill", _masked, "8x8 b:8x8", "2x4x8x8 b:8x8", "16x16T b:16x1"),
    op("chain of 5", _chain, "scalar scalar", "8x8 8x8", "4x8x16 16", "32x32T 32x32"),
    op("sum(1)", lambda lib, a: a.sum(1), "8x8", "8x8T", "4x8x16", "64x64"),
    op("mean()", lambda lib, a: a.mean(), "scalar", "8x8", "4x8x16R", "64x64"),
    op("max(-1)", lambda lib, a: a.max(-1).values, "16", "8x8", "4x8x8T", "64x64"),
    op("argmax", lambda lib, a: a.argmax(-1), "16", "8x8", "16x16T", "4x8x16"),
    op("softmax", lambda lib, a: a.softmax(-1), "16", "8x8", "2x4x8x8", "64x64T"),
    op(
        "layer_norm",
        lambda lib, a, w, b: lib.nn.functional.layer_norm(a, w.shape, w, b),
        "8x8 8 8",
        "4x16x32 32 32",
        "64x64 64 64",
        "8x16T 16 16",
    ),
    op("cumsum", lambda lib, a: a.cumsum(0), "16", "8x8", "4x8x8T", "64x64"),
    op("topk", lambda lib, a: a.topk(3).values, "16", "8x8", "4x8x16", "32x32T"),
    op("a @ b", lambda lib, a, b: a @ b, "8x8 8x8", "8x16 16", "32x64 64x32T", "64x64T 64x64"),
    op("bmm", lambda lib, a, b: lib.bmm(a, b), "2x8x8 2x8x8", "4x8x16 4x16x8T", "8x16x16 8x16x16"),
    Case("nn.Linear(8, 8)", linear(8, 8), ("8x8 8x8 8", "8 8x8 8", "2x3x8 8x8 8", "64x8 8x8 8")),
    Case(
        "nn.Linear(32, 64)", linear(32, 64), ("1x32 64x32 64", "16x32 64x32 64", "16x32T 64x32 64")
    ),
    op("a[1]", lambda lib, a: a[1], "8", "8x8", "8x8T", "2x4x8x8"),
    op("a[:, 1:3]", lambda lib, a: a[:, 1:3], "8x8", "8x8T", "4x16x32", "2x4x8x8"),
    op("a[rows]", lambda lib, a, i: a[i], "16 i16:4", "8x8 i8:8", "64x64 i64:16", "4x8x8T i4:2x3"),
    op("gather", lambda lib, a, i: a.gather(-1, i), "8 i8:4", "8x8 i8:8x2", "4x8x16 i16:4x8x4"),
    op(
        "embedding",
        lambda lib, i, w: lib.nn.functional.embedding(i, w),
        "i16:4 16x8",
        "i64:8x4 64x32",
        "i64:64 64x64",
    ),
    op("cat", lambda lib, a, b: lib.cat([a, b], -1), "8 8", "8x8 8x8", "4x8x16 4x8x8", "8x8T 8x8"),
    op("stack", lambda lib, a, b: lib.stack([a, b]), "scalar scalar", "8x8 8x8", "4x8x16 4x8x16"),
    op("view", lambda lib, a: a.view(-1, 4), "8", "8x8", "4x8x16", "64x64"),
    op("transpose, unsqueeze, expand", _expanded, "8x8", "4x8x16", "64x64T"),
    op(
        "cross_entropy",
        lambda lib, a, t: lib.nn.functional.cross_entropy(a, t),
        "8x8 i8:8",
        "64x10 i10:64",
        "16x64T i64:16",
    ),
    op(
        "mse_loss",
        lambda lib, a, b: lib.nn.functional.mse_loss(a, b),
        "8 8",
        "8x8 8x8",
        "64x32 64x32",
    ),
    op(
        "clone, add_",
        lambda lib, a, b: a.clone().add_(b),
        "scalar scalar",
        "8x8 8x8",
        "4x8x16 16",
        "32x32T 32x32",
    ),
)


def mlp(lib: Any, operands: Sequence[Any]) -> Callable[..., Any]:
    """Two linear layers and a cross entropy, forward and backward."""

    def step(x: Any, target: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
        f = lib.nn.functional
        hidden = f.relu(f.linear(x, w1, b1))
        return f.cross_entropy(f.linear(hidden, w2, b2), target)

    return step


def gru(lib: Any, operands: Sequence[Any]) -> Callable[..., Any]:
    """A GRU cell by hand and a squared error, forward and backward."""

    def step(x: Any, h: Any, w: Any, u: Any, b: Any) -> Any:
        f = lib.nn.functional
        xr, xz, xn = f.linear(x, w, b).chunk(3, -1)
        hr, hz, hn = f.linear(h, u).chunk(3, -1)
        reset = lib.sigmoid(xr + hr)
        update = lib.sigmoid(xz + hz)
        new = lib.tanh(xn + reset * hn)
        out = (1.0 - update) * new + update * h
        return (out * out).mean()

    return step


HEADS = 4


def attention(lib: Any, operands: Sequence[Any]) -> Callable[..., Any]:
    """A transformer's block by hand (pre-norm, causal, an MLP of twice the width), and backward."""

    def split(x: Any) -> Any:
        batch, length, width = x.shape
        return x.view(batch, length, HEADS, width // HEADS).transpose(1, 2)

    def step(
        x: Any,
        mask: Any,
        g1: Any,
        c1: Any,
        qkv: Any,
        proj: Any,
        g2: Any,
        c2: Any,
        up: Any,
        down: Any,
    ) -> Any:
        f = lib.nn.functional
        width = x.shape[-1]
        normed = f.layer_norm(x, (width,), g1, c1)
        q, k, v = (split(part) for part in f.linear(normed, qkv).chunk(3, -1))
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(width // HEADS)
        mixed = scores.masked_fill(mask, -1e9).softmax(-1) @ v
        x = x + f.linear(mixed.transpose(1, 2).reshape(x.shape), proj)
        normed = f.layer_norm(x, (width,), g2, c2)
        x = x + f.linear(f.gelu(f.linear(normed, up)), down)
        return (x * x).mean()

    return step


def _block(batch: int, length: int, width: int) -> str:
    norm = f"p:{width} {width}"
    return (
        f"{batch}x{length}x{width} b:{length}x{length} {norm} w:{3 * width}x{width} "
        f"w:{width}x{width} {norm} w:{2 * width}x{width} w:{width}x{2 * width}"
    )


NETWORKS = (
    Case(
        "small MLP",
        mlp,
        ("4x8 i4:4 w:16x8 16 w:4x16 4", "32x16 i10:32 w:64x16 64 w:10x64 10"),
        (True,),
    ),
    Case("GRU cell", gru, ("1x8 1x8 w:24x8 w:24x8 24", "16x16 16x32 w:96x16 w:96x32 96"), (True,)),
    Case("attention block", attention, (_block(1, 8, 16), _block(2, 16, 32)), (True,)),
)
