"""The other families: what their members needn't say.

A family answers the boring questions (types, derivative, NumPy execution) for all its members; how
a family becomes machine code is in `lowering/` and `kernels/`.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np

from argand.base.dim import Extent, Shape, is_less
from argand.base.dtype import DType, as_dtype, bool_, compute_dtype, from_numpy, int64
from argand.base.errors import EmptyError
from argand.base.shape import normalize_dims, numel, reduced_shape, shape_text
from argand.ir import scalar
from argand.ir.batching import convolved, drawn, pooled, together
from argand.ir.elementwise import lifted
from argand.ir.interpret import interpret
from argand.ir.op import Op, Params, Tensors, TensorType, ops
from argand.ir.record import record_body
from argand.ir.translation import Graph, UntranslatableError


@cache
def _primitive_of(combine: Callable[..., Any] | None) -> str:
    """The primitive that combines two values by a member's `combine`."""
    assert combine is not None
    return scalar.trace_body(combine, [bool_, bool_], bool_).op


class Reduce(Op):
    """One value from all values along `dim`: combine(... combine(identity, x0) ..., xn).

    A member states `identity(dtype)` (None when an empty reduction is an error),
    `combine(b, acc, x)` in the scalar language, `numpy` (called with axis and keepdims) and its
    adjoint.
    """

    abstract = True
    required = ("samples", "combine", "numpy")
    can_fail = False
    batched = together

    combine: ClassVar[Callable[..., Any] | None] = None
    numpy: ClassVar[Callable[..., Any] | None] = None
    # "same"; "wide": booleans and integers accumulate in int64; "bool"; "index": an int64 position
    accumulates: ClassVar[str] = "same"

    @staticmethod
    def identity(dtype: DType) -> Any:
        """The value that changes nothing, as a Python number; None when there is none."""
        return 0

    @property
    def primitive(self) -> str:
        """The name of the primitive that combines two values."""
        return _primitive_of(type(self).combine)

    @property
    def finds_position(self) -> bool:
        """Whether the result is where the combined value is found, not the value."""
        return self.accumulates == "index"

    def prepare(
        self, x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        x = lifted(x)
        target = self._operand_dtype(x.dtype) if dtype is None else as_dtype(dtype)
        if x.dtype is not target:
            x = ops.cast(x, target)
        dims = normalize_dims(None if dim == () else dim, len(x.shape), self.name)
        return (x,), {"dim": dims, "keepdim": bool(keepdim)}

    def _operand_dtype(self, dtype: DType) -> DType:
        if self.accumulates == "wide" and not dtype.is_inexact:
            return int64
        return bool_ if self.accumulates == "bool" else dtype

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,) = inputs
        dims = params["dim"]
        if self.identity(x.dtype) is None:
            for d in dims:
                if is_less(x.shape[d], 1):
                    raise EmptyError(
                        f"{self.name}: dimension {d} of shape {shape_text(x.shape)} is empty, "
                        "and the operation has no value for nothing"
                    )
        dtype = int64 if self.accumulates == "index" else x.dtype
        return (TensorType(dtype, reduced_shape(x.shape, dims, params["keepdim"])),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,) = arrays
        self.infer(array_type(x), **params)
        function = type(self).numpy
        assert function is not None
        with np.errstate(all="ignore"):
            y = function(x, axis=params["dim"], keepdims=params["keepdim"])
        return np.asarray(y, dtype=None if self.accumulates == "index" else x.dtype)

    def onnx(self, g: Graph, inputs: Tensors, params: Params) -> Any:
        if not self.onnx_name:
            return super().onnx(g, inputs, params)
        return g.reduce(self.onnx_name, inputs[0], params["dim"], params["keepdim"])

    @staticmethod
    def restore(g: Any, x: Any, params: dict[str, Any]) -> Any:
        """A value of the reduced shape, expanded to the shape of the input."""
        if not params["keepdim"]:
            kept = reduced_shape(x.shape, params["dim"], True)
            g = ops.reshape(g, kept)
        return ops.expand(g, x.shape)


class Move(Op):
    """y[index] = x[map(index)]: data moves, nothing is computed.

    A member states `infer`, `run`, `source(b, index, shape, params)` - the input's index for an
    output index, and a condition or None, written with `b`'s integer arithmetic; see
    `ops/move.py` - and its adjoint. One that only puts all elements in another order states
    `target`, the inverse of `source`: the output's index for an input index.
    """

    abstract = True
    required: ClassVar[tuple[str, ...]] = ("samples", "source", "infer", "run", "adjoint")
    dtypes = ("float32", "float64", "int64", "bool")
    can_fail = False
    batched = together

    source: ClassVar[Callable[..., Any] | None] = None
    target: ClassVar[Callable[..., Any] | None] = None
    # `source` gives one pair for each of several inputs
    several: ClassVar[bool] = False
    # Where no input reaches, the output is the parameter `value`.
    fills: ClassVar[bool] = False
    # An element of the input may be given several times.
    repeats: ClassVar[bool] = False

    def stores(self, params: dict[str, Any]) -> bool:
        return True

    def parts(
        self, shapes: Sequence[Sequence[int]], params: dict[str, Any]
    ) -> list[tuple[int, tuple[slice, ...]]] | None:
        """Inputs and the parts of the output that they are copied to in this order, which make up
        all of it; None where the move is no such copy."""
        return None

    def saves(self, params: dict[str, Any]) -> tuple[Sequence[int], Sequence[int]]:
        return (), ()


def listed(op: Op, inputs: Sequence[Any], params: Params) -> Any:
    """`as_call` of an op whose one parameter stands behind its operands."""
    return (*inputs, *params.values()), {}


class View(Move):
    """A move whose result is the memory of its input, read with other strides.

    A member states besides `view_strides(shape, strides, params)`: the offset of the result's first
    element and its strides, in elements, for an input of that shape and those strides; None where
    no strides do and the elements have to be copied. `run` gives a NumPy view where there is one.
    """

    abstract = True
    required: ClassVar[tuple[str, ...]] = (*Move.required, "view_strides")
    is_view = True

    view_strides: ClassVar[Callable[..., tuple[Extent, Shape] | None] | None] = None


class Window(Op):
    """A window that slides over images (N, C, H, W): convolution and pooling."""

    abstract = True
    required: ClassVar[tuple[str, ...]] = ("samples", "infer", "run", "adjoint")
    can_fail = False

    def reads_image(self, operand: int) -> bool:
        return True

    @property
    def gives_image(self) -> bool:
        return True


class Pool(Window):
    """One value of each window of each channel, and the gradients: all operands are images."""

    abstract = True
    batched = pooled


class Convolution(Window):
    """A trilinear form of images, weights and the convolution's results, with one taken out.

    A member states `roles`: of what kind its two operands and its result are, each "image",
    "weight" or "result". The results of a convolution are images too.
    """

    abstract = True
    required: ClassVar[tuple[str, ...]] = (*Window.required, "roles")
    is_contraction = True
    batched = convolved

    roles: ClassVar[tuple[str, str, str] | None] = None

    def reads_image(self, operand: int) -> bool:
        assert self.roles is not None
        return self.roles[operand] != "weight"

    @property
    def gives_image(self) -> bool:
        return self.reads_image(2)

    def multiply_adds(
        self, inputs: Sequence[Any], outputs: Sequence[Any], params: Params
    ) -> Extent:
        """Each element of the result is a sum over a window of the weight."""
        assert self.roles is not None
        shapes = dict(zip(self.roles, [x.shape for x in (*inputs, *outputs)], strict=True))
        found: Extent = numel((*shapes["result"], *shapes["weight"][1:]))
        return found

    def stored_order(self, operand: int) -> tuple[int, ...] | None:
        """A weight with the channels of the result innermost: they are a vector's lanes."""
        if self.reads_image(operand):
            return None
        assert self.roles is not None
        return (2, 3, 1, 0) if self.roles[2] == "result" else (2, 3, 0, 1)

    def reads_columns(self, operand: int, inputs: Sequence[Any], params: Params) -> bool:
        """The output channels of a convolution without groups."""
        forward = self.roles == ("image", "weight", "result")
        return operand == 1 and forward and params["groups"] == 1


class Gather(Op):
    """y[i] = x[index[i]]: reads at computed places. The first operand is x.

    A member states `source(index, look, shapes, params)`: the index in x of the output element at
    `index`, where ``look(n, i, size, wraps)`` is what operand n holds at i, a place below `size`
    (or from -size on, where it `wraps`).
    """

    abstract = True
    required = ("samples", "infer", "run", "adjoint", "source")

    source: ClassVar[Callable[..., Any] | None] = None

    def stores(self, params: dict[str, Any]) -> bool:
        return True

    def whole_rows(self, params: dict[str, Any]) -> tuple[int, bool] | None:
        """The one dimension of x along which the only index names rows, taken whole, and whether
        negative ones count from the end; None where the op reads otherwise."""
        return None


class Scatter(Op):
    """y = x with y[index[i]] set or added to: writes at computed places, in the order of i.

    The first operand is x, the one of number `values` what is written. A member states
    `target(index, look, shapes, params)`, the index in y for the element of the values at `index`,
    with `look` as in `Gather`; `collides(shapes, params)`, the dimensions of the values along which
    elements may meet in one place; and `adds(params)`, whether they are added up there.
    """

    abstract = True
    required = ("samples", "infer", "run", "adjoint", "values", "target", "collides", "adds")

    values: ClassVar[int | None] = None
    target: ClassVar[Callable[..., Any] | None] = None
    collides: ClassVar[Callable[..., Sequence[int]] | None] = None
    adds: ClassVar[Callable[..., bool] | None] = None

    def stores(self, params: dict[str, Any]) -> bool:
        adds = type(self).adds
        return adds is not None and not adds(params)


class Sort(Op):
    """Sorting and selection along the dimension `dim`; stable, NaN larger than any number.

    The outputs are values and where they were (int64). A member states `descends(params)`, whether
    the largest come first; `infer` says how many are kept.
    """

    abstract = True
    required = ("samples", "infer", "run", "adjoint", "descends")
    can_fail = False
    batched = together

    def descends(self, params: dict[str, Any]) -> bool:
        """Whether the largest come first."""
        raise NotImplementedError


class Scan(Op):
    """A running combination along one dimension: y[i] = combine(y[i - 1], x[i]).

    A member states `combine(b, acc, x)` in the scalar language.
    """

    abstract = True
    required = ("samples", "infer", "run", "adjoint", "combine")
    can_fail = False
    batched = together

    combine: ClassVar[Callable[..., Any] | None] = None

    @property
    def primitive(self) -> str:
        """The name of the primitive that combines two values."""
        return _primitive_of(type(self).combine)


class Random(Op):
    """Random numbers of a counter-based generator.

    A draw is a pure function of (key, ticket, element index): the input is the generator's state
    [key, ticket] as int64, so eager and compiled code draw the same numbers on any number of
    threads. A member states `element(b, key, ticket, i, params)`, the element at position i in
    row-major order, in the scalar language.
    """

    abstract = True
    required = ("samples", "infer", "run", "element")
    merges = False
    differentiable = False
    can_fail = False
    batched = drawn

    element: Callable[..., Any] | None = None

    def onnx(self, g: Graph, inputs: Tensors, params: Params) -> Any:
        raise no_draws()

    def saves(self, params: dict[str, Any]) -> tuple[Sequence[int], Sequence[int]]:
        return (), ()


def no_draws() -> UntranslatableError:
    """Why random draws have no place in another format."""
    return UntranslatableError(
        "it draws random numbers, and a file would draw others; export the module in eval() mode, "
        "or pass what is drawn as an input"
    )


class Create(Op):
    """A tensor made from parameters alone.

    A member whose elements differ states `progression(index, params)`: a number p linear in the
    index, a start and a step; the element is start + p * step. One whose elements are all the same
    states `constant(params)`.
    """

    abstract = True
    required = ("samples", "infer", "run")
    differentiable = False
    can_fail = False

    progression: ClassVar[Callable[..., tuple[Any, Any, Any]] | None] = None


class Checked(Op):
    """The operand as it is, in new memory, unless one of its elements is refused.

    A member states `refused(b, x)`, whether an element is, in the scalar language, and raises its
    error from `run`.
    """

    abstract = True
    required = ("samples", "run", "refused")
    differentiable = False
    batched = together

    refused: ClassVar[Callable[..., Any] | None] = None

    def onnx(self, g: Graph, inputs: Tensors, params: Params) -> Any:
        return inputs[0]  # ONNX has no way to refuse values

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,) = inputs
        return (TensorType(x.dtype, x.shape),)

    def saves(self, params: dict[str, Any]) -> tuple[Sequence[int], Sequence[int]]:
        return (), ()


class Control(Op):
    """Control flow with regions: each region is a Program over the operands."""

    abstract = True
    required = ("samples", "infer")

    # The vector-Jacobian product of a region, which `transform/graph.py` installs:
    # vjp(program, wrt, outputs) gives the Program of (inputs, cotangents) to the cotangents.
    vjp: ClassVar[Callable[..., Any] | None] = None

    def as_call(self, inputs: Any, params: Params) -> Any:
        return None


class Host(Op):
    """Computed by a NumPy routine also in compiled programs; `explain()` lists it."""

    abstract = True
    required: ClassVar[tuple[str, ...]] = ("samples", "infer", "run", "adjoint")


class Composite(Op):
    """A function of other ops that stays one node until the compiler places a kernel for it.

    A member states `body(x, ..., **params)` in terms of `ops`. With an `adjoint` of its own (and
    `run`, where NumPy can do better than the body op by op) it is one node of the tape; without,
    its body is recorded in its place wherever a gradient is needed. Where it `widens`, the body of
    16-bit floats runs in float32, so that its results are rounded once. Where it `opens`, it is one
    op in eager code only: programs hold its body, whose parts the compiler knows.
    """

    abstract = True
    required = ("samples", "body")
    widens: ClassVar[bool] = False
    opens: ClassVar[bool] = False
    # Eager results are in the order in which the operands are stored, not row-major.
    keeps_order: ClassVar[bool] = False

    body: ClassVar[Callable[..., Any] | None] = None

    @property
    def own_adjoint(self) -> bool:
        """Whether the member states a derivative of its own."""
        return type(self).adjoint is not Op.adjoint

    def apply_body(self, inputs: Sequence[Any], params: dict[str, Any]) -> tuple[Any, ...]:
        """The outputs through the current interpreter, op by op."""
        body = type(self).body
        assert body is not None
        narrow = self._narrow(inputs)
        if narrow is not None:
            inputs = [
                ops.cast(x, compute_dtype(narrow)) if x.dtype is narrow else x for x in inputs
            ]
        outputs = body(*inputs, **params)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        if narrow is not None:
            outputs = tuple(ops.cast(y, narrow) if y.dtype.is_inexact else y for y in outputs)
        return outputs

    def _narrow(self, inputs: Sequence[Any]) -> DType | None:
        """The one 16-bit dtype of all floats among the inputs, if the op widens it."""
        floats = {x.dtype for x in inputs if x.dtype.is_inexact} if self.widens else set()
        dtype = floats.pop() if len(floats) == 1 else None
        return None if dtype is None or compute_dtype(dtype) is dtype else dtype

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        program = record_body(self, inputs, params)
        return tuple(TensorType(o.dtype, o.shape) for o in program.outputs)

    def onnx(self, g: Graph, inputs: Tensors, params: Params) -> Any:
        types = [TensorType(x.dtype, x.shape) for x in inputs]
        return g.inline(record_body(self, types, params), inputs)

    def multiply_adds(
        self, inputs: Sequence[Any], outputs: Sequence[Any], params: Params
    ) -> Extent:
        """Those of the body's ops."""
        types = [TensorType(x.dtype, x.shape) for x in inputs]
        nodes = record_body(self, types, params).nodes
        counts = [n.op.multiply_adds(n.inputs, n.outputs, n.params) for n in nodes]
        return functools.reduce(operator.add, counts, 0)

    def run(self, *arrays: Any, **params: Any) -> Any:
        program = record_body(self, tuple(array_type(a) for a in arrays), params)
        outputs = interpret(program, arrays)
        return tuple(outputs) if len(outputs) > 1 else outputs[0]


def array_type(x: Any) -> TensorType:
    """The type of a NumPy array."""
    return TensorType(from_numpy(x.dtype), x.shape)
