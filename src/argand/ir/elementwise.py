"""The elementwise family: dtype, shape, derivative and NumPy execution from one formula."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from argand.base.dim import Dim
from argand.base.dtype import (
    SCALAR,
    TENSOR,
    ZERO_DIM,
    DType,
    bool_,
    compute_dtype,
    float64,
    from_numpy,
    get_default_dtype,
    int64,
    of_scalar,
    result_type,
    uint64,
)
from argand.base.errors import DTypeError, ShapeError
from argand.base.shape import Shape, broadcast_shapes, same_shape
from argand.ir import scalar
from argand.ir.batching import together
from argand.ir.bind import current
from argand.ir.op import (
    Literal,
    Op,
    Params,
    Saves,
    Tensors,
    TensorType,
    Wants,
    describe,
    only_stored,
    ops,
)
from argand.ir.operators import Operators
from argand.ir.scalar import Expr
from argand.ir.translation import Graph

_NUMBERS = (bool, int, float, complex, np.number, np.bool_, Dim)


def is_number(x: Any) -> bool:
    """Whether an operand is a Python or NumPy scalar, or a symbolic size."""
    return isinstance(x, _NUMBERS)


def is_number_one(x: Any) -> bool:
    """Whether an operand is the number 1, by which nothing needs to be multiplied."""
    return is_number(x) and bool(x == 1)


def lifted(x: Any) -> Any:
    """A tensor-like operand as it is; anything else (a NumPy array) through the interpreter."""
    if isinstance(x, Operators) or (hasattr(x, "dtype") and type(x.dtype) is DType):
        return x
    return current().lift(x)


class Elementwise(Op):
    """y[i] = body(x0[i], x1[i], ...).

    A member states `body(b, x, ...)` (see `ir/scalar.py`) and its sample domain. Optionally:
    `ufunc`, the NumPy function to use eagerly; `promotion`: ``"float"`` computes integers in the
    default float dtype, ``"bool"`` gives booleans; `kinds`, the kinds of dtype that it is defined
    for; `defaults` for trailing scalar operands; `partials(b, g, y, *x)`, a stabler derivative
    than the derived one; what algebra knows of it: `swapped`, `involution`, `neutral(dtype)`.
    """

    abstract = True
    can_fail = False
    follows_layout = True
    required: ClassVar[tuple[str, ...]] = ("samples", "body")

    body: ClassVar[Callable[..., Any] | None] = None
    ufunc: ClassVar[Callable[..., Any] | None] = None
    partials: ClassVar[Callable[..., Sequence[Any]] | None] = None
    promotion: ClassVar[str] = "same"
    kinds: ClassVar[str] = "buifc"  # and s, where float8 is moved or compared
    defaults: ClassVar[dict[str, Any]] = {}
    checks_values: ClassVar[bool] = False  # whether operands may be refused for their values
    conditions: ClassVar[int] = 0  # how many leading operands are booleans
    # The op that computes the same from swapped operands: its own name where it commutes.
    swapped: ClassVar[str] = ""
    # Whether numbers beside 16-bit floats are operands in float32, as it is computed, unrounded.
    wide_numbers: bool = False
    # Whether finite numbers beyond the range of a float dtype are refused; else they are infinite.
    checks_range: ClassVar[bool] = False
    # Numbers alone are taken too, the first as a 0-d tensor.
    takes_numbers: ClassVar[bool] = False
    # Of a whole number beyond the range of the dtype the last bits count.
    takes_bits: ClassVar[bool] = False
    involution: ClassVar[bool] = False  # applied twice, it gives its operand
    batched = together
    onnx_broadcasts = True

    @property
    def operands(self) -> tuple[str, ...]:
        """The names of the operands, from the body's signature."""
        cls: Any = type(self)
        return _operand_names(cls)

    @property
    def __signature__(self) -> inspect.Signature:
        found = super().__signature__
        if set(found.parameters) != {"args", "kwargs"}:
            return found
        of, empty = inspect.Parameter, inspect.Parameter.empty
        return inspect.Signature(
            [
                of(n, of.POSITIONAL_OR_KEYWORD, default=self.defaults.get(n, empty))
                for n in self.operands
            ]
        )

    def prepare(self, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        values = self._arguments(args, kwargs)
        values = [v if is_number(v) else lifted(v) for v in values]
        if all(is_number(v) for v in values):
            if not self.takes_numbers:
                raise TypeError(f"{self.name}: expected a Tensor, got only numbers")
            values[0] = ops.full((), values[0], _category(values[0])[0])
        values = self._convert(values)
        shapes = [v.shape for v in values if not isinstance(v, Literal)]
        shape = shapes[0]
        if not all(same_shape(s, shape) for s in shapes[1:]):
            shape = broadcast_shapes(*shapes, op=self.name)
            values = [_expanded(v, shape) for v in values]
        return tuple(values), {}

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        names = self.operands
        if len(args) > len(names):
            raise TypeError(f"{self.name} takes {len(names)} operands, got {len(args)}")
        values = dict(zip(names, args, strict=False))
        unknown = [k for k in kwargs if k not in names or k in values]
        if unknown:
            raise TypeError(f"{self.name}: unexpected argument {unknown[0]!r}")
        values |= kwargs
        missing = [n for n in names if n not in values and n not in self.defaults]
        if missing:
            raise TypeError(f"{self.name}: missing operand {missing[0]!r}")
        return [values.get(n, self.defaults.get(n)) for n in names]

    def _convert(self, values: list[Any]) -> list[Any]:
        """Promote: casts become explicit, numbers become literals."""
        dtype = self._common_dtype(values[self.conditions :])
        wanted = self.operand_dtypes(dtype)
        if self.wide_numbers and compute_dtype(dtype) is not dtype:
            numbers = [is_number(v) or (v.dtype is not dtype and not v.shape) for v in values]
            if not all(numbers):
                wanted = [
                    compute_dtype(d) if n else d for d, n in zip(wanted, numbers, strict=True)
                ]
        return [_converted(self, v, d) for v, d in zip(values, wanted, strict=True)]

    def _common_dtype(self, values: Sequence[Any]) -> DType:
        dtype = common_dtype(*values)
        if self.conditions and dtype.kind == "f" and all(map(is_plain_number, values)):
            return get_default_dtype()  # numbers chosen by a tensor are no numbers any more
        # a default of 1.0 must not make floats of booleans
        given = common_dtype(*values[: -len(self.defaults)]) if self.defaults else dtype
        if given.kind == "s" and "s" not in self.kinds:
            raise only_stored(self.name, given)
        if given.kind not in self.kinds:
            raise DTypeError(f"{self.name}: not defined for {given.name}")
        if self.promotion == "float" and not dtype.is_inexact:
            return float64 if _are_replaced_numbers(values) else get_default_dtype()
        unfit = [v for v in values if not scalar.fits(v, dtype)] if self.promotion == "bool" else ()
        if not unfit:
            return dtype
        if dtype.kind == "s" or (dtype is uint64 and all(v < 0 for v in unfit)):
            return float64  # beyond all, whatever they are rounded to
        return int64  # a uint8 isn't -1

    def stores(self, params: Params) -> bool:
        return True  # `kinds` says which

    def operand_dtypes(self, dtype: DType) -> list[DType]:
        """The dtype of each operand when the common one is `dtype`."""
        count = len(self.operands)
        return [bool_] * self.conditions + [dtype] * (count - self.conditions)

    def result_dtype(self, dtype: DType) -> DType:
        """The dtype of the output when the operands' common one is `dtype`."""
        return bool_ if self.promotion == "bool" else dtype

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        shapes = [t.shape for t in inputs if not isinstance(t, Literal)]
        if any(not same_shape(s, shapes[0]) for s in shapes[1:]):
            raise ShapeError(f"{self.name}: operands must have one shape, got {describe(*inputs)}")
        dtype = operand_dtype([t.dtype for t in inputs])
        return (TensorType(self.result_dtype(dtype), shapes[0]),)

    def expression(self, dtype: DType) -> Expr:
        """The scalar expression for the common operand dtype."""
        return _expression(self, dtype)

    def node_expression(self, inputs: Sequence[TensorType], params: dict[str, Any]) -> Expr:
        """The scalar expression of one application; what the compiler and the cost model read."""
        return self.expression(operand_dtype([t.dtype for t in inputs]))

    def on_host(self, inputs: Sequence[Any], params: dict[str, Any]) -> bool:
        return scalar.on_host(self.node_expression(inputs, params))

    def onnx(self, g: Graph, inputs: Tensors, params: Params) -> Any:
        if self.onnx_name:
            return g.op(self.onnx_name, *inputs)
        return g.formula(self.node_expression(inputs, params), inputs)

    def neutral(self, dtype: DType) -> Any:
        """The number that as last operand changes no first operand, not even the sign of a zero;
        None where there is none."""
        return None

    def exact(self, dtype: DType) -> bool:
        """Whether NumPy and native code find the same bits; see `scalar.exact`."""
        return scalar.exact(self.expression(dtype))

    def run(self, *arrays: Any, **params: Any) -> Any:
        dtype = operand_dtype([from_numpy(np.asarray(a).dtype) for a in arrays])
        ufunc = type(self).ufunc
        if ufunc is not None and compute_dtype(dtype) is dtype:
            with np.errstate(all="ignore"):
                return ufunc(*arrays)
        return scalar.evaluate(self.expression(dtype), arrays)

    def adjoint(self, grads: Tensors, inputs: Tensors, outputs: Tensors, params: Params) -> Tensors:
        return self.adjoint_for((True,) * len(inputs), grads, inputs, outputs, params)

    def adjoint_for(
        self, wants: Wants, grads: Tensors, inputs: Tensors, outputs: Tensors, params: Params
    ) -> Tensors:
        g = grads[0]
        sources = [*inputs, g, outputs[0]]
        results: list[Any] = [None] * len(inputs)
        for i, call in enumerate(_adjoint_calls(self, g.dtype)):
            if wants[i] and type(inputs[i]) is not Literal:
                found = _zeros(inputs[i]) if call is None else _called(call, sources)
                wide = found is not None and found.dtype is not inputs[i].dtype
                results[i] = ops.cast(found, inputs[i].dtype) if wide else found
        return results

    def saves(self, params: dict[str, Any]) -> tuple[Sequence[int], Sequence[int]]:
        return _saved(self, (True,) * len(self.operands))

    def saves_for(self, wants: Wants, params: Params) -> Saves:
        return _saved(self, tuple(wants))

    def derive(self, part: str) -> Op | None:
        """The derived op ``name.d<i>``: the cotangent of operand i."""
        if not part.startswith("d") or not part[1:].isdigit():
            return None
        i = int(part[1:])
        rules = _adjoint_rules(self, get_default_dtype())
        return DerivedElementwise(self, i) if i < len(rules) and rules[i] is not None else None


_SIMPLE = {"mul": "mul", "div": "div", "neg": "neg", "where": "where"}


class DerivedElementwise(Elementwise):
    """The cotangent of one operand of an elementwise op; itself elementwise, to any order."""

    abstract = True

    def __init__(self, base: Elementwise, i: int) -> None:
        self.base = base
        self.i = i
        self.name = f"{base.name}.d{i}"  # type: ignore[misc]  # the one op named by its instance
        rule = _adjoint_rules(base, get_default_dtype())[i]
        assert rule is not None
        self.numbers: tuple[int, ...] = rule[1]
        self.wide_numbers = base.wide_numbers
        count = len(base.operands)
        order = self.name.count(".")
        names = [*base.operands, f"grad{order}", f"output{order}"]
        self._operands = tuple(names[n] for n in self.numbers)
        self._boolean = [n < base.conditions for n in self.numbers]
        assert self.numbers[-1] < count + 2

    @property
    def operands(self) -> tuple[str, ...]:
        return self._operands

    def operand_dtypes(self, dtype: DType) -> list[DType]:
        return [bool_ if b else dtype for b in self._boolean]

    def expression(self, dtype: DType) -> Expr:
        rule = _adjoint_rules(self.base, dtype)[self.i]
        assert rule is not None
        return scalar.renumber(rule[0], self.numbers)


@cache
def _operand_names(cls: type[Elementwise]) -> tuple[str, ...]:
    assert cls.body is not None
    return tuple(inspect.signature(cls.body).parameters)[1:]


@cache
def _expression(op: Elementwise, dtype: DType) -> Expr:
    body = type(op).body
    assert body is not None
    return scalar.trace_body(body, op.operand_dtypes(dtype), op.result_dtype(dtype))


@cache
def _adjoint_rules(
    op: Elementwise, dtype: DType
) -> tuple[tuple[Expr, tuple[int, ...]] | None, ...]:
    """For each operand: the derivative's expression and the numbers that it reads, or None.

    Numbers below n are operands, n is the cotangent, n + 1 the output.
    """
    count = len(op.operands)
    expression = op.expression(dtype)
    if not expression.dtype.is_inexact:
        return (None,) * count
    partials = type(op).partials
    if partials is not None:
        found = _stated_partials(op, partials, dtype)
    else:
        found = scalar.adjoint(expression, range(count), count)
    return tuple(None if e is None else (e, tuple(sorted(scalar.inputs_used(e)))) for e in found)


def _stated_partials(
    op: Elementwise, partials: Callable[..., Sequence[Any]], dtype: DType
) -> list[Expr | None]:
    dtypes = [*op.operand_dtypes(dtype), dtype, dtype]
    *inputs, g, y = [
        scalar.cast(scalar.scalar_input(i, d), compute_dtype(d)) for i, d in enumerate(dtypes)
    ]
    found = partials(scalar.BUILDER, g, y, *inputs)
    return [e if e is None else scalar.as_result(e, dtype) for e in found]


class _Constant(NamedTuple):
    """A constant among the operands of a cotangent's op."""

    value: Any


# How to compute a cotangent: an op (None: the first operand as it is) and its operands, each the
# number of a source or a constant.
_Call = tuple[Op | None, tuple[int | _Constant, ...]]


@cache
def _adjoint_calls(op: Elementwise, dtype: DType) -> tuple[_Call | None, ...]:
    rules = _adjoint_rules(op, dtype)
    return tuple(None if r is None else _adjoint_call(op, i, r[0]) for i, r in enumerate(rules))


def _adjoint_call(op: Elementwise, i: int, expression: Expr) -> _Call:
    """The simplest op for a derivative: the cotangent itself, one op, or the derived op."""
    if expression.op == "input":
        return None, (expression.value,)
    simple = _SIMPLE.get(expression.op)
    if simple is not None and all(a.op in ("input", "const") for a in expression.args):
        args = expression.args
        operands = tuple(a.value if a.op == "input" else _Constant(a.value) for a in args)
        if any(type(o) is int for o in operands):
            return getattr(ops, simple), operands
    derived = getattr(ops, f"{op.name}.d{i}")
    return derived, derived.numbers


def _zeros(x: Any) -> Any:
    """The cotangent of an operand on which the result depends in steps; None of an integer."""
    return ops.full(tuple(x.shape), 0, x.dtype) if x.dtype.is_inexact else None


def _called(call: _Call, sources: Sequence[Any]) -> Any:
    op, operands = call
    if op is None:
        return sources[operands[0]]  # type: ignore[index]  # never a constant
    values = []
    for o in operands:
        v = sources[o] if type(o) is int else o
        values.append(v.value if type(v) is Literal or type(v) is _Constant else v)
    return op(*values)


@cache
def _saved(op: Elementwise, wants: tuple[bool, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    count = len(op.operands)
    used: set[int] = set()
    for rule, want in zip(_adjoint_rules(op, get_default_dtype()), wants, strict=True):
        if rule is not None and want:
            used |= set(rule[1])
    return tuple(sorted(n for n in used if n < count)), ((0,) if count + 1 in used else ())


def _category(v: Any) -> tuple[DType, int]:
    if is_number(v):
        return (int64 if isinstance(v, Dim) else of_scalar(v)), SCALAR
    if getattr(v, "weak", False):
        return (get_default_dtype() if v.dtype.kind == "f" else v.dtype), SCALAR
    return v.dtype, TENSOR if len(v.shape) else ZERO_DIM


def is_plain_number(v: Any) -> bool:
    """Whether an operand is a number, or replaces one while a function is traced."""
    return is_number(v) or getattr(v, "weak", False)


def common_dtype(*values: Any) -> DType:
    """The dtype that tensors and numbers are promoted to."""
    if _are_replaced_numbers(values):  # among themselves, as Python computes
        kinds = {_category(v)[0].kind for v in values}
        return float64 if "f" in kinds else int64 if "i" in kinds else bool_
    return result_type(*[_category(v) for v in values])


def _are_replaced_numbers(values: Sequence[Any]) -> bool:
    """Whether operands are numbers alone, and some of them traced."""
    weak = any(getattr(v, "weak", False) for v in values)
    return weak and all(map(is_plain_number, values))


def rounded_once(formula: Callable[..., Any], *operands: Any) -> Any:
    """formula(*operands) of tensors and numbers, with 16-bit floats computed in float32: rounded
    once, as if the formula were one op."""
    dtype = common_dtype(*operands)
    wide = compute_dtype(dtype)
    if wide is dtype:
        return formula(*operands)
    given = [x if is_number(x) else ops.cast(x, wide) for x in operands]
    return ops.cast(formula(*given), dtype)


def operand_dtype(dtypes: Sequence[DType]) -> DType:
    """The common dtype of operands: the 16-bit float, beside which numbers may be float32; where
    there is none, that of the last one (the first may be a condition)."""
    for dtype in dtypes:
        if compute_dtype(dtype) is not dtype:
            return dtype
    return dtypes[-1]


def _converted(op: Elementwise, v: Any, dtype: DType) -> Any:
    if isinstance(v, Dim):
        return ops.full((), v, dtype)
    if is_number(v):
        v = scalar.last_bits(v, dtype) if op.takes_bits else v
        return Literal(dtype, scalar.operand(op.name, v, dtype, overflows=not op.checks_range))
    if isinstance(v, Literal):
        return Literal(dtype, scalar.const(v.value, dtype).value)
    return v if v.dtype is dtype else ops.cast(v, dtype)


def _expanded(v: Any, shape: Shape) -> Any:
    if isinstance(v, Literal) or same_shape(v.shape, shape):
        return v
    return ops.expand(v, shape)
