"""Random programs over the registry, well-typed and tame enough to compare precisions.

Every operand is squashed into its op's sample domain, so no value explodes and float32 can be held
against the float64 interpreter.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

import argand.ops  # noqa: F401  # fills the registry
from argand.base.dim import Dim
from argand.base.dtype import bool_, float32, int64
from argand.base.errors import ArgandError
from argand.base.shape import numel
from argand.ir.bind import interpreting
from argand.ir.elementwise import Elementwise
from argand.ir.op import TensorType, ops, registry
from argand.ir.program import Program, Value
from argand.ir.record import Recorder
from argand.ir.rewrite import without_dead_code
from argand.ir.samples import Uniform

SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 33)
LIMIT = 6000
# They jump, or their derivative does, so a rounding error can become a large one.
JUMPS = frozenset(("floor", "ceil", "trunc", "round", "sign", "floor_divide", "remainder", "fmod"))


def unary_ops() -> list[tuple[str, Uniform]]:
    """Float functions of one operand, with their domain."""
    return _elementwise(1)


def binary_ops() -> list[tuple[str, Uniform]]:
    """Float functions of two operands, with their domain."""
    return _elementwise(2)


def _elementwise(arity: int) -> list[tuple[str, Uniform]]:
    found = []
    for name in registry:
        op = registry.get(name)
        if not isinstance(op, Elementwise) or name in JUMPS or op.name == "cast":
            continue
        domain = op.samples
        if not isinstance(domain, Uniform) or domain.integers or "float32" not in op.dtypes:
            continue
        if len(op.operands) - len(op.defaults) != arity or op.promotion in ("bool", "bitwise"):
            continue
        if op.conditions == 0:
            found.append((name, domain))
    return found


class ProgramMaker:
    """Grows a program op by op; `batch` is the size of the leading dimension of the inputs."""

    def __init__(self, seed: int, batch: int | Dim | None = None, gather: bool = True) -> None:
        self.random = random.Random(seed)
        self.batch = batch
        self.program = Program(f"random{seed}")
        self.pool: list[Value] = []
        self.indices: list[tuple[Value, int]] = []
        self.gather = gather

    def make(self, count: int) -> Program:
        """A program of about `count` nodes; its outputs are what nothing reads."""
        with interpreting(Recorder(self.program)):
            for _ in range(self.random.randint(1, 3)):
                self.new_input(self.shape())
            while len(self.program.nodes) < count:
                self.step()
        uses = self.program.uses()
        self.program.outputs = [v for v in self.pool if v.node and not uses[v]][-5:]
        return without_dead_code(self.program)

    def shape(self) -> tuple[Any, ...]:
        rank = self.random.choice((0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4))
        while True:
            shape = [self.random.choice(SIZES) for _ in range(rank)]
            if numel(shape) * 4 <= LIMIT:
                break
        if self.batch is not None and rank:
            return (self.batch, *shape[1:])
        return tuple(shape)

    def new_input(self, shape: tuple[Any, ...], dtype: Any = float32) -> Value:
        value = Value(dtype, shape, f"x{len(self.program.inputs)}")
        self.program.inputs.append(value)
        if dtype is float32:
            self.pool.append(value)
        return value

    def step(self) -> None:
        """One more construct; a choice that doesn't fit the shapes is given up."""
        choice = self.random.choices([c for c, _ in _STEPS], [w for _, w in _STEPS])[0]
        before = len(self.program.nodes)
        inputs = len(self.program.inputs)
        try:
            made = choice(self)
        except (ArgandError, ValueError, IndexError, ZeroDivisionError):
            made = None
        if made is None or not _small(made):
            del self.program.nodes[before:]
            del self.program.inputs[inputs:]
            self.pool = [v for v in self.pool if v.node is None or v.node in self.program.nodes]
            self.pool = [v for v in self.pool if v.node or v in self.program.inputs]
        else:
            self.pool.append(made)

    def pick(self) -> Value:
        """A value, more often a late one."""
        pool = [v for v in self.pool if v.shape or self.random.random() < 0.1] or self.pool
        return pool[max(self.random.randrange(len(pool)), self.random.randrange(len(pool)))]

    def dim(self, x: Value) -> int:
        if not x.shape:
            raise ValueError("no dimension")
        return self.random.randrange(len(x.shape))

    def squashed(self, x: Value, domain: Uniform) -> Value:
        """The value moved into a domain."""
        low, high = max(domain.low, -4.0), min(domain.high, 4.0)
        return ops.add(ops.mul(ops.sigmoid(x), high - low), low)

    def like(self, x: Value) -> Value | float:
        """Something that goes with `x` in a binary op: same shape, a row, a number."""
        kind = self.random.randrange(4)
        if kind == 0:
            return self.random.choice((0.5, -1.25, 2.0, 3.0))
        if kind == 1:
            return self.new_input(tuple(s if self.random.random() < 0.6 else 1 for s in x.shape))
        if kind == 2 and x.shape:
            return self.new_input(x.shape[self.random.randrange(len(x.shape)) :])
        same = [v for v in self.pool if v.shape == x.shape]
        return self.random.choice(same)


def _small(v: Value) -> bool:
    sizes = [
        s.evaluate(dict.fromkeys(s.symbols(), 9)) if isinstance(s, Dim) else s for s in v.shape
    ]
    return 0 < numel(sizes) <= LIMIT


def _unary(m: ProgramMaker) -> Value:
    name, domain = m.random.choice(unary_ops())
    return getattr(ops, name)(m.squashed(m.pick(), domain))


def _binary(m: ProgramMaker) -> Value:
    name, domain = m.random.choice(binary_ops())
    x = m.pick()
    y = m.like(x)
    squashed = m.squashed(y, domain) if isinstance(y, Value) else min(max(0.5, domain.low), 2.0)
    return getattr(ops, name)(m.squashed(x, domain), squashed)


def _arithmetic(m: ProgramMaker) -> Value:
    x = m.pick()
    return getattr(ops, m.random.choice(("add", "sub", "mul")))(x, m.like(x))


def _where(m: ProgramMaker) -> Value:
    x = m.pick()
    y = m.like(x)
    condition = m.new_input(x.shape, bool_)
    return ops.where(condition, x, y)


def _reduce(m: ProgramMaker) -> Value:
    x = m.pick()
    names = [n for n in ("sum", "amax", "amin", "mean", "logsumexp", "var") if n in registry]
    dims = tuple(d for d in range(len(x.shape)) if m.random.random() < 0.5) or (m.dim(x),)
    name = m.random.choice(names)
    if name == "var" and numel(x.shape[d] for d in dims) == 1:
        raise ValueError("a variance of one")
    keepdim = m.random.random() < 0.5
    y = getattr(ops, name)(x, dims, keepdim=keepdim)
    if name == "sum":
        y = ops.mul(y, 0.25)
    return ops.sub(x, y) if keepdim and m.random.random() < 0.5 else y


def _normalise(m: ProgramMaker) -> Value:
    x = m.pick()
    names = [n for n in ("softmax", "log_softmax") if n in registry]
    return getattr(ops, m.random.choice(names))(x, m.dim(x))


def _permute(m: ProgramMaker) -> Value:
    x = m.pick()
    dims = list(range(len(x.shape)))
    m.random.shuffle(dims)
    return ops.permute(x, tuple(dims))


def _reshape(m: ProgramMaker) -> Value:
    x = m.pick()
    at = m.dim(x)
    if m.random.random() < 0.5 and at + 1 < len(x.shape):
        return ops.reshape(x, (*x.shape[:at], x.shape[at] * x.shape[at + 1], *x.shape[at + 2 :]))
    size = x.shape[at]
    if not isinstance(size, int):
        raise ValueError("symbolic")
    factor = m.random.choice([f for f in range(1, size + 1) if size % f == 0])
    return ops.reshape(x, (*x.shape[:at], factor, size // factor, *x.shape[at + 1 :]))


def _slice(m: ProgramMaker) -> Value:
    x = m.pick()
    at = m.dim(x)
    size = x.shape[at]
    if not isinstance(size, int):
        raise ValueError("symbolic")
    start = m.random.randrange(size)
    stop = m.random.randrange(start, size) + 1
    step = m.random.choice((1, 1, 2, 3))
    full = [(0, s, 1) for s in x.shape]
    full[at] = (start, stop, step)
    starts, stops, steps = zip(*full, strict=True)
    return ops.slice(x, starts, stops, steps)


def _pad(m: ProgramMaker) -> Value:
    x = m.pick()
    edges = [(m.random.randrange(3), m.random.randrange(3)) for _ in x.shape]
    return ops.pad(x, tuple(edges), m.random.choice((0.0, 1.0)))


def _flip(m: ProgramMaker) -> Value:
    x = m.pick()
    return ops.flip(x, (m.dim(x),))


def _cat(m: ProgramMaker) -> Value:
    x = m.pick()
    at = m.dim(x)
    same = [v for v in m.pool if len(v.shape) == len(x.shape)]
    other = m.random.choice(same)
    return ops.cat(x, other, dim=at)


def _matmul(m: ProgramMaker) -> Value:
    x = m.pick()
    if not x.shape or not isinstance(x.shape[-1], int):
        raise ValueError("no inner size")
    inner = x.shape[-1]
    y = m.new_input((inner, m.random.choice(SIZES)))
    return ops.mul(ops.matmul(ops.tanh(x), ops.tanh(y)), 1 / (1 + inner) ** 0.5)


def _batched_matmul(m: ProgramMaker) -> Value:
    x = m.pick()
    if len(x.shape) < 2:
        raise ValueError("no matrix")
    dims = (*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2)
    return ops.mul(ops.matmul(ops.tanh(x), ops.permute(ops.tanh(x), dims)), 0.125)


def _gather(m: ProgramMaker) -> Value:
    if not m.gather or "embedding" not in registry:
        raise ValueError("no gathers wanted")
    x = m.pick()
    if len(x.shape) != 2 or not isinstance(x.shape[0], int):
        raise ValueError("no table")
    index = m.new_input((m.random.choice(SIZES),), int64)
    m.indices.append((index, x.shape[0]))
    return ops.embedding(x, index)


def _compare(m: ProgramMaker) -> Value:
    """A choice by inputs, which are the same in any precision."""
    x = m.new_input(m.pick().shape)
    y = m.pick()
    if y.shape != x.shape:
        raise ValueError("other shape")
    return ops.where(ops.gt(x, 0.25), y, ops.neg(y))


_STEPS: list[tuple[Callable[[ProgramMaker], Value], int]] = [
    (_unary, 6),
    (_binary, 5),
    (_arithmetic, 6),
    (_where, 1),
    (_reduce, 4),
    (_normalise, 2),
    (_permute, 2),
    (_reshape, 2),
    (_slice, 2),
    (_pad, 1),
    (_flip, 1),
    (_cat, 2),
    (_matmul, 3),
    (_batched_matmul, 1),
    (_gather, 1),
    (_compare, 1),
]


def random_program(
    seed: int, count: int, batch: int | Dim | None = None, gather: bool = True
) -> tuple[Program, Callable[[int], list[np.ndarray]]]:
    """A program, and a function that gives input arrays for a batch size."""
    maker = ProgramMaker(seed, batch, gather)
    program = maker.make(count)
    limits = {id(v): limit for v, limit in maker.indices}
    types = [(TensorType(v.dtype, v.shape), limits.get(id(v), 0)) for v in program.inputs]

    def arrays(size: int) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        found = []
        for t, limit in types:
            shape = [s.evaluate(dict.fromkeys(s.symbols(), size)) if isinstance(s, Dim) else s
                     for s in t.shape]  # fmt: skip
            if t.dtype is bool_:
                found.append(rng.random(shape) < 0.5)
            elif t.dtype is int64:
                found.append(rng.integers(0, limit, shape))
            else:
                found.append(np.asarray(rng.standard_normal(shape), np.float32))
        return found

    return program, arrays
