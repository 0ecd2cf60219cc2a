"""Control flow on the value of a tensor."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from argand.base.dim import dim_max
from argand.base.dtype import bool_, from_numpy
from argand.base.errors import AutogradError, DTypeError, LoopLimitError, ShapeError
from argand.base.settings import settings
from argand.base.shape import same_shape
from argand.ir.bind import bind
from argand.ir.elementwise import lifted
from argand.ir.families import Control
from argand.ir.interpret import interpret
from argand.ir.op import Op, TensorType, describe, ops, registry, type_of
from argand.ir.program import Node, Program
from argand.ir.record import record
from argand.ir.samples import ErrorSample, Sample, T


class Cond(Control):
    """The outputs of `then(*operands)` where the 0-d boolean `pred` is True, else of `otherwise`'s.

    Both functions are recorded as regions and must give outputs of the same dtypes and shapes. All
    that they read are the operands.
    """

    samples = (
        Sample(T((), dtype="bool"), lambda x: ops.exp(x), lambda x: ops.mul(x, 2.0), T((2, 3))),
        *(
            Sample(T((), pred, pred, "bool"), ops.mul, lambda x, y: ops.sin(x), T((3,)), T((3,)))
            for pred in (0, 1)
        ),
    )
    error_samples = (
        ErrorSample(
            RuntimeError,
            "both branches must give the same types",
            T((), dtype="bool"),
            lambda x: x,
            lambda x: ops.sum(x),
            T((3,)),
        ),
        ErrorSample(TypeError, "0-d boolean", T((2,)), lambda x: x, lambda x: x, T((3,))),
    )

    def apply(self, pred: Any, then: Any, otherwise: Any, *operands: Any) -> Any:
        values = [lifted(x) for x in operands]
        inputs = (lifted(pred), *values)
        types = [type_of(x) for x in values]
        regions = tuple(_recorded(f, types) for f in (then, otherwise))
        outputs = bind(self, inputs, {"regions": regions})
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        pred = inputs[0]
        if pred.dtype is not bool_ or len(pred.shape):
            raise DTypeError(f"cond: pred must be a 0-d boolean, got {describe(pred)}")
        for region in params["regions"]:
            _check_operands("cond", "a branch", region, inputs[1:])
        then, otherwise = (
            [TensorType(o.dtype, o.shape) for o in region.outputs] for region in params["regions"]
        )
        if not _agree(then, otherwise):
            listed = " and ".join("(" + ", ".join(map(str, ts)) + ")" for ts in (then, otherwise))
            raise ShapeError(f"cond: both branches must give the same types, got {listed}")
        return tuple(then)

    def multiply_adds(
        self, inputs: Sequence[Any], outputs: Sequence[Any], params: dict[str, Any]
    ) -> Any:
        """Those of the branch that has more."""
        counts = [sum(_products(node) for node in region) for region in params["regions"]]
        return functools.reduce(dim_max, counts)

    def run(self, *arrays: Any, **params: Any) -> Any:
        pred, *operands = arrays
        then, otherwise = params["regions"]
        return tuple(_called(then if pred else otherwise, operands))

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        pred, *operands = inputs
        then, otherwise = (g.branch(region, operands) for region in params["regions"])
        return g.choice(pred, then, otherwise)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        vjp = type(self).vjp
        if vjp is None:
            raise AutogradError("cond: import argand.transform to differentiate it")
        pred, *operands = inputs
        wanted = [n for n, x in enumerate(operands) if x.dtype.is_inexact]
        given = [n for n, g in enumerate(grads) if g is not None]
        regions = tuple(vjp(region, wanted, given) for region in params["regions"])
        cotangents = [grads[n] for n in given]
        found = bind(self, (pred, *operands, *cotangents), {"regions": regions})
        results: list[Any] = [None] * len(inputs)
        for n, g in zip(wanted, found, strict=True):
            results[n + 1] = g
        return results


class WhileLoop(Control):
    """`carried = body(*carried, *read)` for as long as `goes_on(*carried, *read)` is True.

    Both functions are recorded as regions over the operands: first what is carried from round to
    round, as many as `body` gives, then what is only read. `body` keeps dtypes and shapes.
    """

    samples = tuple(
        Sample(
            lambda i, x, y: ops.lt(i, 3),
            lambda i, x, y: (ops.add(i, 1), ops.mul(x, y)),
            T((), first, first, "int64"),
            T((2, 3)),
            T((3,)),
        )
        for first in (0, 3)
    )
    error_samples = (
        ErrorSample(
            RuntimeError,
            "the body must keep the types",
            lambda x: ops.lt(ops.sum(x), 1.0),
            lambda x: ops.sum(x),
            T((3,)),
        ),
        ErrorSample(TypeError, "0-d boolean", lambda x: x, lambda x: x, T((3,))),
    )

    def apply(self, goes_on: Any, body: Any, *operands: Any) -> Any:
        values = [lifted(x) for x in operands]
        types = [type_of(x) for x in values]
        regions = tuple(_recorded(f, types) for f in (goes_on, body))
        carried = len(regions[1].outputs)
        outputs = bind(self, tuple(values), {"carried": carried, "regions": regions})
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        goes_on, body = params["regions"]
        return _check_loop(self.name, params["carried"], goes_on, body, inputs)

    def run(self, *arrays: Any, **params: Any) -> Any:
        goes_on, body = params["regions"]
        (left,) = collections.deque(_rounds(goes_on, body, arrays), maxlen=1)
        return tuple(np.array(x) for x in left[: params["carried"]])

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return g.loop(*params["regions"], inputs)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        vjp = type(self).vjp
        if vjp is None:
            raise AutogradError("while_loop: import argand.transform to differentiate it")
        goes_on, body = params["regions"]
        wanted = [n for n, x in enumerate(inputs) if x.dtype.is_inexact]
        back = vjp(body, wanted, [n for n, y in enumerate(outputs) if y.dtype.is_inexact])
        cotangents = [
            ops.full(y.shape, 0, y.dtype) if g is None else g
            for g, y in zip(grads, outputs, strict=True)
            if y.dtype.is_inexact
        ]
        op = registry.get("while_loop.backward")
        given = {"carried": params["carried"], "regions": (goes_on, body, back)}
        found = bind(op, (*inputs, *cotangents), given)
        results: list[Any] = [None] * len(inputs)
        for n, g in zip(wanted, found, strict=True):
            results[n] = g
        return results

    def derive(self, part: str) -> Op | None:
        """The derived op ``while_loop.backward``: the cotangents of the operands."""
        return WhileLoopBackward() if part == "backward" else None


class WhileLoopBackward(Control):
    """The cotangents of a loop's floating-point operands, from those of what it carries.

    Operands: the loop's, then the cotangents. The third region is the derivative of a round. The
    loop runs again, and what each round began with is kept.
    """

    abstract = True
    name = "while_loop.backward"

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        goes_on, body, back = params["regions"]
        operands = inputs[: len(body.inputs)]
        carried = _check_loop(self.name, params["carried"], goes_on, body, operands)
        cotangents = tuple(t for t in carried if t.dtype.is_inexact)
        _check_operands(self.name, "the body's derivative", back, (*operands, *cotangents))
        found = tuple(t for t in operands if t.dtype.is_inexact)
        if len(inputs) != len(operands) + len(cotangents) or not _agree(back.outputs, found):
            raise ShapeError(f"{self.name}: the body's derivative must give {describe(*found)}")
        return found

    def run(self, *arrays: Any, **params: Any) -> Any:
        goes_on, body, back = params["regions"]
        carried = params["carried"]
        count = len(arrays) - sum(map(_is_inexact, arrays[:carried]))
        operands, cotangents = arrays[:count], list(arrays[count:])
        sums = [np.zeros_like(x) for x in operands[carried:] if _is_inexact(x)]
        for before in [*_rounds(goes_on, body, operands)][-2::-1]:
            found = _called(back, [*before, *cotangents])
            parts = found[len(cotangents) :]
            cotangents = found[: len(cotangents)]
            sums = [np.asarray(a + b) for a, b in zip(sums, parts, strict=True)]
        return (*map(np.array, cotangents), *sums)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        raise AutogradError(
            "while_loop has first derivatives only; unroll the loop (a Python loop of a known "
            "number of rounds) to differentiate twice"
        )


def _rounds(goes_on: Program, body: Program, arrays: Sequence[Any]) -> Iterator[list[Any]]:
    """The operands before each round, and those that the last one left."""
    operands, left = list(arrays), settings.loop_limit
    yield operands
    while _called(goes_on, operands)[0]:
        if not left:
            raise LoopLimitError(
                f"while_loop: the condition still holds after {settings.loop_limit} rounds; if it "
                "is meant to, raise ag.settings.loop_limit"
            )
        left -= 1
        found = _called(body, operands)
        operands = [*found, *operands[len(found) :]]
        yield operands


def _is_inexact(array: Any) -> bool:
    return from_numpy(array.dtype).is_inexact


def _called(region: Any, operands: Sequence[Any]) -> list[Any]:
    """The outputs of a region, which a backend may have compiled."""
    run = getattr(region, "run", None)
    found = interpret(region, operands) if run is None else run(operands, [])
    return [np.asarray(x) for x in found]


def _check_loop(
    name: str, count: int, goes_on: Program, body: Program, operands: Sequence[TensorType]
) -> tuple[TensorType, ...]:
    """The types that a loop carries, where its regions fit the operands."""
    for what, region in (("the condition", goes_on), ("the body", body)):
        _check_operands(name, what, region, operands)
    found = goes_on.outputs
    if len(found) != 1 or found[0].dtype is not bool_ or len(found[0].shape):
        raise DTypeError(f"{name}: the condition must give a 0-d boolean, got {describe(*found)}")
    carried = tuple(operands[:count])
    if type(count) is not int or count < 1 or not _agree(body.outputs, carried):
        raise ShapeError(
            f"{name}: the body must keep the types of what it carries, got "
            f"{describe(*body.outputs)} for {describe(*carried)}"
        )
    return carried


def _agree(values: Sequence[Any], types: Sequence[Any]) -> bool:
    """Whether values are of these types."""
    return len(values) == len(types) and all(
        v.dtype is t.dtype and same_shape(v.shape, t.shape)
        for v, t in zip(values, types, strict=True)
    )


def _products(node: Node) -> Any:
    params = {**node.params, **({"regions": node.regions} if node.regions else {})}
    return node.op.multiply_adds(node.inputs, node.outputs, params)


def _check_operands(name: str, what: str, region: Program, operands: Sequence[TensorType]) -> None:
    """A region reads the operands and nothing else, and writes nothing."""
    if not _agree(region.inputs, operands) or region.state or region.writes:
        raise ShapeError(
            f"{name}: {what} takes ({', '.join(str(v.type) for v in region.inputs)}), and the "
            f"operands are {describe(*operands)}"
        )


def _recorded(function: Callable[..., Any], types: Sequence[TensorType]) -> Program:
    return record(function, types, getattr(function, "__name__", "").strip("<>") or "branch")
