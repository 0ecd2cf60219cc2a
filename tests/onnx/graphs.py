"""Random ONNX graphs: ops with random attributes on values of random dtypes and shapes.

A size is a number, or "n", which varies from call to call. A value is exact where its elements have
the same bits whoever computes them; ops that jump (rounding, comparisons, places) are drawn for
those only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

N = "n"
Shape = tuple[Any, ...]
FLOATS = ("float32", "float64")
INTS = ("int64", "int32")


@dataclasses.dataclass(frozen=True)
class Value:
    """A tensor of the graph."""

    name: str
    dtype: str
    shape: Shape
    exact: bool

    @property
    def rank(self) -> int:
        return len(self.shape)


class Grown:
    """A graph that grows by one random op after the other."""

    def __init__(self, draw: Any, opset: int) -> None:
        self.draw, self.opset = draw, opset
        self.nodes: list[Any] = []
        self.inputs: list[Value] = []
        self.values: list[Value] = []
        self.arrays: list[Any] = []
        self.count = 0

    # -- drawing -------------------------------------------------------------------------------

    def of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def number(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def flag(self) -> int:
        return self.number(0, 1)

    def pick(self, test: Callable[[Value], bool]) -> Value:
        """A value, more often a late one; LookupError if there is none."""
        found = [v for v in self.values if test(v)]
        if not found:
            raise LookupError
        return found[-1] if self.flag() else self.of(*found)

    def floats(self, least: int = 0, most: int = 4, *, exact: bool = False) -> Value:
        return self.pick(
            lambda v: v.dtype in FLOATS and least <= v.rank <= most and (v.exact or not exact)
        )

    def axis(self, x: Value, *, fixed: bool = False) -> int:
        """An axis; one whose size is a number where `fixed`."""
        axes = [d for d in range(x.rank) if not fixed or x.shape[d] != N]
        if not axes:
            raise LookupError
        return int(self.of(*axes))

    def signed(self, axis: int, rank: int) -> int:
        """The axis, or the same counted from the end."""
        return axis - rank if self.flag() else axis

    # -- growing -------------------------------------------------------------------------------

    def fresh(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def constant(self, array: Any) -> str:
        name = self.fresh()
        self.arrays.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def weight(self, x: Value, *shape: int) -> str:
        rng = np.random.default_rng(self.number(0, 99))
        return self.constant(rng.uniform(-1, 1, shape).astype(x.dtype))

    def add(
        self,
        op: str,
        inputs: Sequence[Any],
        dtype: str,
        shape: Shape,
        exact: bool,
        **attributes: Any,
    ) -> Value:
        return self.several(op, inputs, [(dtype, shape, exact)], **attributes)[0]

    def several(
        self, op: str, inputs: Sequence[Any], outputs: Sequence[Any], **attributes: Any
    ) -> list[Value]:
        """A node, and the values that it makes: (dtype, shape, exact) of each."""
        made = [Value(self.fresh(), *o) for o in outputs]
        names = [getattr(i, "name", i) for i in inputs]
        self.nodes.append(
            helper.make_node(
                op, names, [v.name for v in made], f"{op}_{len(self.nodes)}", **attributes
            )
        )
        self.values += made
        return made

    def given(self) -> Value:
        """One more input."""
        dtype = self.of("float32", "float32", "float32", "float64", "int64", "int32", "bool")
        rank = self.number(0, 4)
        shape: Shape = tuple(
            self.of(N, 1, 2, 3) if d == 0 else self.number(1, 5) for d in range(rank)
        )
        value = Value(self.fresh(), dtype, shape, True)
        self.inputs.append(value)
        self.values.append(value)
        return value

    def model(self) -> Any:
        """The ModelProto: what no node reads, and a few others, are its outputs."""
        read = {name for node in self.nodes for name in node.input}
        made = [v for v in self.values if v not in self.inputs]
        outputs = [v for v in made if v.name not in read or self.number(0, 5) == 0] or made
        graph = helper.make_graph(
            self.nodes,
            "drawn",
            [info(v) for v in self.inputs],
            [info(v) for v in outputs],
            self.arrays,
        )
        imports = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)


def info(v: Value) -> Any:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(v.dtype))
    return helper.make_tensor_value_info(v.name, kind, list(v.shape))


def arrays_for(inputs: Sequence[Any], n: int, seed: int) -> list[Any]:
    """An array for each input of a model: quarters between -3 and 3, so that sums are exact."""
    rng = np.random.default_rng(seed)
    found = []
    for x in inputs:
        kind = x.type.tensor_type
        shape = [n if d.dim_param else d.dim_value for d in kind.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        whole = rng.integers(-12, 13, shape)
        found.append(np.asarray(whole if dtype.kind == "i" else whole / 4).astype(dtype))
        if dtype.kind == "b":
            found[-1] = np.asarray(whole > 0)
    return found


# -- ops of one operand ----------------------------------------------------------------------------

SMOOTH: dict[str, Sequence[tuple[str, float, float]]] = {
    **dict.fromkeys(("Sigmoid", "Tanh", "Softplus", "Softsign", "Erf", "Atan", "Sin", "Cos"), ()),
    "Elu": [("alpha", 0.5, 2)],
    "Selu": [("alpha", 0.5, 2), ("gamma", 0.5, 2)],
    "LeakyRelu": [("alpha", 0.0, 0.5)],
    "HardSigmoid": [("alpha", 0.1, 0.5), ("beta", 0.2, 0.8)],
    "HardSwish": (),
    "Celu": [("alpha", 0.5, 2)],
}
SINCE = {"HardSwish": 14, "Mish": 18, "Gelu": 20, "LayerNormalization": 17}
DOUBLES = {"Sigmoid", "Tanh", "Erf", "Sin", "Cos"}  # which ONNX Runtime has for float64


def smooth(g: Grown) -> None:
    op = g.of(*SMOOTH)
    x = g.pick(lambda v: v.dtype == "float32" or (v.dtype == "float64" and op in DOUBLES))
    if g.opset < SINCE.get(op, 0):
        return
    attributes = {k: g.number(0, 4) / 4 * (high - low) + low for k, low, high in SMOOTH[op]}
    g.add(op, [x], x.dtype, x.shape, False, **attributes)


def exact(g: Grown) -> None:
    op = g.of("Neg", "Abs", "Relu", "Identity")
    x = g.pick(lambda v: v.dtype in FLOATS or (v.dtype in INTS and op != "Relu"))
    g.add(op, [x], x.dtype, x.shape, x.exact)


def jumps(g: Grown) -> None:
    op = g.of("Floor", "Ceil", "Round", "Sign")
    x = g.floats(exact=True)
    g.add(op, [x], x.dtype, x.shape, True)


def positive(g: Grown) -> None:
    """A root, a logarithm or a reciprocal of 1 + |x|."""
    op, x = g.of("Sqrt", "Log", "Reciprocal"), g.floats()
    y = g.add("Abs", [x], x.dtype, x.shape, x.exact)
    y = g.add("Add", [y, g.constant(np.ones((), x.dtype))], x.dtype, x.shape, False)
    g.add(op, [y], x.dtype, x.shape, False)


def clipped(g: Grown) -> None:
    x = g.floats()
    ends = [g.constant(np.array(e, x.dtype)) for e in (-g.number(0, 8) / 4, g.number(0, 8) / 4)]
    g.add("Clip", [x, *ends[: 1 + g.flag()]], x.dtype, x.shape, x.exact)


def cast(g: Grown) -> None:
    x = g.pick(lambda v: v.exact)
    to = g.of(*FLOATS, *INTS, "bool", "uint8" if x.dtype == "bool" else "int64")
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(to))
    g.add("Cast", [x], to, x.shape, True, to=kind)


def softmax(g: Grown) -> None:
    op, x = g.of("Softmax", "LogSoftmax"), g.floats(1)
    g.add(op, [x], x.dtype, x.shape, False, axis=g.signed(g.axis(x), x.rank))


# -- ops of two operands ---------------------------------------------------------------------------


def met(a: Shape, b: Shape) -> Shape | None:
    """The shape that two broadcast to; None if they don't."""
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True)
    found = [y if x == 1 else x if y in (1, x) else None for x, y in pairs]
    return None if None in found else tuple(found)


def pair(g: Grown, test: Callable[[Value], bool]) -> tuple[Value, Value, Shape]:
    x = g.pick(test)
    y = g.pick(lambda v: v.dtype == x.dtype and test(v) and met(x.shape, v.shape) is not None)
    shape = met(x.shape, y.shape)
    assert shape is not None
    if math.prod(4 if s == N else s for s in shape) > 2000:
        raise LookupError
    return x, y, shape


def arithmetic(g: Grown) -> None:
    op = g.of("Add", "Sub", "Mul", "Max", "Min")
    x, y, shape = pair(g, lambda v: v.dtype in (*FLOATS, *INTS))
    exact = x.exact and y.exact and (op in ("Max", "Min") or x.dtype in INTS)
    g.add(op, [x, y], x.dtype, shape, exact)


def divided(g: Grown) -> None:
    x, y, shape = pair(g, lambda v: v.dtype in FLOATS)
    y = g.add("Abs", [y], y.dtype, y.shape, y.exact)
    y = g.add("Add", [y, g.constant(np.ones((), y.dtype))], y.dtype, y.shape, False)
    g.add("Div", [x, y], x.dtype, shape, False)


def compared(g: Grown) -> None:
    op = g.of("Less", "Greater", "Equal", "LessOrEqual", "GreaterOrEqual")
    x, y, shape = pair(g, lambda v: v.exact and v.dtype in (*FLOATS, *INTS))
    g.add(op, [x, y], "bool", shape, True)


def logical(g: Grown) -> None:
    op = g.of("And", "Or", "Xor", "Not")
    x, y, shape = pair(g, lambda v: v.dtype == "bool")
    g.add(op, [x] if op == "Not" else [x, y], "bool", x.shape if op == "Not" else shape, True)


def chosen(g: Grown) -> None:
    c = g.pick(lambda v: v.dtype == "bool")
    x, y, shape = pair(g, lambda v: v.dtype in ("float32", "int64"))
    whole = met(c.shape, shape)
    if whole is not None:
        g.add("Where", [c, x, y], x.dtype, whole, x.exact and y.exact)


def modulo(g: Grown) -> None:
    x = g.pick(lambda v: v.dtype in INTS)
    g.add("Mod", [x, g.constant(np.array(g.of(3, -3, 7), x.dtype))], x.dtype, x.shape, True)


# -- reductions ------------------------------------------------------------------------------------


def without(shape: Shape, axes: Sequence[int], keep: int) -> Shape:
    kept = [1 if d in axes else s for d, s in enumerate(shape)]
    return tuple(kept) if keep else tuple(s for d, s in enumerate(shape) if d not in axes)


def reduced(g: Grown) -> None:
    op = g.of("Sum", "Mean", "Max", "Min", "L1", "L2", "LogSumExp", "SumSquare", "Prod")
    x = g.pick(lambda v: v.dtype == "float32" and v.rank > 0)
    axes = sorted({g.axis(x) for _ in range(g.number(1, 2))})
    keep = g.flag()
    given = [g.signed(a, x.rank) for a in axes]
    as_input = g.opset >= 18 or op == "Sum"
    inputs = [x, g.constant(np.array(given, np.int64))] if as_input else [x]
    more = {} if as_input else {"axes": given}
    shape = without(x.shape, axes, keep)
    g.add(
        f"Reduce{op}",
        inputs,
        x.dtype,
        shape,
        x.exact and op in ("Max", "Min"),
        keepdims=keep,
        **more,
    )


def place(g: Grown) -> None:
    op, x = (
        g.of("ArgMax", "ArgMin"),
        g.pick(lambda v: v.exact and v.dtype == "float32" and v.rank > 0),
    )
    axis, keep = g.axis(x), g.flag()
    last = {"select_last_index": g.flag()}
    g.add(op, [x], "int64", without(x.shape, [axis], keep), True, axis=axis, keepdims=keep, **last)


def running(g: Grown) -> None:
    x = g.floats(1)
    at = g.constant(np.array(g.signed(g.axis(x), x.rank)))
    g.add("CumSum", [x, at], x.dtype, x.shape, False, exclusive=g.flag(), reverse=g.flag())


def largest(g: Grown) -> None:
    x = g.floats(1, exact=True)
    axis = g.axis(x, fixed=True)
    k = g.number(1, x.shape[axis])
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    outputs = [(x.dtype, shape, True), ("int64", shape, True)]
    count = g.constant(np.array([k]))
    values, places = g.several("TopK", [x, count], outputs, axis=axis, largest=g.flag())
    g.values.remove(places)  # of equal elements either place will do
    del values


# -- moves -----------------------------------------------------------------------------------------


def transposed(g: Grown) -> None:
    x = g.pick(lambda v: v.rank > 1)
    perm = list(g.draw(st.permutations(range(x.rank))))
    g.add("Transpose", [x], x.dtype, tuple(x.shape[d] for d in perm), x.exact, perm=perm)


def reshaped(g: Grown) -> None:
    """Two neighbours become one, or the last is cut in two."""
    x = g.pick(lambda v: v.rank > 0)
    if x.rank > 1 and g.flag():
        at = g.number(0, x.rank - 2)
        a, b = x.shape[at : at + 2]
        if N in (a, b) and {a, b} != {N, 1}:
            return
        whole = N if N in (a, b) else a * b
        target: list[Any] = [0] * at + [-1] + list(x.shape[at + 2 :])
        shape = (*x.shape[:at], whole, *x.shape[at + 2 :])
        if any(s == N for s in target):
            return
    else:
        shape = (*x.shape, 1) if g.flag() else (*x.shape[:-1], 1, x.shape[-1])
        target = [0] * (x.rank - 1) + ([1, -1] if shape[-1] != 1 or x.shape[-1] == 1 else [-1, 1])
    g.add("Reshape", [x, g.constant(np.array(target, np.int64))], x.dtype, shape, x.exact)


def squeezed(g: Grown) -> None:
    x = g.pick(lambda v: v.rank < 5)
    if 1 in x.shape and g.flag():
        at = x.shape.index(1)
        shape = (*x.shape[:at], *x.shape[at + 1 :])
        g.add("Squeeze", [x, g.constant(np.array([at]))], x.dtype, shape, x.exact)
    else:
        at = g.number(0, x.rank)
        shape = (*x.shape[:at], 1, *x.shape[at:])
        g.add("Unsqueeze", [x, g.constant(np.array([at]))], x.dtype, shape, x.exact)


def joined(g: Grown) -> None:
    x = g.pick(lambda v: v.rank > 0)
    axis = g.axis(x, fixed=True)

    def fits(v: Value) -> bool:
        rest = without(v.shape, [axis], 0) == without(x.shape, [axis], 0)
        return v.dtype == x.dtype and v.rank == x.rank and rest and v.shape[axis] != N

    y = g.pick(fits)
    shape = (*x.shape[:axis], x.shape[axis] + y.shape[axis], *x.shape[axis + 1 :])
    g.add("Concat", [x, y], x.dtype, shape, x.exact and y.exact, axis=g.signed(axis, x.rank))


def parted(g: Grown) -> None:
    x = g.pick(lambda v: any(s != N and s > 1 for s in v.shape))
    axis = g.of(*[d for d, s in enumerate(x.shape) if s != N and s > 1])
    first = g.number(1, x.shape[axis] - 1)
    sizes = [first, x.shape[axis] - first]
    shapes = [(*x.shape[:axis], s, *x.shape[axis + 1 :]) for s in sizes]
    outputs = [(x.dtype, s, x.exact) for s in shapes]
    g.several("Split", [x, g.constant(np.array(sizes))], outputs, axis=axis)


def sliced(g: Grown) -> None:
    x = g.pick(lambda v: v.rank > 0)
    axis = g.axis(x, fixed=True)
    size = x.shape[axis]
    step = g.of(1, 2, -1, -2)
    start, end = g.number(-size - 1, size + 1), g.number(-size - 1, size + 1)
    left = len(range(size)[start:end:step])
    if not left:
        return
    given = [g.constant(np.array([v])) for v in (start, end, axis, step)]
    g.add("Slice", [x, *given], x.dtype, (*x.shape[:axis], left, *x.shape[axis + 1 :]), x.exact)


def gathered(g: Grown) -> None:
    x = g.pick(lambda v: v.rank > 0)
    axis = g.axis(x, fixed=True)
    size = x.shape[axis]
    shape = [(), (2,), (2, 1)][g.number(0, 2)]
    places = np.random.default_rng(g.number(0, 99)).integers(-size, size, shape)
    made = (*x.shape[:axis], *shape, *x.shape[axis + 1 :])
    g.add("Gather", [x, g.constant(places)], x.dtype, made, x.exact, axis=axis)


def padded(g: Grown) -> None:
    x = g.floats(1)
    mode = g.of("constant", "edge", "reflect")
    pads = np.zeros((2, x.rank), np.int64)
    axis = g.axis(x, fixed=True)
    most = x.shape[axis] - 1 if mode == "reflect" else 2
    pads[:, axis] = g.number(0, most), g.number(0, most)
    shape = (*x.shape[:axis], x.shape[axis] + int(pads.sum()), *x.shape[axis + 1 :])
    inputs = [x, g.constant(pads.reshape(-1))]
    if mode == "constant" and g.flag():
        inputs.append(g.constant(np.array(1.5, x.dtype)))
    g.add("Pad", inputs, x.dtype, shape, x.exact, mode=mode)


def repeated(g: Grown) -> None:
    x = g.pick(lambda v: v.rank > 0 and v.dtype != "bool")
    axis, times = g.axis(x, fixed=True), g.number(1, 3)
    counts = [times if d == axis else 1 for d in range(x.rank)]
    shape = tuple(s if s == N else s * c for s, c in zip(x.shape, counts, strict=True))
    g.add("Tile", [x, g.constant(np.array(counts))], x.dtype, shape, x.exact)


def widened(g: Grown) -> None:
    """As large as another value, whose shape is computed."""
    x, y, shape = pair(g, lambda v: v.dtype == "float32")
    size = g.add("Shape", [y], "int64", (y.rank,), True)
    g.values.remove(size)
    g.add("Expand", [x, size], x.dtype, shape, x.exact)


# -- layers ----------------------------------------------------------------------------------------


def product(g: Grown) -> None:
    x = g.floats(1)
    if x.shape[-1] == N:
        return
    out = g.number(1, 4)
    w = g.weight(x, x.shape[-1], out)
    g.add("MatMul", [x, w], x.dtype, (*x.shape[:-1], out), False)


def gemm(g: Grown) -> None:
    x = g.floats(2, 2)
    turned, other, out = g.flag(), g.flag(), g.number(1, 4)
    rows, inner = x.shape[::-1] if turned else x.shape
    if inner == N:
        return
    w = g.weight(x, *((out, inner) if other else (inner, out)))
    bias = [g.weight(x, *g.of((), (1,), (out,), (1, out)))] if g.flag() else []
    given = {"alpha": g.of(1.0, 0.5), "beta": g.of(1.0, 2.0), "transA": turned, "transB": other}
    g.add("Gemm", [x, w, *bias], x.dtype, (rows, out), False, **given)


def _window(g: Grown, x: Value) -> dict[str, list[int]]:
    kernel = [g.number(1, 3) for _ in x.shape[2:]]
    pads = [g.number(0, k - 1) for k in kernel * 2]
    strides = [g.number(1, 2) for _ in kernel]
    return {"kernel_shape": kernel, "pads": pads, "strides": strides}


def _moved(x: Value, channels: Any, window: dict[str, list[int]], up: int = 0) -> Shape | None:
    found = []
    n = len(window["kernel_shape"])
    dilations = window.get("dilations", [1] * n)
    for d in range(n):
        size = x.shape[2 + d]
        if size == N:
            return None
        size += window["pads"][d] + window["pads"][n + d]
        left = size - dilations[d] * (window["kernel_shape"][d] - 1) - 1
        if left < 0:
            return None
        found.append((left + up * (window["strides"][d] - 1)) // window["strides"][d] + 1)
    return (x.shape[0], channels, *found)


def convolved(g: Grown) -> None:
    x = g.pick(lambda v: v.dtype == "float32" and v.rank in (3, 4) and v.shape[1] != N)
    window = _window(g, x) | {"dilations": [g.number(1, 2) for _ in x.shape[2:]]}
    group = x.shape[1] if g.flag() else 1
    out = group * g.number(1, 2)
    shape = _moved(x, out, window)
    if shape is None:
        return
    w = g.weight(x, out, x.shape[1] // group, *window["kernel_shape"])
    bias = [g.weight(x, out)] if g.flag() else []
    g.add("Conv", [x, w, *bias], x.dtype, shape, False, group=group, **window)


def pooled(g: Grown) -> None:
    op = g.of("MaxPool", "AveragePool", "GlobalAveragePool")
    x = g.pick(lambda v: v.dtype == "float32" and v.rank in (3, 4))
    if op == "GlobalAveragePool":
        if N not in x.shape[2:]:
            g.add(op, [x], x.dtype, (*x.shape[:2], *[1] * (x.rank - 2)), False)
        return
    window = _window(g, x)
    shape = _moved(x, x.shape[1], window)
    more = {"count_include_pad": g.flag()} if op == "AveragePool" else {}
    if shape is not None:
        g.add(op, [x], x.dtype, shape, x.exact and op == "MaxPool", **window, **more)


def normalised(g: Grown) -> None:
    op = g.of("BatchNormalization", "InstanceNormalization", "LayerNormalization")
    x = g.pick(lambda v: v.dtype == "float32" and v.rank >= 3 and N not in v.shape[1:])
    if op == "LayerNormalization":
        axis = g.number(1, x.rank - 1)
        inputs = [g.weight(x, *x.shape[axis:]), g.weight(x, *x.shape[axis:])]
        if g.opset >= 17:
            g.add(op, [x, *inputs[: 1 + g.flag()]], x.dtype, x.shape, False, axis=axis)
        return
    c = x.shape[1]
    inputs = [g.weight(x, c), g.weight(x, c)]
    if op == "BatchNormalization":
        inputs += [g.weight(x, c), g.constant(np.linspace(0.5, 2, c).astype(x.dtype))]
    g.add(op, [x, *inputs], x.dtype, x.shape, False, epsilon=0.1)


def recurrent(g: Grown) -> None:
    op, gates = g.of(("RNN", 1), ("GRU", 3), ("LSTM", 4))
    x = g.pick(lambda v: v.dtype == "float32" and v.rank == 3 and v.shape[2] != N)
    ways, hidden = g.number(1, 2), g.number(1, 3)
    w = g.weight(x, ways, gates * hidden, x.shape[2])
    r = g.weight(x, ways, gates * hidden, hidden)
    bias = [g.weight(x, ways, 2 * gates * hidden)] if g.flag() else []
    steps, batch, _ = x.shape
    state = ("float32", (ways, batch, hidden), False)
    outputs = [("float32", (steps, ways, batch, hidden), False), state]
    given: dict[str, Any] = {"hidden_size": hidden}
    given["direction"] = "bidirectional" if ways == 2 else g.of("forward", "reverse")
    if op == "GRU":
        given["linear_before_reset"] = g.flag()
    g.several(op, [x, w, r, *bias], outputs + [state] * (op == "LSTM"), **given)


# -- control flow ----------------------------------------------------------------------------------


def branched(g: Grown) -> None:
    """If the sum of a value is positive one op of another one, else another op."""
    c, x = g.floats(exact=True), g.floats(1)
    total = g.add("ReduceMax", [c], c.dtype, (), True, keepdims=0)
    zero = g.constant(np.zeros((), c.dtype))
    above = g.add("Greater", [total, zero], "bool", (), True)
    branches = {}
    for key in ("then_branch", "else_branch"):
        op, out = g.of("Neg", "Abs", "Relu", "Identity"), g.fresh()
        kind = info(Value(out, x.dtype, x.shape, True))
        branches[key] = helper.make_graph([helper.make_node(op, [x.name], [out])], key, [], [kind])
    g.add("If", [above], x.dtype, x.shape, x.exact, **branches)


def looped(g: Grown) -> None:
    """Some rounds of v = f(v) + x, or as many as the first size; each round's value is a row."""
    x = g.pick(lambda v: v.dtype == "float32" and v.rank < 4)
    i, on, again, v, w, u = (g.fresh() for _ in range(6))
    nodes = [
        helper.make_node(g.of("Tanh", "Neg", "Sin"), [v], [w]),
        helper.make_node("Add", [w, x.name], [u]),
        helper.make_node("Identity", [on], [again]),
    ]
    scalar = helper.make_tensor_value_info
    flow = [info(Value(name, x.dtype, x.shape, False)) for name in (v, u)]
    body = helper.make_graph(
        nodes,
        "body",
        [scalar(i, TensorProto.INT64, []), scalar(on, TensorProto.BOOL, []), flow[0]],
        [scalar(again, TensorProto.BOOL, []), flow[1], flow[1]],
    )
    varies = bool(x.rank) and x.shape[0] == N and g.flag()
    if varies:
        size = g.add("Shape", [x], "int64", (x.rank,), True)
        first = g.constant(np.array(0))
        rounds: Any = g.add("Gather", [size, first], "int64", (), True, axis=0)
        g.values = [value for value in g.values if value not in (size, rounds)]
    else:
        count = g.number(1, 4)
        rounds = g.constant(np.array(count))
    rows = (N if varies else count, *x.shape)
    g.several(
        "Loop", [rounds, "", x], [(x.dtype, x.shape, False), (x.dtype, rows, False)], body=body
    )


STEPS: tuple[Callable[[Grown], None], ...] = (
    *(smooth, exact, jumps, positive, clipped, cast, softmax),
    *(arithmetic, arithmetic, divided, compared, logical, chosen, modulo),
    *(reduced, place, running, largest, transposed, reshaped, squeezed, joined, parted),
    *(sliced, gathered, padded, repeated, widened, product, gemm, convolved, pooled),
    *(normalised, recurrent, branched, looped),
)


@st.composite
def graphs(draw: Any) -> Any:
    """Random models."""
    g = Grown(draw, draw(st.sampled_from((13, 15, 17, 18, 20, 21, 22))))
    for _ in range(g.number(1, 3)):
        g.given()
    wanted = g.number(1, 9)
    for _ in range(3 * wanted):
        if len(g.nodes) >= wanted:
            break
        try:
            g.of(*STEPS)(g)
        except LookupError:  # nothing that it could take
            continue
    if not g.nodes:
        g.add("Identity", [g.values[0]], g.values[0].dtype, g.values[0].shape, True)
    return g.model()
