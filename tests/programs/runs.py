"""Several runs of one program side by side: in its own precision, in float64, and shaken.

A shaken run is in float64 too, and every rounding that code may do is one: the floats that a node
reads and makes move by a random part of their dtype's epsilon. How far it strays from the exact one
measures the condition of each value, as in Monte Carlo arithmetic (Parker, 1997).

A value is *certain* when its bits follow from the program alone: it was selected, moved or compared
from certain values, or adds and multiplies whole numbers that its dtype holds. It is never shaken.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from argand.base.conversion import converted
from argand.base.dim import evaluate
from argand.base.dtype import DType, complex128, float64
from argand.ir import families
from argand.ir.elementwise import Elementwise
from argand.ir.interpret import bind_sizes, concrete
from argand.ir.op import Literal, Op
from argand.ir.primitives import APPROXIMATE, PRIMITIVES
from argand.ir.program import Node, Program, Value
from argand.ir.scalar import Expr, topological

# The result is one of the operands' elements, or follows from comparisons of them.
_SELECTING_FAMILIES = (families.Move, families.Gather, families.Sort, families.Create)
_SELECTING = frozenset(
    (
        *("abs", "neg", "relu", "sign", "floor", "ceil", "trunc", "round", "where", "cast"),
        *("maximum", "minimum", "clamp", "hardtanh", "relu6", "isnan", "isinf", "isfinite"),
        *("eq", "ne", "lt", "le", "gt", "ge", "amax", "amin", "argmax", "argmin", "any", "all"),
        *("logical_and", "logical_or", "logical_xor", "logical_not", "conj"),
        *("complex", "real", "imag", "uniform", "randint", "scatter", "max_pool2d"),
    )
)
# Exact on whole numbers, whatever the order, as long as every partial result fits the mantissa.
_WHOLE = frozenset(
    (
        *("add", "sub", "mul", "square", "sum", "prod", "cumsum", "matmul", "einsum"),
        *("conv2d", "conv2d_input_grad", "conv2d_weight_grad", "scatter_add", "index_put"),
        *("floor_divide", "remainder", "fmod", "max_pool2d_grad"),
    )
)
# The primitives of a formula that round; the others are exact, or choose.
_ROUNDS = APPROXIMATE | {"add", "sub", "mul", "div", "sqrt", "rsqrt", "reciprocal"}


def epsilon(dtype: DType) -> float:
    """The distance from 1 to the next number of a floating-point dtype."""
    kind = {"complex64": "float32", "complex128": "float64"}.get(dtype.name, dtype.name)
    return float(ml_dtypes.finfo(kind).eps)


def widened(a: Any) -> np.ndarray:
    """An array with its floats as float64."""
    a = np.asarray(a)
    if a.dtype.kind == "c":
        return a.astype(np.complex128)
    return a.astype(np.float64) if a.dtype.kind == "f" or a.dtype.name == "bfloat16" else a


class Runs:
    """The runs of a program that grows node by node; `shaken` is how many are shaken.

    `amplitude` is the greatest change of a shaken number in epsilons of its dtype. With `inside`
    the roundings inside a node are measured too: what it reads is shaken even where it is certain,
    as for those of the mean in a variance, and so is each step of an elementwise op's formula, as
    for that of 1 + erf(x) near -1.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        shaken: int = 2,
        amplitude: float = 1.0,
        inside: bool = False,
    ) -> None:
        self.sizes = dict(sizes)
        self.inside = inside
        self.amplitude = amplitude
        self.rng = np.random.default_rng(0)
        self.narrow: dict[Value, Any] = {}
        self.wide: dict[Value, Any] = {}
        self.shaken: list[dict[Value, Any]] = [{} for _ in range(shaken)]
        self.certain: set[Value] = set()

    def give(self, value: Value, array: Any) -> None:
        """The array of an input or a state."""
        array = np.asarray(array)
        expected = tuple(evaluate(s, self.sizes) for s in value.shape)
        assert (array.dtype, array.shape) == (value.dtype.numpy, expected), value
        self._settle(value, array)

    def _settle(self, value: Value, array: np.ndarray) -> None:
        self.certain.add(value)
        self.narrow[value] = array
        for env in (self.wide, *self.shaken):
            env[value] = widened(array)

    def run(self, node: Node) -> None:
        """Compute a node's outputs in every run."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no elements
            narrow = self._outputs(node, self.narrow, False)
            if self._is_certain(node, narrow):
                for out, array in zip(node.outputs, narrow, strict=True):
                    self._settle(out, array)
                return
            self.narrow.update(zip(node.outputs, narrow, strict=True))
            self.wide.update(zip(node.outputs, self._outputs(node, self.wide, True), strict=True))
            for env in self.shaken:
                found = self._outputs(node, env, True, shake=not _selects(node.op))
                if not _selects(node.op):
                    found = [
                        self._shake(a, o.dtype) for a, o in zip(found, node.outputs, strict=True)
                    ]
                env.update(zip(node.outputs, found, strict=True))

    def forget(self, nodes: Sequence[Node]) -> None:
        """Drop the outputs of nodes that are taken back."""
        for out in [o for node in nodes for o in node.outputs]:
            self.certain.discard(out)
            for env in (self.narrow, self.wide, *self.shaken):
                env.pop(out, None)

    def _outputs(
        self, node: Node, env: Mapping[Value, Any], wide: bool, shake: bool = False
    ) -> list[np.ndarray]:
        inputs = [self._operand(o, env, wide, shake) for o in node.inputs]
        params = {k: concrete(v, self.sizes, wide) for k, v in node.params.items()}
        if node.regions:
            params["regions"] = node.regions
        if shake and self.inside and isinstance(node.op, Elementwise):
            return [self._by_steps(node.op.node_expression(node.inputs, params), inputs)]
        outputs = node.op.run(*inputs, **params)
        return [np.asarray(o) for o in (outputs if isinstance(outputs, tuple) else (outputs,))]

    def _operand(self, o: Any, env: Mapping[Value, Any], wide: bool, shake: bool) -> Any:
        if isinstance(o, Literal):
            value = o.dtype.numpy.type(o.value)
            return widened(value)[()] if wide else value
        shake = shake and (self.inside or o not in self.certain)
        return self._shake(env[o], o.dtype) if shake else env[o]

    def _by_steps(self, formula: Expr, inputs: Sequence[Any]) -> np.ndarray:
        """A formula on widened arrays, each step that rounds in its dtype shaken."""
        found: dict[Expr, Any] = {}
        for e in topological(formula):
            if e.op == "input":
                found[e] = inputs[e.value]
            elif e.op == "const":
                found[e] = e.value if e.dtype.is_inexact else converted(e.value, e.dtype)
            elif e.op == "cast":
                wide = {"f": float64, "c": complex128}.get(e.dtype.kind, e.dtype)
                found[e] = converted(found[e.args[0]], wide)
            else:
                y = PRIMITIVES[e.op].numpy(*[found[a] for a in e.args])
                found[e] = self._shake(np.asarray(y), e.dtype) if e.op in _ROUNDS else y
        return np.asarray(found[formula])

    def _shake(self, a: np.ndarray, dtype: DType) -> np.ndarray:
        if not dtype.is_inexact:
            return a
        part = self.amplitude * epsilon(dtype) * self.rng.uniform(-1, 1, a.shape)
        return np.asarray(a * (1 + part))

    def _is_certain(self, node: Node, outputs: Sequence[np.ndarray]) -> bool:
        if not all(v in self.certain for v in node.values) or node.regions:
            return False
        types = [o.dtype for o in (*node.inputs, *node.outputs)]
        if _selects(node.op) or not any(t.is_inexact for t in types):
            return True
        if node.op.name not in _WHOLE or any(t.is_complex for t in types):
            return False
        inputs = [np.asarray(self._operand(o, self.wide, True, False)) for o in node.inputs]
        if not all(np.array_equal(a, np.rint(a)) for a in inputs):
            return False
        params = {k: concrete(v, self.sizes, True) for k, v in node.params.items()}
        sizes = [abs(a) if a.dtype.kind == "f" else a for a in inputs]  # indices stay
        largest = node.op.run(*sizes, **params)
        limit = min(1 / epsilon(t) for t in types if t.is_inexact)
        bounds = largest if isinstance(largest, tuple) else (largest,)
        return all(np.abs(widened(a)).max(initial=0) < limit for a in (*bounds, *outputs))


def _selects(op: Op) -> bool:
    return op.name in _SELECTING or isinstance(op, _SELECTING_FAMILIES)


def evaluated(
    program: Program, arrays: Sequence[Any], shaken: int = 3, amplitude: float = 1.0
) -> Runs:
    """The runs of a whole program on arrays for its inputs, then its state."""
    operands = [*program.inputs, *program.state]
    runs = Runs(bind_sizes(operands, arrays), shaken, amplitude, inside=True)
    for value, array in zip(operands, arrays, strict=True):
        runs.give(value, array)
    for node in program.nodes:
        runs.run(node)
    return runs


def floats(values: Sequence[Any]) -> Iterator[Value]:
    """The values with a floating-point dtype."""
    return (v for v in values if isinstance(v, Value) and v.dtype.is_floating_point)
