"""Random programs: grown op by op, each step computed at once and kept only if it is tame.

Tame: defined for every size that the program will be called with, finite, and so conditioned that
a few roundings move no float far, and no integer or boolean at all. So nearly every result can be
compared, and a mistake of the compiler stands out.
"""

from __future__ import annotations

import dataclasses
import math
import random
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from runs import Runs, epsilon, widened

import argand.ops  # noqa: F401  # fills the registry
from argand.base.dim import Dim, evaluate
from argand.base.dtype import DType, as_dtype
from argand.base.errors import ArgandError, LinAlgError
from argand.base.shape import numel, same_shape
from argand.ir.bind import interpreting
from argand.ir.families import Host
from argand.ir.interpret import interpret
from argand.ir.op import ops
from argand.ir.program import Program, Value
from argand.ir.record import Recorder
from argand.ir.rewrite import without_dead_code
from argand.ir.samples import T
from argand.transform.graph import differentiate

SMALL = (0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 31, 33)
WIDE = (65, 70, 96, 128, 130, 257)
USUAL = T((), -2.0, 2.0)  # the domain of inputs
LIMIT = 3000  # elements of a value, in most programs
LARGE = 20000  # and in a few: enough to be split among threads
MAGNITUDE = 1e4
REJECTED = (ArgandError, ValueError, IndexError, ZeroDivisionError, KeyError)

MAIN_DTYPES = ("float32",) * 14 + ("float64",) * 2 + ("float16",) * 2 + ("bfloat16",) * 2


@dataclasses.dataclass
class Drawn:
    """A random program, and the arrays of each of its calls: inputs, then state."""

    seed: int
    program: Program
    calls: list[list[np.ndarray]]


class UnfitError(ValueError):
    """A draw that doesn't go with the values at hand; another is made."""


class Maker:
    """Grows a program; `sizes` are those of the symbol N in the calls to come."""

    def __init__(self, seed: int, sizes: Sequence[int], dtype: str, limit: int) -> None:
        self.random = random.Random(seed)
        self.rng = np.random.default_rng(seed)
        self.sizes = sizes
        self.main = as_dtype(dtype)
        self.limit = limit
        self.symbol = Dim.symbol("N") if tuple(sizes) != (1,) else None
        self.program = Program(f"random{seed}")
        self.pool: list[Value] = []
        self.runs = [Runs({"N": size}, amplitude=8.0) for size in sizes]
        self.featured: list[Value] = []

    # -- steps -------------------------------------------------------------------------------------

    def step(self, draw: Callable[[Maker], Any]) -> bool:
        """One more construct, if it is tame."""
        nodes, inputs = len(self.program.nodes), len(self.program.inputs)
        pool = list(self.pool)
        try:
            found = draw(self)
            made = list(found) if isinstance(found, tuple) else [found]
            self._compute(nodes)
        except REJECTED:
            made = []
        if made:
            self.pool += [v for v in made if isinstance(v, Value) and v not in self.pool]
            return True
        for runs in self.runs:
            runs.forget(self.program.nodes[nodes:])
        del self.program.nodes[nodes:]
        del self.program.inputs[inputs:]
        self.pool = pool
        return False

    def settle(self) -> None:
        """Compute what has been recorded so far in this step, so that it can be measured."""
        self._compute(0)

    def _compute(self, first: int) -> None:
        for node in self.program.nodes[first:]:
            for runs in self.runs:
                if node.outputs[0] in runs.narrow:
                    continue
                if any(math.prod(self.shape_for(o, runs)) > LARGE for o in node.outputs):
                    raise UnfitError("too large")
                runs.run(node)
                if not all(is_tame(runs, o) for o in node.outputs):
                    raise UnfitError("not tame")

    def shape_for(self, v: Value, runs: Runs) -> tuple[int, ...]:
        return tuple(evaluate(s, runs.sizes) for s in v.shape)

    # -- operands ----------------------------------------------------------------------------------

    def pick(self, test: Callable[[Value], bool] = lambda v: True) -> Value:
        """A value of the pool, more often a late one."""
        pool = [v for v in self.pool if test(v)]
        if not pool:
            raise UnfitError("no such value")
        return pool[max(self.random.randrange(len(pool)), self.random.randrange(len(pool)))]

    def real(self, test: Callable[[Value], bool] = lambda v: True) -> Value:
        """A floating-point value with a dimension, or now and then without."""
        bare = self.random.random() < 0.1
        return self.pick(lambda v: v.dtype.is_floating_point and (bare or v.ndim > 0) and test(v))

    def static(self, v: Value) -> tuple[int, ...]:
        """The shape of a value; symbolic ones don't go."""
        if not all(isinstance(s, int) for s in v.shape):
            raise UnfitError("symbolic")
        return tuple(v.shape)  # type: ignore[arg-type]

    def dim(self, v: Value) -> int:
        if not v.ndim:
            raise UnfitError("no dimension")
        return self.random.randrange(v.ndim)

    def size(self) -> int:
        return self.random.choice(WIDE if self.random.random() < 0.04 else SMALL)

    def shape(self, rank: int | None = None) -> tuple[Any, ...]:
        """A random shape, its first size perhaps symbolic."""
        if rank is None:
            rank = self.random.choice((0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4))
        while True:
            shape: list[Any] = [self.size() for _ in range(rank)]
            if 0 in shape and self.random.random() < 0.7:
                continue
            if numel(shape) <= self.limit:
                break
        if self.symbol is not None and rank and self.random.random() < 0.7:
            shape[0] = self.symbol
        return tuple(shape)

    def given(self, shape: Sequence[Any], dtype: DType | None = None, t: T = USUAL) -> Value:
        """A new input; its values lie in the domain of `t`, and are often whole numbers."""
        value = Value(dtype or self.main, tuple(shape), f"x{len(self.program.inputs)}")
        self.program.inputs.append(value)
        self.fill(value, t)
        return value

    def fill(self, value: Value, t: T = USUAL) -> None:
        whole = not t.distinct and self.random.random() < 0.4 and t.high - t.low >= 2
        for runs in self.runs:
            shape = self.shape_for(value, runs)
            if math.prod(shape) > LARGE:
                raise UnfitError("too large")
            runs.give(value, self._array(shape, value.dtype, t, whole))

    def _array(self, shape: tuple[int, ...], dtype: DType, t: T, whole: bool) -> np.ndarray:
        rng = self.rng
        if t.definite:
            a = rng.uniform(-1, 1, shape)
            return (a @ a.swapaxes(-1, -2) + 2 * np.eye(shape[-1])).astype(dtype.numpy)
        if dtype.kind == "b":
            return rng.random(shape) < 0.5
        if whole or dtype.kind in "iu":
            low, high = math.ceil(t.low), math.floor(t.high)
            low, high = max(low, 0) if dtype.kind == "u" else low, max(low, high)
            return rng.integers(low, high, shape, endpoint=True).astype(dtype.numpy)
        if t.distinct:
            count = math.prod(shape)
            values = t.low + (np.arange(count) + rng.random()) * (t.high - t.low) / max(count, 1)
            return rng.permutation(values).reshape(shape).astype(dtype.numpy)
        values = rng.uniform(t.low, t.high, shape)
        if dtype.is_complex:
            values = values + 1j * rng.uniform(t.low, t.high, shape)
        return np.asarray(values).astype(dtype.numpy)

    def like(self, x: Value) -> Value | float:
        """Something that goes with `x` in a binary op: the same shape, a row, a number."""
        kind = self.random.randrange(6)
        if kind == 0:
            return self.random.choice((0.5, -1.25, 2.0, 3.0))
        if kind == 1:
            shape = tuple(s if self.random.random() < 0.6 else 1 for s in x.shape)
            return self.given(shape, x.dtype)
        if kind == 2 and x.ndim:
            return self.given(x.shape[self.random.randrange(x.ndim) :], x.dtype)
        if kind == 3:
            return self.pick(lambda v: v.dtype is x.dtype and _broadcasts(v.shape, x.shape))
        return self.pick(lambda v: v.dtype is x.dtype and same_shape(v.shape, x.shape))

    def fitted(self, t: T, dtype: DType) -> Value:
        """A value of the shape, dtype and domain of `t`: made from one of the pool, or an input."""
        plain = dtype.is_floating_point and not t.definite
        if not plain or self.random.random() < 0.3:
            return self.given(t.shape, dtype, t)
        x = self.pick(lambda v: v.dtype.is_floating_point)
        if not same_shape(x.shape, t.shape):
            count, wanted = math.prod(self.static(x)), math.prod(t.shape)
            flat = ops.reshape(x, (-1,)) if count else ops.full((0,), 0.0, x.dtype)
            if count >= wanted:
                start = self.random.randrange(count - wanted + 1)
                flat = ops.slice(flat, (start,), (start + wanted,))
            elif count and self.random.random() < 0.6:
                times = -(-wanted // count)
                flat = ops.reshape(ops.expand(flat, (times, count)), (-1,))
                flat = ops.slice(flat, (0,), (wanted,))
            else:
                flat = ops.pad(flat, ((0, wanted - count),), 0.5)
            x = ops.reshape(flat, t.shape)
        if x.dtype is not dtype:
            x = ops.cast(x, dtype)
        return self.within(x, t.low, t.high)

    def operand(self, shape: Sequence[Any], dtype: DType, t: T = USUAL) -> Value:
        """An operand that a construct needs: an input, or made of a value of the pool."""
        fixed = all(isinstance(s, int) for s in shape)
        if not fixed or self.random.random() < 0.6:
            return self.given(shape, dtype, t)
        return self.fitted(t._replace(shape=tuple(shape)), dtype)

    def within(self, x: Any, low: float, high: float) -> Any:
        """The value moved into a domain, where it isn't there."""
        if not isinstance(x, Value) or not x.dtype.is_floating_point:
            return x
        self.settle()
        found = [widened(runs.narrow[x]) for runs in self.runs]
        if all(a.size == 0 or (low <= a.min() and a.max() <= high) for a in found):
            return x
        low, high = max(low, -4.0), min(high, 4.0)
        kind = self.random.randrange(3)
        if kind == 0:
            return ops.clamp(x, low, high)
        squashed = ops.sigmoid(x) if kind == 1 else ops.div(ops.add(ops.sin(x), 1.0), 2.0)
        return ops.add(ops.mul(squashed, high - low), low)

    # -- the whole ---------------------------------------------------------------------------------

    def feature(self, *draws: Callable[[Maker], Any]) -> None:
        """A step whose result is an output, of the first draw that is tame in some tries."""
        before = set(self.pool)
        if any(_first_tame(self, lambda draw=draw: draw) for draw in draws):
            self.featured = [v for v in self.pool if v not in before and v.node is not None]

    def states(self) -> None:
        """States that the program reads, of which some are written in the end."""
        for n in range(self.random.randint(1, 3)):
            shape = self.shape()
            while numel(evaluate(s, {"N": max(self.sizes)}) for s in shape) > LIMIT:
                shape = self.shape()
            value = Value(self.main, shape, f"s{n}")
            self.program.state.append(value)
            self.fill(value)
            self.pool.append(value)

    def writes(self) -> None:
        """The states take values of their type: each other's, shared ones, or updated ones."""
        for i, state in enumerate(self.program.state):
            if self.random.random() < 0.2:
                continue

            def fits(v: Value, state: Value = state) -> bool:
                return v.dtype is state.dtype and same_shape(v.shape, state.shape)

            def update(m: Maker, state: Value = state) -> Value:
                other = m.pick(lambda v: _broadcasts(v.shape, state.shape))
                return ops.add(ops.mul(state, 0.5), other)

            if self.random.random() < 0.5:
                with interpreting(Recorder(self.program)):
                    self.step(update)
            self.program.writes[i] = self.pick(fits)

    def outputs(self) -> None:
        """What nothing reads, and some of what is read: shared values, views, inputs, twice one."""
        uses = self.program.uses()
        leaves = [v for v in self.pool if v.node is not None and not uses[v]]
        self.random.shuffle(leaves)
        chosen = list(dict.fromkeys([*self.featured, *leaves[:5]]))
        chosen += [self.pick() for _ in range(self.random.randrange(3))]
        if self.random.random() < 0.05:
            chosen.append(self.random.choice(chosen or self.pool))
        if not chosen:
            chosen = [self.pick()]
        self.random.shuffle(chosen)
        self.program.outputs = list(chosen)


def is_tame(runs: Runs, v: Value) -> bool:
    """Whether a value is finite, of moderate size, and hardly moved by shaking."""
    narrow, wide = widened(runs.narrow[v]), runs.wide[v]
    others = [narrow, *(env[v] for env in runs.shaken)]
    if not v.dtype.is_inexact:
        return all(np.array_equal(wide, a) for a in others)
    if not all(np.isfinite(a).all() for a in (wide, *others)):
        return False
    if not wide.size or v in runs.certain:
        return bool(np.abs(wide).max(initial=0) <= MAGNITUDE)
    largest = np.abs(wide).max()
    spread = max(np.abs(a - wide).max() for a in others)
    allowed = min(0.05, 4000 * epsilon(v.dtype))
    return bool(largest <= MAGNITUDE and spread <= allowed * max(largest, 1e-2))


def _broadcasts(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether a shape broadcasts to another."""
    pairs = zip(a[::-1], b[::-1], strict=False)
    return len(a) <= len(b) and all(
        x is y or same_shape((x,), (y,)) or _is_one(x) for x, y in pairs
    )


def _is_one(size: Any) -> bool:
    return isinstance(size, int) and size == 1


def random_program(
    seed: int, *, gradients: bool | None = None, sizes: Sequence[int] = (), dtype: str = ""
) -> Drawn:
    """The random program of a seed: what isn't given is the seed's choice."""
    from draws import draw_step, featured

    choice = random.Random(seed ^ 0x5EED)
    some = choice.choice(((5, 1, 17), (3, 33), (8, 0), (9, 2))) if choice.random() < 0.3 else (1,)
    limit = LARGE if choice.random() < 0.04 else LIMIT
    main = choice.choice(MAIN_DTYPES)
    maker = Maker(seed, sizes or some, dtype or main, limit)
    count = min(choice.randint(2, 10), choice.randint(2, 10))
    with interpreting(Recorder(maker.program)):
        for _ in range(choice.randint(1, 3)):
            maker.step(lambda m: m.given(m.shape()))
        if choice.random() < 0.35:
            maker.states()
        turn = choice.randrange(count)
        for i in range(count):
            if i == turn:
                maker.feature(*featured(seed))
            _first_tame(maker, lambda: draw_step(maker.random))
        maker.writes()
    maker.outputs()
    program = without_dead_code(maker.program)
    calls = [
        [runs.narrow[v] for v in (*maker.program.inputs, *maker.program.state)]
        for runs in maker.runs
    ]
    if gradients or (gradients is None and choice.random() < 0.3):
        more = _gradient(program, maker.featured, choice)
        program = more if all(_has_results(more, arrays) for arrays in calls) else program
    return Drawn(seed, program, calls)


def _has_results(program: Program, arrays: Sequence[Any]) -> bool:
    """Whether a program's matrices have what is asked of them: the gradient of cofactors asks for
    an inverse."""
    if not any(isinstance(node.op, Host) for node in program.nodes):
        return True
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no elements
            interpret(program, arrays)
    except LinAlgError:
        return False
    return True


def _first_tame(maker: Maker, draws: Callable[[], Callable[[Maker], Any]], tries: int = 12) -> bool:
    """A step, with as many tries as that takes, within reason."""
    return any(maker.step(draws()) for _ in range(tries))


def _gradient(program: Program, featured: Sequence[Value], choice: random.Random) -> Program:
    """The program with gradients of one of its outputs by what it can be differentiated by; now
    and then with few of its outputs. A featured op that the tape would part is left whole."""
    operands = [*program.inputs, *program.state]
    wrt = [i for i, v in enumerate(operands) if v.dtype.is_floating_point]
    outputs = [i for i, v in enumerate(program.outputs) if v.dtype.is_floating_point]
    if not wrt or not outputs:
        return program
    try:
        found = differentiate(program, wrt, choice.choice(outputs), keep=True)
    except ArgandError:
        return program  # an op on the way has no derivative
    if choice.random() < 0.3:
        count = len(program.outputs)
        few = [found.outputs[i] for i, v in enumerate(program.outputs) if v in featured]
        found.outputs = [*few, *found.outputs[count:]]
    found = without_dead_code(found)
    left = {node.op for node in found.nodes}
    return found if all(v.node.op in left for v in featured if v.node) else program
