"""The typed scalar language: an elementwise op's formula, written once and read by many builders.

A body such as ``b.maximum(x, 0) + b.log1p(b.exp(-abs(x)))`` runs once on symbolic scalars and
leaves an expression. Its readers are: `evaluate` here (NumPy), `lowering/emitter`, `adjoint`
(derivative), `flops` (cost) and `text`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from argand.base.conversion import converted, limits
from argand.base.dtype import DType, bool_, compute_dtype, of_scalar, promote_types
from argand.base.errors import ArgumentError, did_you_mean
from argand.ir.primitives import APPROXIMATE, HOST, PRIMITIVES, Primitive

Body = Callable[..., "Expr"]


class Expr:
    """A scalar value: an input, a constant, or a primitive of other values.

    Expressions are immutable and shared: equal ones are the same object within one process.
    """

    __slots__ = ("args", "dtype", "hash", "op", "value")

    op: str
    args: tuple[Expr, ...]
    dtype: DType
    value: Any
    hash: int

    def __hash__(self) -> int:
        return self.hash

    def __repr__(self) -> str:
        return text(self)

    def __add__(self, other: Any) -> Expr:
        return apply("add", self, other)

    def __radd__(self, other: Any) -> Expr:
        return apply("add", other, self)

    def __sub__(self, other: Any) -> Expr:
        return apply("sub", self, other)

    def __rsub__(self, other: Any) -> Expr:
        return apply("sub", other, self)

    def __mul__(self, other: Any) -> Expr:
        return apply("mul", self, other)

    def __rmul__(self, other: Any) -> Expr:
        return apply("mul", other, self)

    def __truediv__(self, other: Any) -> Expr:
        return apply("div", self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return apply("div", other, self)

    def __floordiv__(self, other: Any) -> Expr:
        return apply("floordiv", self, other)

    def __mod__(self, other: Any) -> Expr:
        return apply("mod", self, other)

    def __pow__(self, other: Any) -> Expr:
        return apply("pow", self, other)

    def __neg__(self) -> Expr:
        return apply("neg", self)

    def __abs__(self) -> Expr:
        return apply("abs", self)

    def __and__(self, other: Any) -> Expr:
        return apply("and", self, other)

    def __or__(self, other: Any) -> Expr:
        return apply("or", self, other)

    def __xor__(self, other: Any) -> Expr:
        return apply("xor", self, other)

    def __invert__(self) -> Expr:
        return apply("not", self)

    def __lshift__(self, other: Any) -> Expr:
        return apply("shl", self, other)

    def __rshift__(self, other: Any) -> Expr:
        return apply("shr", self, other)

    def __lt__(self, other: Any) -> Expr:
        return apply("lt", self, other)

    def __le__(self, other: Any) -> Expr:
        return apply("le", self, other)

    def __gt__(self, other: Any) -> Expr:
        return apply("gt", self, other)

    def __ge__(self, other: Any) -> Expr:
        return apply("ge", self, other)

    def __bool__(self) -> bool:
        raise TypeError("a scalar body can't branch on a value; use b.where(condition, a, b)")


_interned: dict[tuple[Any, ...], Expr] = {}


def _intern(op: str, args: tuple[Expr, ...], dtype: DType, value: Any = None) -> Expr:
    mark = (type(value), repr(value)) if op == "const" else value
    key = (op, args, dtype, mark)
    found = _interned.get(key)
    if found is None:
        found = object.__new__(Expr)
        found.op, found.args, found.dtype, found.value = op, args, dtype, value
        found.hash = hash(key)
        _interned[key] = found
    return found


def scalar_input(index: int, dtype: DType) -> Expr:
    """The input number `index` of a body."""
    return _intern("input", (), dtype, index)


def const(value: Any, dtype: DType) -> Expr:
    """A constant of a dtype."""
    return _intern("const", (), dtype, _python_value(value, dtype))


def _python_value(value: Any, dtype: DType) -> Any:
    convert: dict[str, Callable[[Any], Any]] = {
        "b": bool,
        "i": int,
        "u": int,
        "f": float,
        "s": float,
        "c": complex,
    }
    return convert[dtype.kind](value)


def fits(value: Any, dtype: DType) -> bool:
    """Whether a number is in the range of an integer dtype or an 8-bit float; True for others."""
    if dtype.kind == "s" and isinstance(value, int | float | np.number):
        if math.isinf(value):
            return dtype.name == "float8_e5m2"
        low, high = limits(dtype)
        return not (value < low or value > high)  # NaN is among them
    known = type(value) is int or isinstance(value, np.integer)  # and no symbolic size
    if dtype.kind not in "iu" or not known:
        return True
    low, high = limits(dtype)
    return bool(low <= value <= high)


def last_bits(value: Any, dtype: DType) -> Any:
    """A whole number as an integer dtype has its last bits: 255 as -1 in int8. Others as they are.

    >>> from argand.base.dtype import int8, uint8
    >>> last_bits(255, int8), last_bits(-32, uint8), last_bits(7, uint8)
    (-1, 224, 7)
    """
    if fits(value, dtype) or dtype.kind not in "iu" or not -(2**63) <= value < 2**63:
        return value
    low, high = limits(dtype)
    return (int(value) - low) % (high - low + 1) + low


def _overflows(value: Any, dtype: DType) -> bool:
    """Whether a finite number is beyond the finite ones of a float dtype."""
    if dtype.kind not in "fc":
        return False
    top = limits(dtype.to_real())[1]
    return any(top < abs(float(part)) < math.inf for part in (value.real, value.imag))


def operand(op: str, value: Any, dtype: DType, overflows: bool = False) -> Any:
    """A number given to an op, as a value of `dtype`.

    ArgumentError for one beyond its range; with `overflows`, of floats it is an infinity then.
    """
    if not fits(value, dtype) or (not overflows and _overflows(value, dtype)):
        low, high = limits(dtype.to_real())
        raise ArgumentError(
            f"{op}: {value} doesn't fit into {dtype.name}, which holds {low} to {high}; cast the "
            "tensor to a wider dtype"
        )
    return _python_value(value, dtype)


def apply(name: str, *operands: Any) -> Expr:
    """A primitive of operands; Python numbers take the dtype of the expressions beside them."""
    primitive = PRIMITIVES[name]
    args = _typed(primitive, operands)
    simpler = _simplify(name, args)
    return simpler if simpler is not None else _intern(name, args, _result(primitive, args))


def cast(x: Expr, dtype: DType) -> Expr:
    """`x` converted to `dtype`."""
    if x.dtype is dtype:
        return x
    if x.op == "const":
        return const(x.value, dtype)
    return _intern("cast", (x,), dtype, dtype.name)


def _typed(primitive: Primitive, operands: Sequence[Any]) -> tuple[Expr, ...]:
    values = operands[1:] if primitive.name == "where" else operands
    dtypes = [v.dtype for v in values if isinstance(v, Expr)]
    if dtypes:
        dtype = dtypes[0]
        for d in dtypes[1:]:
            dtype = promote_types(dtype, d)
    else:
        dtype = of_scalar(values[0])
    typed = tuple(cast(v, dtype) if isinstance(v, Expr) else const(v, dtype) for v in values)
    if primitive.name == "where":
        condition = operands[0]
        if not isinstance(condition, Expr):
            condition = const(condition, bool_)
        elif condition.dtype is not bool_:
            condition = apply("ne", condition, 0)
        return (condition, *typed)
    return typed


def _result(primitive: Primitive, args: tuple[Expr, ...]) -> DType:
    return bool_ if primitive.result == "bool" else args[-1].dtype


def _simplify(name: str, args: tuple[Expr, ...]) -> Expr | None:
    """Identities that are exact for every float, NaN and signed zero included."""
    a = args[0]
    b = args[1] if len(args) > 1 else None
    if name == "mul" and b is not None:
        if _is_const(b, 1):
            return a
        if _is_const(a, 1):
            return b
        if _is_const(b, -1):
            return apply("neg", a)
        if _is_const(a, -1):
            return apply("neg", b)
    elif name == "div" and _is_const(b, 1):
        return a
    elif name == "conj" and (a.op == "conj" or not a.dtype.is_complex):
        return a.args[0] if a.op == "conj" else a
    elif name == "neg" and a.op == "neg":
        return a.args[0]
    elif name == "where" and a.op == "const":
        return args[1] if a.value else args[2]
    elif name == "sub" and _is_const(b, 0) and a.dtype.kind != "b":
        return a
    return None


def _is_const(x: Expr | None, value: float) -> bool:
    return x is not None and x.op == "const" and x.value == value and x.dtype.kind != "b"


class ScalarBuilder:
    """The `b` of a body: every primitive by name, and the spellings that PyTorch has for some."""

    _spellings: ClassVar[dict[str, str]] = {
        "maximum": "max",
        "minimum": "min",
        "logical_not": "not",
        "remainder": "mod",
        "select": "where",
    }

    def __getattr__(self, name: str) -> Callable[..., Expr]:
        primitive = self._spellings.get(name, name)
        if primitive not in PRIMITIVES:
            hint = did_you_mean(name, PRIMITIVES)
            raise AttributeError(f"the scalar language has no primitive {name!r}{hint}")
        return lambda *operands: apply(primitive, *operands)

    def apply(self, name: str, *operands: Any) -> Expr:
        """A primitive by its name; `NestBuilder` has the same method."""
        return apply(name, *operands)

    def eq(self, x: Any, y: Any) -> Expr:
        """Whether two values are equal (``==`` compares expressions, not values)."""
        return apply("eq", x, y)

    def ne(self, x: Any, y: Any) -> Expr:
        """Whether two values differ."""
        return apply("ne", x, y)

    def cast(self, x: Expr, dtype: DType) -> Expr:
        """`x` converted to `dtype`."""
        return cast(x, dtype)

    def const(self, value: Any, dtype: DType) -> Expr:
        """A constant of a dtype."""
        return const(value, dtype)

    def square(self, x: Expr) -> Expr:
        """x * x."""
        return x * x

    def sigmoid(self, x: Expr) -> Expr:
        """1 / (1 + exp(-x)); exp overflows to infinity and the quotient to 0, as it should."""
        return 1 / (1 + apply("exp", -x))


BUILDER = ScalarBuilder()


def trace_body(body: Body, dtypes: Sequence[DType], result: DType) -> Expr:
    """The expression that a body leaves for inputs of `dtypes`.

    16-bit floats are computed in float32; the outcome is converted to `result`.
    """
    inputs = [cast(scalar_input(i, d), compute_dtype(d)) for i, d in enumerate(dtypes)]
    return as_result(body(BUILDER, *inputs), result)


def as_result(outcome: Any, dtype: DType) -> Expr:
    """What a body leaves, an expression or a number, as a value of `dtype`."""
    return cast(outcome, dtype) if isinstance(outcome, Expr) else const(outcome, dtype)


# -- readers ---------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def topological(expr: Expr) -> tuple[Expr, ...]:
    """The distinct subexpressions, operands before their users."""
    order: list[Expr] = []
    seen: set[Expr] = set()
    stack = [(expr, False)]
    while stack:
        e, ready = stack.pop()
        if ready:
            order.append(e)
        elif e not in seen:
            seen.add(e)
            stack.append((e, True))
            stack.extend((a, False) for a in reversed(e.args) if a not in seen)
    return tuple(dict.fromkeys(order))


def inputs_used(expr: Expr) -> set[int]:
    """The numbers of the inputs that an expression reads."""
    return {e.value for e in topological(expr) if e.op == "input"}


def evaluate(expr: Expr, inputs: Sequence[Any]) -> Any:
    """The expression on NumPy arrays, one ufunc call a primitive."""
    with np.errstate(all="ignore"):
        return run_steps(steps(expr), inputs)


class Steps(NamedTuple):
    """An expression as a list of NumPy calls: first its inputs (by number) and constants, then each
    call as a function and the places of its arguments among all values so far."""

    inputs: tuple[int, ...]
    constants: tuple[Any, ...]
    calls: tuple[tuple[Any, tuple[int, ...]], ...]


@lru_cache(maxsize=4096)
def steps(expr: Expr) -> Steps:
    """The NumPy calls of an expression."""
    order = topological(expr)
    inputs = [e for e in order if e.op == "input"]
    constants = [e for e in order if e.op == "const"]
    rest = [e for e in order if e.op not in ("input", "const")]
    place = {e: i for i, e in enumerate([*inputs, *constants, *rest])}
    return Steps(
        tuple([e.value for e in inputs]),
        tuple([converted(e.value, e.dtype) for e in constants]),
        tuple([(_function(e), tuple([place[a] for a in e.args])) for e in rest]),
    )


def _function(e: Expr) -> Any:
    return partial(converted, dtype=e.dtype) if e.op == "cast" else PRIMITIVES[e.op].numpy


def run_steps(steps: Steps, inputs: Sequence[Any]) -> Any:
    """Run the calls of `steps`; floating-point warnings are the caller's affair."""
    numbers, constants, calls = steps
    values = [inputs[i] for i in numbers]
    values += constants
    for function, args in calls:
        if len(args) == 2:
            values.append(function(values[args[0]], values[args[1]]))
        else:
            values.append(function(*[values[a] for a in args]))
    return values[-1]


def adjoint(expr: Expr, wanted: Sequence[int], inputs: int) -> list[Expr | None]:
    """Reverse-mode derivative: for each wanted input, d(expr)/d(input) times the cotangent.

    In the result, input number `inputs` is the cotangent of `expr` and number `inputs + 1` is the
    value of `expr` itself. None is a derivative that is zero everywhere.
    """
    g: dict[Expr, Expr] = {expr: scalar_input(inputs, expr.dtype)}
    for e in reversed(topological(expr)):
        ct = g.get(e)
        if ct is None or e.op in ("input", "const") or not e.dtype.is_inexact:
            continue
        for a, part in zip(e.args, _rule(e, ct), strict=True):
            if part is not None and a.op != "const":
                g[a] = part if a not in g else g[a] + part
    results: list[Expr | None] = []
    for i in wanted:
        leaf = next((e for e in topological(expr) if e.op == "input" and e.value == i), None)
        found = g.get(leaf) if leaf is not None else None
        results.append(None if found is None else _reuse_output(found, expr, inputs + 1))
    return results


def _rule(e: Expr, ct: Expr) -> Sequence[Expr | None]:
    if e.op == "cast":
        source = e.args[0].dtype
        return [cast(ct, source) if source.is_inexact else None]
    rule = PRIMITIVES[e.op].derivative
    if not e.dtype.is_complex:
        return rule(BUILDER, ct, e, *e.args)
    parts = rule(BUILDER, apply("conj", ct), e, *e.args)  # g * conj(f') = conj(conj(g) * f')
    return [None if p is None else apply("conj", p) for p in parts]


def _reuse_output(found: Expr, expr: Expr, number: int) -> Expr:
    """Read the saved output instead of computing it again."""
    core = expr.args[0] if expr.op == "cast" else expr
    if core.op in ("input", "const"):
        return found
    return replace(found, {core: cast(scalar_input(number, expr.dtype), core.dtype)})


def replace(expr: Expr, mapping: dict[Expr, Expr]) -> Expr:
    """The expression with subexpressions exchanged."""
    done = dict(mapping)
    for e in topological(expr):
        if e not in done:
            args = tuple(done[a] for a in e.args)
            same = all(x is y for x, y in zip(args, e.args, strict=True))
            done[e] = e if same else _intern(e.op, args, e.dtype, e.value)
    return done[expr]


def renumber(expr: Expr, numbers: Sequence[int]) -> Expr:
    """The expression with input `numbers[i]` called input `i`."""
    mapping = {
        e: scalar_input(numbers.index(e.value), e.dtype)
        for e in topological(expr)
        if e.op == "input"
    }
    return replace(expr, mapping)


def flops(expr: Expr) -> float:
    """The cost of one evaluation in multiply-add equivalents."""
    return sum(PRIMITIVES[e.op].cost for e in topological(expr) if e.op in PRIMITIVES)


@lru_cache(maxsize=4096)
def exact(expr: Expr) -> bool:
    """Whether the formula alone fixes the bits of the result: every step is exact or correctly
    rounded, so that all who take the same steps find the same. Integers always are."""
    return not any(e.op in APPROXIMATE and e.dtype.is_inexact for e in topological(expr))


@lru_cache(maxsize=4096)
def on_host(expr: Expr) -> bool:
    """Whether a step of the formula has no machine code."""
    return any(e.op in HOST for e in topological(expr))


def text(expr: Expr, names: Sequence[str] | None = None) -> str:
    """The expression as a line of text."""
    if expr.op == "input":
        return names[expr.value] if names is not None else f"x{expr.value}"
    if expr.op == "const":
        return repr(expr.value)
    args = [text(a, names) for a in expr.args]
    if expr.op == "cast":
        return f"{expr.dtype.short}({args[0]})"
    infix = PRIMITIVES[expr.op].infix
    if infix and len(args) == 2:
        return f"({args[0]} {infix} {args[1]})"
    return f"{expr.op}({', '.join(args)})"
