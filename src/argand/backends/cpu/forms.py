"""The form in which an eager call becomes a kernel: which sizes and strides are arguments.

A form makes of concrete arrays a Program over symbolic sizes (sizes of 1 stay fixed: they mean
broadcasting), as small as possible: dimensions that are contiguous together are merged.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from argand.base.dim import Dim, Extent, Shape
from argand.base.dtype import from_numpy
from argand.base.errors import ShapeError
from argand.base.size_guards import Guards, collecting_guards
from argand.ir.bind import bind, interpreting
from argand.ir.families import Convolution
from argand.ir.op import Literal, Op, ops
from argand.ir.program import Program, Value, param_text
from argand.ir.record import Recorder
from argand.ops.attention import ScaledDotProductAttention
from argand.ops.contract import Linear, Matmul
from argand.ops.gather import Gather
from argand.ops.loss import CrossEntropy
from argand.ops.norm import BatchNorm, LayerNorm
from argand.ops.pooling import AvgPool2d, AvgPool2dGrad, MaxPool2d, MaxPool2dGrad
from argand.ops.reduce import Amax, Amin, Argmax, Argmin, Prod, Sum
from argand.ops.resample import MixBytes
from argand.ops.softmax import LogSoftmax, Logsumexp, Softmax
from argand.ops.sort import Cumsum, Sort, Topk
from argand.ops.sparse import SampledMatmul, SparseMatmul
from argand.ops.statistics import Mean, Var
from argand.ops.window import Conv2d, Conv2dInputGrad, Conv2dWeightGrad, conv_output

Arrays = Sequence[Any]
Params = dict[str, Any]
Form = Callable[[Op, Arrays, Params], "KernelCall | None"]

# Numbers that an op may treat in a way of its own (x ** 2), so they are part of the kernel.
_PLAIN = frozenset(("-1.0", "0.0", "0.5", "1.0", "2.0", "3.0"))


@dataclasses.dataclass(slots=True)
class KernelCall:
    """A call as a kernel sees it: the shapes and strides of its operands, with symbols.

    `literals` are operands that are part of the kernel; a 0-d array beside larger ones is spread.
    """

    op: Op
    dtypes: list[Any]
    shapes: list[Shape]
    strides: dict[int, Shape]
    params: Params
    sizes: dict[str, int]
    literals: dict[int, Literal]

    @property
    def key(self) -> str:
        """Equal for calls that one kernel serves."""
        params = ", ".join(f"{k}={param_text(v)}" for k, v in self.params.items())
        parts = (self.op.name, self.dtypes, self.shapes, self.strides, params, self.literals)
        return repr(parts)

    def program(self, guards: Guards) -> Program:
        """The program of the call; facts about sizes that it relies on go to `guards`."""
        program = Program(self.op.name)
        operands: list[Any] = []
        full = max(self.shapes, key=len)
        for i, (dtype, shape) in enumerate(zip(self.dtypes, self.shapes, strict=True)):
            value = Value(dtype, shape, f"x{i}")
            program.inputs.append(value)
            operands.append(self.literals.get(i, value))
        with collecting_guards(guards), interpreting(Recorder(program)):
            if self.literals or any(not s for s in self.shapes):
                operands = [
                    ops.expand(o, full) if isinstance(o, Value) and not o.shape and full else o
                    for o in operands
                ]
            program.outputs = list(bind(self.op, tuple(operands), self.params))
        return program


class Sizes:
    """Gives symbols to sizes: the same name for the same symbol, 1 stays 1."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}

    def size(self, name: str, actual: int) -> Extent:
        """The symbol of a size."""
        return 1 if actual == 1 else self.any_size(name, actual)

    def any_size(self, name: str, actual: int) -> Dim:
        """The symbol of a size for a kernel to which 1 is a size as any other."""
        if self.values.setdefault(name, actual) != actual:
            raise ShapeError(f"size {name} is both {self.values[name]} and {actual}")
        return Dim.symbol(name, actual)

    def stride(self, name: str, actual: int) -> Extent:
        """A stride in elements: 0 and 1 are fixed, since kernels differ by them."""
        if actual in (0, 1):
            return actual
        self.values[name] = actual
        return Dim.symbol(name, actual)


def plain_value(a: Any) -> str | None:
    """The number in a 0-d array if kernels are made for it, as text (which tells -0.0 from 0.0)."""
    if a.ndim or a.dtype.kind not in "iuf":
        return None
    text = str(float(a))
    return text if text in _PLAIN else None


def dense(*arrays: Any) -> bool:
    """Whether all arrays are row-major."""
    return all(a.flags.c_contiguous for a in arrays)


def dtypes_of(arrays: Arrays) -> list[Any]:
    """Their dtypes."""
    return [from_numpy(a.dtype) for a in arrays]


def element_strides(a: Any) -> tuple[int, ...] | None:
    """Strides in elements; None when they are negative or not whole."""
    if a.flags.c_contiguous:
        return row_major(a.shape)
    steps = [0 if n == 1 else s for n, s in zip(a.shape, a.strides, strict=True)]
    if any(s < 0 or s % a.itemsize for s in steps):
        return None
    return tuple([s // a.itemsize for s in steps])


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides in elements of an array of this shape without gaps."""
    return tuple([math.prod(shape[d + 1 :]) for d in range(len(shape))])


# -- elementwise -----------------------------------------------------------------------------------


def elementwise_form(op: Op, arrays: Arrays, params: Params) -> KernelCall | None:
    """Any elementwise op: dimensions merged where all operands allow it."""
    shape = max((a.shape for a in arrays), key=len)
    if any(a.shape not in (shape, ()) for a in arrays):
        return None
    sizes = Sizes()
    literals = {
        i: Literal(from_numpy(a.dtype), a.item())
        for i, a in enumerate(arrays)
        if shape and plain_value(a) is not None
    }
    given = [element_strides(a) if a.shape else (0,) * len(shape) for a in arrays]
    if any(s is None for s in given):
        return None
    merged, strides = merge_dims(shape, [s for s in given if s is not None])
    if len(merged) > 3:
        return None
    symbols = tuple(sizes.size(f"n{d}", n) for d, n in enumerate(merged))
    if merged == (1,):  # no kernel of its own: nothing broadcasts in one dimension
        symbols = (sizes.any_size("n0", 1),)
    call = KernelCall(op, dtypes_of(arrays), [], {}, params, sizes.values, literals)
    for i, a in enumerate(arrays):
        call.shapes.append(symbols if a.shape or not shape else ())
        if a.shape and strides[i] != row_major(merged):
            found = (sizes.stride(f"s{i}_{d}", s) for d, s in enumerate(strides[i]))
            call.strides[i] = tuple(found)
    return call


def merge_dims(
    shape: Sequence[int], strides: Sequence[Sequence[int]]
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """The fewest dimensions over which all operands, and a dense result, can be looped over.

    >>> merge_dims((2, 3, 4), [(12, 4, 1), (0, 0, 1)])
    ((6, 4), [(4, 1), (0, 1)])
    """
    sizes: list[int] = []
    steps: list[list[int]] = []
    for d, size in enumerate(shape):
        if size == 1:
            continue
        step = [s[d] for s in strides]
        if sizes and all(last == now * size for last, now in zip(steps[-1], step, strict=True)):
            sizes[-1] *= size
            steps[-1] = step
        else:
            sizes.append(size)
            steps.append(step)
    if not sizes:
        sizes, steps = [1], [[1] * len(strides)]
    return tuple(sizes), [tuple(w[i] for w in steps) for i in range(len(strides))]


# -- reductions and rows ---------------------------------------------------------------------------


def reduce_form(op: Op, arrays: Arrays, params: Params) -> KernelCall | None:
    """A reduction of a dense array. Neighbouring dimensions that are all kept, or all reduced, are
    one; the first ones are a batch's, of which 1 is a size as any other."""
    (x,) = arrays
    reduced = set(params["dim"])
    if not reduced or not dense(x):
        return None
    runs = itertools.groupby(range(x.ndim), reduced.__contains__)
    whole = [(inside, math.prod(x.shape[d] for d in dims)) for inside, dims in runs]
    kept = [whole[0], *((inside, size) for inside, size in whole[1:] if inside or size != 1)]
    sizes = Sizes()
    batch = sizes.size if kept[0][0] else sizes.any_size
    shape = tuple((sizes.size if d else batch)(f"n{d}", size) for d, (_, size) in enumerate(kept))
    dims = tuple(d for d, (inside, _) in enumerate(kept) if inside)
    inner = {**params, "dim": dims, "keepdim": False}
    return KernelCall(op, dtypes_of(arrays), [shape], {}, inner, sizes.values, {})


def softmax_form(op: Op, arrays: Arrays, params: Params) -> KernelCall | None:
    """Along the last dimension of a dense array."""
    (x,) = arrays
    if x.ndim == 0 or params["dim"] != x.ndim - 1 or not dense(x):
        return None
    sizes = Sizes()
    shape = (sizes.any_size("r", x.size // x.shape[-1]), sizes.size("c", x.shape[-1]))
    return KernelCall(op, dtypes_of(arrays), [shape], {}, {**params, "dim": 1}, sizes.values, {})


def layer_norm_form(op: Op, arrays: Arrays, params: Params) -> KernelCall | None:
    """Over the trailing dimensions of a dense array."""
    x = arrays[0]
    if not dense(*arrays):
        return None
    count = math.prod(params["normalized_shape"])
    sizes = Sizes()
    row = (sizes.size("c", count),)
    shapes = [(sizes.any_size("r", x.size // count), *row), *[row for _ in arrays[1:]]]
    inner = {**params, "normalized_shape": row}
    return KernelCall(op, dtypes_of(arrays), shapes, {}, inner, sizes.values, {})


def template(*shapes: str, **renamed: str) -> Form:
    """A form of arrays of any strides: a letter names the symbol of each dimension.

    For a capital 1 is a size as any other; ``#`` keeps a size fixed. `renamed` gives parameters
    that hold sizes the same way. Arrays beyond the given shapes have the last one's; there may be
    fewer, too.
    """

    def form(op: Op, arrays: Arrays, params: Params) -> KernelCall | None:
        given = [*shapes, *[shapes[-1]] * (len(arrays) - len(shapes))][: len(arrays)]
        if [a.ndim for a in arrays] != [len(s) for s in given]:
            return None
        sizes = Sizes()
        symbols = [_named(sizes, s, a.shape) for s, a in zip(given, arrays, strict=True)]
        inner = {**params, **{k: _named(sizes, s, params[k]) for k, s in renamed.items()}}
        call = KernelCall(op, dtypes_of(arrays), symbols, {}, inner, sizes.values, {})
        for i, a in enumerate(arrays):
            if a.flags.c_contiguous:
                continue
            steps = element_strides(a)
            if steps is None:
                return None
            call.strides[i] = tuple(sizes.stride(f"s{i}_{d}", s) for d, s in enumerate(steps))
        return call

    return form


def _named(sizes: Sizes, names: str, shape: Sequence[int]) -> Shape:
    pairs = zip(names, shape, strict=True)
    return tuple(
        size if n == "#" else (sizes.any_size if n.isupper() else sizes.size)(n.lower(), size)
        for n, size in pairs
    )


def row_major_only(form: Form) -> Form:
    """A form for dense arrays: where rows are added up in an order that follows their memory."""
    return lambda op, arrays, params: form(op, arrays, params) if dense(*arrays) else None


def convolution_form(op: Op, arrays: Arrays, params: Params) -> KernelCall | None:
    """A convolution or a gradient of one, of dense arrays. Windows are fixed; channels are symbols
    when there is one group."""
    if not dense(*arrays) or any(a.ndim != 4 for a in arrays):
        return None
    assert isinstance(op, Convolution) and op.roles is not None
    sizes = Sizes()
    given = {role: a.shape for role, a in zip(op.roles, arrays, strict=False)}
    image, weight, result = (given.get(role) for role in ("image", "weight", "result"))
    groups = params["groups"]
    plane = params["size"] if image is None else image[2:]
    size = tuple(sizes.size(n, s) for n, s in zip("hw", plane, strict=True))
    kernel = params["kernel"] if weight is None else weight[2:]

    def channels(letter: str, actual: int) -> Extent:
        return sizes.size(letter, actual) if groups == 1 else actual

    batch = sizes.size("n", arrays[0].shape[0])
    inside = channels("c", given["weight"][1] * groups if image is None else image[1])
    outside = channels("o", given["weight"][0] if result is None else result[1])
    found = {
        "image": (batch, inside, *size),
        "weight": (outside, inside if groups == 1 else inside // groups, *kernel),
        "result": (batch, outside, *conv_output(op.name, size, kernel, params)),
    }
    inner = {**params, "size": size} if "size" in params else params
    shapes = [found[role] for role in op.roles[:2]]
    return KernelCall(op, dtypes_of(arrays), shapes, {}, inner, sizes.values, {})


def along_form(op: Op, arrays: Arrays, params: Params) -> KernelCall | None:
    """Along one dimension of dense arrays, whose other sizes agree: what is before it is one
    dimension, and what is behind it."""
    if not arrays[0].ndim or not dense(*arrays):
        return None
    at, sizes = params["dim"], Sizes()
    shapes: list[Shape] = []
    if len({(*a.shape[:at], *a.shape[at + 1 :]) for a in arrays}) > 1:
        return None
    for i, a in enumerate(arrays):
        outer = sizes.any_size("o", math.prod(a.shape[:at]))
        inner = sizes.size("i", math.prod(a.shape[at + 1 :]))
        shapes.append((outer, sizes.size(f"n{i}", a.shape[at]), inner))
    inner_params = {**params, "dim": 1}
    return KernelCall(op, dtypes_of(arrays), shapes, {}, inner_params, sizes.values, {})


def mixing_form(op: Op, arrays: Arrays, params: Params) -> KernelCall | None:
    """A dense array mixed along one dimension, by matrices of places and of weights, of so many
    rows."""
    x, matrix = arrays[:2]
    if not dense(*arrays):
        return None
    at, sizes = params["dim"], Sizes()
    lead, behind = math.prod(x.shape[:at]), math.prod(x.shape[at + 1 :])
    image = (sizes.any_size("o", lead), sizes.any_size("n", x.shape[at]), sizes.size("i", behind))
    taps, new = matrix.shape
    places = (taps, sizes.any_size("m", new))
    shapes: list[Shape] = [image, places, places, (1,)]
    return KernelCall(op, dtypes_of(arrays), shapes, {}, {"dim": 1}, sizes.values, {})


# -- products --------------------------------------------------------------------------------------


def attention_form(op: Op, arrays: Arrays, params: Params) -> KernelCall | None:
    """Heads of known size, any number of batch dimensions, a mask that broadcasts."""
    batch = "abcdefgh"[: arrays[0].ndim - 2]
    masks = [(batch + "ls")[-a.ndim :] for a in arrays[3:]]
    shapes = [batch + "l#", batch + "s#", batch + "s#", *masks]
    return template(*shapes)(op, arrays, params)


def matmul_form(op: Op, arrays: Arrays, params: Params) -> KernelCall | None:
    """Matrices, or batches of them in one dimension, of any strides."""
    a, b = arrays
    if not from_numpy(a.dtype).is_floating_point:
        return None
    given = [element_strides(a), element_strides(b)]
    if given[0] is None or given[1] is None:
        return None
    sizes = Sizes()
    batch: Shape = ()
    outer = [s[:-2] for s in given if s is not None]
    if a.ndim > 2:
        merged, outer = merge_dims(a.shape[:-2], outer)
        if len(merged) > 1:
            return None
        batch = (sizes.size("batch", merged[0]),)
    m, k = (sizes.size(n, s) for n, s in zip("mk", a.shape[-2:], strict=True))
    n = sizes.size("n", b.shape[-1])
    call = KernelCall(
        op, dtypes_of(arrays), [(*batch, m, k), (*batch, k, n)], {}, params, sizes.values, {}
    )
    for i, (x, first) in enumerate(zip(arrays, outer, strict=True)):
        inner = given[i]
        assert inner is not None
        if x.flags.c_contiguous and (not batch or 0 not in first):
            continue
        steps = [*(first if batch else ()), *inner[-2:]]
        call.strides[i] = tuple(sizes.stride(f"s{i}_{d}", s) for d, s in enumerate(steps))
    return call


def linear_form(op: Op, arrays: Arrays, params: Params) -> KernelCall | None:
    """Rows of a dense array, a matrix of any strides, and a dense bias."""
    x, weight, *bias = arrays
    steps = element_strides(weight)
    if not from_numpy(x.dtype).is_floating_point or not dense(x, *bias) or steps is None:
        return None
    sizes = Sizes()
    n, k = (sizes.size(c, s) for c, s in zip("nk", weight.shape, strict=True))
    rows = sizes.size("m", x.size // x.shape[-1])
    shapes: list[Shape] = [(rows, k), (n, k), *[(n,) for _ in bias]]
    call = KernelCall(op, dtypes_of(arrays), shapes, {}, params, sizes.values, {})
    if not weight.flags.c_contiguous:
        call.strides[1] = tuple(sizes.stride(f"s{d}", s) for d, s in enumerate(steps))
    return call


_ROWS: Mapping[type[Op], Form] = {
    Softmax: softmax_form,
    LogSoftmax: softmax_form,
    LayerNorm: layer_norm_form,
    CrossEntropy: row_major_only(template("Rc", "R")),
    BatchNorm: template("nchw", "c"),
}
_REDUCTIONS = (Sum, Prod, Amax, Amin, Argmax, Argmin, Mean, Var, Logsumexp)
_IMAGES: Mapping[type[Op], Form] = {
    Conv2d: convolution_form,
    Conv2dInputGrad: convolution_form,
    Conv2dWeightGrad: convolution_form,
    MaxPool2d: template("nchw"),
    MaxPool2dGrad: template("ncpq", "ncpq", size="hw"),
    AvgPool2d: template("nchw"),
    AvgPool2dGrad: template("ncpq", size="hw"),
}

FORMS: Mapping[type[Op], Form] = {
    Matmul: matmul_form,
    Linear: linear_form,
    **_ROWS,
    **_IMAGES,
    **dict.fromkeys(_REDUCTIONS, reduce_form),
    ScaledDotProductAttention: attention_form,
    SparseMatmul: row_major_only(template("E", "Ck", "E", "E", count="R")),
    SampledMatmul: row_major_only(template("Rk", "Ck", "E", "E")),
    MixBytes: mixing_form,
    Gather: along_form,
    Cumsum: along_form,
    Sort: along_form,
    Topk: along_form,
}
"""The ops that have kernels of their own, by class; all elementwise ops come beside them."""
