"""Every op through both eager paths: the fast one, and `bind`, which is the reference for it.

Inside `eagerly()` an interpreter is pushed, so no call takes the fast path. Both must give the same
bits, dtypes, shapes and strides, share the same memory, record the same nodes and find the same
gradients, or raise the same error.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from calls import ALL_CALLS, ALL_OPS, Call, names
from dtypes import DTYPES, REFUSED

import argand as ag
from argand.base.dtype import has_numpy
from argand.ir import families
from argand.ir.bind import eagerly
from argand.ir.contract import Contract
from argand.ir.elementwise import Elementwise
from argand.ir.families import Control
from argand.tensor import planning
from argand.tensor.eager import plan_calls
from argand.transform.tape import GradientNode

plan_calls()

# Their functions are recorded: eager code calls `ag.cond` and `ag.while_loop`, which run Python.
CALLS = [c for c in ALL_CALLS if not isinstance(c.op, Control)]
REFUSALS = [
    Call(op, sample) for op in ALL_OPS if not isinstance(op, Control) for sample in op.error_samples
]

LARGE_KERNELS = (families.Window, Contract, families.Composite)

Layout = Callable[[np.ndarray], np.ndarray]


def contiguous(a: np.ndarray) -> np.ndarray:
    return a.copy()


def transposed(a: np.ndarray) -> np.ndarray:
    return a.copy(order="F")


def every_second(a: np.ndarray) -> np.ndarray:
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]) if a.ndim else (2,), a.dtype)
    part = wide[..., ::2] if a.ndim else wide[1:].reshape(())
    part[...] = a
    return part


def rotated(a: np.ndarray) -> np.ndarray:
    """The last dimension stored first."""
    return np.moveaxis(np.moveaxis(a, -1, 0).copy(), 0, -1) if a.ndim else a.copy()


def repeated(a: np.ndarray) -> np.ndarray:
    """The first row as all rows, without a copy."""
    if a.ndim == 0 or a.shape[0] == 0:
        return a.copy()
    return np.broadcast_to(a[:1].copy(), a.shape)


LAYOUTS: tuple[Layout, ...] = (contiguous, transposed, every_second, rotated, repeated)


def with_nan(a: np.ndarray) -> np.ndarray:
    """With values that compare, round or propagate in a way of their own."""
    if a.dtype.kind != "f" or a.size == 0:
        return a
    a = a.copy()
    special = itertools.cycle([np.nan, -0.0, np.inf, 0.0, -np.inf])
    for i in range(0, a.size, 3):
        a.flat[i] = next(special)
    return a


def drawn_layouts(call: Call) -> tuple[Layout, ...]:
    """A layout for each operand, such that what the op may be called with stays so."""
    rng = np.random.default_rng(zlib.crc32(repr(call).encode()))
    allowed = [LAYOUTS[:-1] if t.definite or t.distinct else LAYOUTS for t in call.tensors]
    return tuple(choices[rng.integers(len(choices))] for choices in allowed)


def drawn_dtype(call: Call) -> str:
    """A dtype drawn for the call among those that its op takes; float32 where others would only
    ask for more of the same kernels."""
    if isinstance(call.op, LARGE_KERNELS) or all(t.dtype for t in call.tensors):
        return "float32"
    taken = [d for d in DTYPES if d not in REFUSED.get(call.op.name, ())]
    return taken[zlib.crc32(repr(call).encode()) % len(taken)]


# -- what is observed ------------------------------------------------------------------------------


def graph(tensors: Sequence[Any], leaves: Sequence[Any]) -> list[Any]:
    """The nodes behind some tensors, each once: its name, parameters and edges."""
    numbers: dict[int, int] = {id(leaf): -1 - i for i, leaf in enumerate(leaves)}
    nodes: list[Any] = []

    def number(target: Any) -> int | None:
        if target is None or id(target) in numbers:
            return numbers.get(id(target))
        assert isinstance(target, GradientNode)
        mine = numbers[id(target)] = len(nodes)
        nodes.append(None)
        edges = [(number(t), i) for t, i in target.edges]
        nodes[mine] = (target.name(), dict(target.params), edges)
        return mine

    roots = [(number(t.grad_fn), t._index if t.grad_fn else 0) for t in tensors]
    return [roots, *nodes]


def look(x: Any, operands: Sequence[Any]) -> tuple[Any, ...]:
    """A tensor's contents, how it is stored, and which operand's memory it shares."""
    a = x.detach().numpy()
    strides = [s for s, n in zip(x.stride(), a.shape, strict=True) if n > 1] if a.size else []
    shared = [np.may_share_memory(a, o.detach().numpy()) for o in operands]
    root = [x._root() is o._root() for o in operands]
    return x.dtype, a.shape, strides, shared, root, x.requires_grad, x.is_leaf, bits(a)


def bits(a: np.ndarray) -> bytes:
    """The bits of an array, all NaNs alike: which of two comes out is left to the processor."""
    if a.dtype.kind not in "fc":
        return a.tobytes()
    parts = (
        np.ascontiguousarray(a).reshape(-1).view(f"f{a.itemsize // (1 + (a.dtype.kind == 'c'))}")
    )
    return np.where(np.isnan(parts), np.nan, parts).astype(parts.dtype).tobytes()


def observe(apply: Callable[..., Any], arrays: Sequence[np.ndarray], recorded: bool) -> list[Any]:
    """All that a call can be seen to do, or the error that it raises."""
    operands = [ag.from_numpy(a) for a in arrays]
    leaves = [x for x in operands if recorded and x.dtype.is_inexact]
    for x in leaves:
        x.requires_grad_()
    try:
        found = apply(*operands)
        outputs = list(found) if isinstance(found, tuple | list) else [found]
        seen = [look(y, operands) for y in outputs] + [x._version for x in operands]
        return seen + graph(outputs, leaves) + gradients(outputs, leaves)
    except Exception as error:  # whatever it is, the other path must raise it too
        return [type(error), str(error)]


def gradients(outputs: Sequence[Any], leaves: Sequence[Any]) -> list[Any]:
    """The gradients of the leaves, and the graph of these; the same without a graph."""
    roots = [y for y in outputs if y.requires_grad]
    if not roots:
        return []
    rng = np.random.default_rng(7)
    seeds = [seed_for(y, rng) for y in roots]
    slopes = ag.autograd.grad(roots, leaves, seeds, create_graph=True, allow_unused=True)
    present = [g for g in slopes if g is not None]
    seen: list[Any] = [g is None for g in slopes]
    seen += [look(g, leaves) for g in present] + graph(present, leaves)
    bare = ag.autograd.grad(roots, leaves, seeds, allow_unused=True)
    return seen + [look(g, leaves) for g in bare if g is not None]


def seed_for(y: Any, rng: np.random.Generator) -> Any:
    values = rng.uniform(-1, 1, tuple(y.shape))
    return ag.tensor(values.tolist(), dtype=y.dtype).reshape(tuple(y.shape))


@pytest.fixture(autouse=True)
def soon_with_all_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "CALLS_BEFORE_KERNELS", 2)


def _viewed(a: np.ndarray) -> np.ndarray:
    """Another array of the same memory and strides."""
    words = a if has_numpy(a.dtype) else a.view(f"u{a.itemsize}")  # NumPy asks for a name it knows
    return np.lib.stride_tricks.as_strided(words, a.shape, a.strides).view(a.dtype)


def assert_same(apply: Callable[..., Any], arrays: Sequence[np.ndarray], what: str) -> None:
    for recorded in (False, True):
        seen = []
        # of these the second makes a plan of the call, the third one of its backward, and later
        # ones make them again, with kernels of exact ops
        for path in (eagerly, *[nullcontext] * 6):
            fresh = [_viewed(a) for a in arrays]
            with path():
                seen.append(observe(apply, fresh, recorded))
        general, *others = seen
        for time, fast in enumerate(others, 1):
            told = f"{what}, {recorded=}, time {time}"
            assert len(fast) == len(general), f"{told}: {fast} is not {general}"
            for a, b in zip(fast, general, strict=True):
                assert a == b, told


def assert_same_stored(call: Call, dtype: str, layouts: Sequence[Layout]) -> None:
    arrays = [layout(a) for layout, a in zip(layouts, call.arrays(dtype), strict=True)]
    kinds = ", ".join(layout.__name__ for layout in layouts)
    assert_same(lambda *x: call.apply(x), arrays, f"{call} {dtype} {kinds}")


@pytest.mark.parametrize("call", CALLS, ids=names(CALLS))
def test_an_op_does_the_same_on_both_paths(call: Call) -> None:
    assert_same_stored(call, "float32", (contiguous,) * len(call.tensors))
    assert_same_stored(call, drawn_dtype(call), drawn_layouts(call))
    if isinstance(call.op, Elementwise):
        special = [with_nan(a) for a in call.arrays("float32")]
        assert_same(lambda *x: call.apply(x), special, f"{call} with NaN")


@pytest.mark.parametrize("call", REFUSALS, ids=names(REFUSALS))
def test_an_op_refuses_the_same_on_both_paths(call: Call) -> None:
    arrays = call.arrays("float32")
    assert_same(lambda *x: call.apply(x), arrays, f"{call}")


# -- methods and operators -------------------------------------------------------------------------

F = ag.nn.functional
UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": lambda x: -x,
    "number after": lambda x: x + 2.5,
    "number before": lambda x: 2 - x,
    "divided": lambda x: x / 3,
    "power": lambda x: x**2,
    "compared": lambda x: x > 0.5,
    "sum": lambda x: x.sum(),
    "sum of a dimension": lambda x: x.sum(-1) if x.ndim else x.sum(0),
    "mean": lambda x: x.mean(),
    "largest": lambda x: x.max() if x.numel() else x,
    "norm": lambda x: x.norm(),
    "std": lambda x: x.std(),
    "softmax": lambda x: x.softmax(-1),
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "flat": lambda x: x.reshape(-1),
    "viewed": lambda x: x.view(x.shape),
    "flattened": lambda x: x.flatten(),
    "unsqueezed": lambda x: x.unsqueeze(-1),
    "squeezed": lambda x: x.squeeze(),
    "transposed": lambda x: x.transpose(0, -1) if x.ndim else x,
    "permuted": lambda x: x.permute(tuple(range(x.ndim))[::-1]),
    "expanded": lambda x: x.expand(3, *x.shape),
    "first": lambda x: x[0],
    "last": lambda x: x[-1],
    "out of range": lambda x: x[100],
    "sliced": lambda x: x[1:3],
    "every second": lambda x: x[::2],
    "sliced inside": lambda x: x[..., 1:],
    "by a list": lambda x: x[[0, 0]],
    "by a mask": lambda x: x[x > 0],
    "chunks": lambda x: x.chunk(2, -1),
    "unbound": lambda x: x.unbind(0),
    "cast": lambda x: x.double() * 2,
    "cloned": lambda x: x.clone(),
    "contiguous": lambda x: x.contiguous(),
    "detached": lambda x: x.detach() * x,
    "zeros": lambda x: ag.zeros_like(x) + ag.ones(x.shape),
    "a chain": lambda x: ((x * 2 + 1).tanh() * x).sum(),
    "a view of a view": lambda x: x.reshape(-1)[1:].unsqueeze(0) * 2,
    "normalised": lambda x: F.layer_norm(x, x.shape[-1:]),
    "activated": lambda x: F.gelu(F.relu(x) + F.silu(x)),
    "written": lambda x: x.clone().add_(1).mul_(x),
    "written through a view": lambda x: _written(x),
    "filled": lambda x: x.clone().fill_(2.0) * x,
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a / b": lambda a, b: a / b,
    "a < b": lambda a, b: a < b,
    "maximum": lambda a, b: ag.maximum(a, b),
    "where": lambda a, b: ag.where(a > b, a, b),
    "masked": lambda a, b: a.masked_fill(b > 0, -1.0),
    "lerp": lambda a, b: ag.lerp(a, b, 0.3),
    "addcmul": lambda a, b: ag.addcmul(a, a, b, value=0.5),
    "a @ b": lambda a, b: a @ b,
    "linear": lambda a, b: F.linear(a, b),
    "linear with a bias": lambda a, b: F.linear(a, b, b[..., 0]),
    "cat": lambda a, b: ag.cat([a, b]),
    "stack": lambda a, b: ag.stack([a, b], -1),
    "squared error": lambda a, b: F.mse_loss(a, b),
    "added in place": lambda a, b: a.clone().add_(b, alpha=0.5),
    "the same twice": lambda a, b: a * a + a * b,
}
SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (5,), (0, 3), (4, 6), (3, 4, 4), (2, 1, 3, 4))
PAIRS = (
    *((s, s) for s in SHAPES),
    ((4, 6), (6,)),
    ((4, 1), (1, 6)),
    ((3, 4, 4), ()),
    ((4, 6), (6, 4)),
    ((2, 1, 3, 4), (4, 1)),
    ((2,), (3,)),
)


def _written(x: Any) -> Any:
    y = x * 1
    y.reshape(-1)[1:].mul_(3)
    return y * x


def drawn(shape: tuple[int, ...], number: int, layout: Layout, dtype: str) -> np.ndarray:
    values = np.random.default_rng(number).uniform(-2, 2, shape)
    return layout(np.asarray(values, dtype))


@pytest.mark.parametrize("name", UNARY)
def test_a_method_does_the_same_on_both_paths(name: str) -> None:
    for i, shape in enumerate(SHAPES):
        for layout in LAYOUTS[: -1 if "written" in name else None]:
            for dtype in ("float32", "int64"):
                x = drawn(shape, i, layout, dtype)
                assert_same(UNARY[name], [x], f"{name} of {shape} {layout.__name__} {dtype}")


@pytest.mark.parametrize("name", BINARY)
def test_an_operator_does_the_same_on_both_paths(name: str) -> None:
    for i, (left, right) in enumerate(PAIRS):
        first, second = LAYOUTS[i % 4], LAYOUTS[-1 - i % 5]
        for dtypes in (("float32", "float32"), ("float32", "int64")):
            a, b = drawn(left, i, first, dtypes[0]), drawn(right, i + 1, second, dtypes[1])
            kinds = f"{first.__name__}, {second.__name__}, {dtypes}"
            assert_same(BINARY[name], [a, b], f"{name} of {left} and {right}: {kinds}")


# -- in place --------------------------------------------------------------------------------------


def _set(x: Any, index: Any, value: Any) -> None:
    x[index] = value


def _updated(x: Any, b: Any) -> None:
    x += b
    x *= 2
    x -= 1


INPLACE: dict[str, Callable[[Any, Any], Any]] = {
    "add_": lambda x, b: x.add_(b, alpha=2),
    "sub_": lambda x, b: x.sub_(b),
    "mul_": lambda x, b: x.mul_(b),
    "div_": lambda x, b: x.div_(b),
    "add_ a number": lambda x, b: x.add_(3),
    "mul_ by a fraction": lambda x, b: x.mul_(0.5),
    "add_ itself": lambda x, b: x.add_(x),
    "operators": _updated,
    "zero_": lambda x, b: x.zero_(),
    "fill_": lambda x, b: x.fill_(2),
    "fill_ with a tensor": lambda x, b: x.fill_(b.sum()),
    "copy_": lambda x, b: x.copy_(b),
    "copy_ a number": lambda x, b: x.copy_(1),
    "copy_ from its own memory": lambda x, b: x[1:].copy_(x[:-1]),
    "copy_ from every second": lambda x, b: x[::2].copy_(x[: len(x[::2])]),
    "clamp_": lambda x, b: x.clamp_(-0.5, 1),
    "relu_": lambda x, b: x.relu_(),
    "exp_": lambda x, b: x.exp_(),
    "addcmul_": lambda x, b: x.addcmul_(b, b, value=0.5),
    "addcdiv_": lambda x, b: x.addcdiv_(b, b + 3, value=0.5),
    "lerp_": lambda x, b: x.lerp_(b, 0.25),
    "masked_fill_": lambda x, b: x.masked_fill_(b > 0, 7),
    "out": lambda x, b: ag.add(x, b, out=x),
    "element": lambda x, b: _set(x, (0, -1), 5),
    "row": lambda x, b: _set(x, 1, b[0]),
    "columns": lambda x, b: _set(x, (..., slice(1, None)), b[..., 1:]),
    "every second row": lambda x, b: _set(x, slice(None, None, 2), 4),
    "masked": lambda x, b: _set(x, x > 0, 9),
    "by a list": lambda x, b: _set(x, [0, 1], 3),
    "a list": lambda x, b: _set(x, 0, [1] * x.shape[1]),
    "its own row": lambda x, b: _set(x, 0, x[0]),
    "another row of its own": lambda x, b: _set(x, 0, x[1]),
    "out of range": lambda x, b: _set(x, 9, 1),
    "does not broadcast": lambda x, b: x.add_(b.reshape(1, -1)),
}
TARGETS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda x: x,
    "transposed": lambda x: x.t(),
    "part": lambda x: x[1:, 1:],
    "every second column": lambda x: x[:, ::2],
    "a view of a view": lambda x: x.reshape(-1)[3:].reshape(-1, 3),
    "apart": lambda x: x.detach()[1:],
    "repeated": lambda x: x[0].expand(3, 3),
}


def _with(name: str, target: str, kind: str) -> Callable[[Any, Any], Any]:
    """Writes a tensor made of the first operand; gives it, its memory's owner, and the versions."""

    def apply(a: Any, b: Any) -> Any:
        owner = a.clone() if kind == "a result" else a.detach().clone()
        if kind == "a leaf":
            owner.requires_grad_()
        with ag.set_grad_enabled(kind == "a result"):
            kept = owner.exp() if owner.requires_grad else None
            x = TARGETS[target](owner)
            other = b[: x.shape[0], : x.shape[1]]
            INPLACE[name](x, other if kind == "a result" else other.detach())
        versions = ag.tensor([x._version, owner._version, b._version])
        return [x, owner, versions, *([] if kept is None else [kept])]

    return apply


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", INPLACE)
def test_a_write_does_the_same_on_both_paths(name: str, target: str) -> None:
    for dtype in ("float32", "int64"):
        a, b = drawn((6, 6), 1, contiguous, dtype), drawn((6, 6), 2, transposed, "float32")
        for kind in ("a result", "a leaf", "a tensor"):
            what = f"{name} of {target}, {kind}, {dtype}"
            assert_same(_with(name, target, kind), [a, b], what)
