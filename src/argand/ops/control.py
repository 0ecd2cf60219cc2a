"""Control flow on the value of a tensor."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from argand.base.dim import dim_max
from argand.base.dtype import bool_
from argand.base.errors import AutogradError, DTypeError, ShapeError
from argand.base.shape import same_shape
from argand.ir.bind import bind
from argand.ir.elementwise import lifted
from argand.ir.families import Control
from argand.ir.interpret import interpret
from argand.ir.op import TensorType, describe, ops, type_of
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
            _check_operands(region, inputs[1:])
        then, otherwise = (
            [TensorType(o.dtype, o.shape) for o in region.outputs] for region in params["regions"]
        )
        agree = len(then) == len(otherwise) and all(
            a.dtype is b.dtype and same_shape(a.shape, b.shape)
            for a, b in zip(then, otherwise, strict=True)
        )
        if not agree:
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
        return tuple(np.asarray(o) for o in interpret(then if pred else otherwise, operands))

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


def _products(node: Node) -> Any:
    params = {**node.params, **({"regions": node.regions} if node.regions else {})}
    return node.op.multiply_adds(node.inputs, node.outputs, params)


def _check_operands(region: Program, operands: Sequence[TensorType]) -> None:
    """A region reads the operands and nothing else, and writes nothing."""
    values = region.inputs
    fits = len(values) == len(operands) and all(
        v.dtype is x.dtype and same_shape(v.shape, x.shape)
        for v, x in zip(values, operands, strict=True)
    )
    if not fits or region.state or region.writes:
        raise ShapeError(
            f"cond: a branch takes ({', '.join(str(v.type) for v in values)}), and the operands "
            f"are {describe(*operands)}"
        )


def _recorded(function: Callable[..., Any], types: Sequence[TensorType]) -> Program:
    return record(function, types, getattr(function, "__name__", "").strip("<>") or "branch")
