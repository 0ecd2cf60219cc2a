"""Normalisation layers. 16-bit floats take their statistics, and the hidden outputs, in float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.base.dtype import DType, compute_dtype, float32, from_numpy
from argand.base.errors import DTypeError, ShapeError
from argand.base.shape import same_shape, shape_text
from argand.ir.batching import each
from argand.ir.bind import bind
from argand.ir.elementwise import lifted
from argand.ir.families import Composite
from argand.ir.op import describe, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.statistics import count_of, size_value

Prepared = tuple[tuple[Any, ...], dict[str, Any]]


def _named(inputs: Any, params: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by their names, of which `affine` lists those behind the first."""
    names = {"w": "weight", "b": "bias"}
    given = zip([names[c] for c in params["affine"]], inputs[1:], strict=True)
    return {k: v for k, v in params.items() if k != "affine"} | dict(given)


def _optional(op: str, x: Any, given: dict[str, Any], shape: Any) -> tuple[list[Any], str]:
    """The affine operands that are there, checked, and the letters that tell which."""
    values, letters = [], ""
    for letter, value in given.items():
        if value is None:
            continue
        v = lifted(value)
        if not same_shape(v.shape, shape):
            raise ShapeError(
                f"{op}: {describe(x, v)}: weight and bias must have shape {shape_text(shape)}"
            )
        values.append(v)
        letters += letter
    return values, letters


def _check_float(op: str, x: Any) -> None:
    if not x.dtype.is_floating_point:
        raise DTypeError(f"{op}: not defined for {x.dtype.name}")


def _affine(y: Any, operands: Sequence[Any], letters: str, shape: Any) -> Any:
    """y * weight + bias, the operands laid out along `shape`."""
    named = dict(zip(letters, operands, strict=True))
    if "w" in named:
        y = ops.mul(y, ops.reshape(ops.cast(named["w"], y.dtype), shape))
    if "b" in named:
        y = ops.add(y, ops.reshape(ops.cast(named["b"], y.dtype), shape))
    return y


class LayerNorm(Composite):
    """(x - mean) / sqrt(var + eps) * weight + bias, over the trailing `normalized_shape`.

    As `torch.nn.functional.layer_norm`; var is the biased variance. Hidden outputs: the mean and
    1 / sqrt(var + eps) of each row.
    """

    samples = (
        Sample(T((3, 5)), (5,)),
        Sample(T((3, 5)), (5,), T((5,)), T((5,))),
        Sample(T((2, 3, 4)), (3, 4), T((3, 4)), T((3, 4)), 1e-3),
        Sample(T((2, 3, 4)), (4,), weight=T((4,))),
        Sample(T((0, 4)), (4,), T((4,)), T((4,))),
    )
    error_samples = (
        ErrorSample(
            RuntimeError, "doesn't end with normalized_shape (4,)", T((3, 5)), (4,), T((4,))
        ),
        ErrorSample(RuntimeError, "weight and bias must have shape (5,)", T((3, 5)), (5,), T((4,))),
    )
    tolerance = {"float32": 5e-5}

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        return inputs[:1], _named(inputs, params)

    def prepare(
        self,
        x: Any,
        normalized_shape: Any,
        weight: Any = None,
        bias: Any = None,
        eps: float = 1e-5,
    ) -> Prepared:
        x = lifted(x)
        _check_float(self.name, x)
        shape = (
            normalized_shape if isinstance(normalized_shape, list | tuple) else (normalized_shape,)
        )
        shape = tuple(shape)
        if not shape or not same_shape(x.shape[len(x.shape) - len(shape) :], shape):
            raise ShapeError(
                f"layer_norm: {describe(x)} doesn't end with normalized_shape {shape_text(shape)}"
            )
        operands, letters = _optional(self.name, x, {"w": weight, "b": bias}, shape)
        params = {"normalized_shape": shape, "eps": float(eps), "affine": letters}
        return (x, *operands), params

    def batched(self, size: Any, inputs: Any, params: dict[str, Any]) -> Any:
        if any(w.many for w in inputs[1:]):
            return None
        return each(bind(self, tuple([x.value for x in inputs]), params))

    def body(x: Any, *operands: Any, normalized_shape: Any, eps: float, affine: str) -> Any:
        dims = _trailing(x, normalized_shape)
        wide = ops.cast(x, compute_dtype(x.dtype))
        mean = ops.mean(wide, dims, True)
        centred = ops.sub(wide, mean)
        rstd = ops.rsqrt(ops.add(ops.mean(ops.square(centred), dims, True), eps))
        y = _affine(ops.mul(centred, rstd), operands, affine, normalized_shape)
        return ops.cast(y, x.dtype), mean, rstd

    def run(self, *arrays: Any, **params: Any) -> Any:
        x, *operands = arrays
        dims = _trailing(x, params["normalized_shape"])
        dtype = compute_dtype(from_numpy(x.dtype)).numpy
        with np.errstate(all="ignore"):
            wide = x.astype(dtype, copy=False)
            mean = wide.mean(dims, keepdims=True)
            centred = wide - mean
            variance = np.square(centred).mean(dims, keepdims=True)
            rstd = (1 / np.sqrt(variance + params["eps"])).astype(dtype, copy=False)
            centred *= rstd
            for letter, operand in zip(params["affine"], operands, strict=True):
                centred = centred * operand if letter == "w" else centred + operand
        return centred.astype(x.dtype, copy=False), mean, rstd

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x, *operands), shape = inputs, params["normalized_shape"]
        named = dict(zip(params["affine"], operands, strict=True))
        known = all(isinstance(s, int) for s in shape)
        if compute_dtype(x.dtype) is not float32 or not (known or "w" in named):
            return super().onnx(g, inputs, params)  # ONNX takes the statistics in float32
        weight = named.get("w", np.ones(shape, x.dtype.numpy) if known else None)
        operands = [g.cast(v, x.dtype) for v in (weight, named.get("b")) if v is not None]
        return g.op("LayerNormalization", x, *operands, axis=-len(shape), epsilon=params["eps"])

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (x, *operands), (_, mean, rstd) = inputs, outputs
        shape, letters = params["normalized_shape"], params["affine"]
        dims = _trailing(x, shape)
        named = dict(zip(letters, operands, strict=True))
        normal = ops.mul(ops.sub(ops.cast(x, mean.dtype), mean), rstd)
        gx, others = None, [None] * len(operands)
        if grads[0] is not None:
            g = ops.cast(grads[0], mean.dtype)
            gy = _affine(g, [named["w"]], "w", shape) if "w" in named else g
            gx = _centred(gy, normal, rstd, dims)
            outer = tuple(range(len(x.shape) - len(shape)))
            others = _affine_gradients(g, normal, operands, letters, outer)
        gx = _plus_statistics(gx, grads[1], grads[2], normal, rstd, dims)
        return [None if gx is None else ops.cast(gx, x.dtype), *others]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0, 1) if "w" in params["affine"] else (0,), (1, 2)


def _trailing(x: Any, shape: Any) -> tuple[int, ...]:
    return tuple(range(len(x.shape) - len(shape), len(x.shape)))


def _centred(g: Any, normal: Any, rstd: Any, dims: Any) -> Any:
    """The cotangent of x from that of (x - mean) * rstd: what shifts or scales a row drops out."""
    along = ops.mul(normal, ops.mean(ops.mul(g, normal), dims, True))
    return ops.mul(rstd, ops.sub(ops.sub(g, ops.mean(g, dims, True)), along))


def _affine_gradients(g: Any, normal: Any, operands: Any, letters: str, outer: Any) -> list[Any]:
    """The cotangents of weight and bias: sums over the dimensions that they don't have."""
    found = []
    for letter, operand in zip(letters, operands, strict=True):
        terms = ops.mul(g, normal) if letter == "w" else g
        total = ops.sum(terms, outer) if outer else terms
        found.append(ops.cast(ops.reshape(total, operand.shape), operand.dtype))
    return found


def _plus_statistics(gx: Any, gmean: Any, grstd: Any, normal: Any, rstd: Any, dims: Any) -> Any:
    """Add what comes through the hidden outputs (only for second derivatives)."""
    n = size_value(count_of(normal.shape, dims), normal.dtype)
    parts = [gx]
    if gmean is not None:
        parts.append(ops.expand(ops.div(gmean, n), normal.shape))
    if grstd is not None:
        scale = ops.div(ops.mul(grstd, ops.neg(ops.square(rstd))), n)
        parts.append(ops.mul(normal, scale))
    return total_of(parts)


def total_of(parts: Sequence[Any]) -> Any:
    """The sum of the parts that are there; None when none is."""
    total = None
    for p in parts:
        if p is not None:
            total = p if total is None else ops.add(total, p)
    return total


class BatchNorm(Composite):
    """(x - mean) / sqrt(var + eps) * weight + bias, for each channel x[:, c] over the batch.

    The training form: statistics are the batch's own. Outputs: y, mean (C,) and the biased
    variance (C,), from which a layer updates its running statistics.
    """

    visible = 3
    samples = (
        Sample(T((4, 3)), T((3,)), T((3,))),
        Sample(T((2, 3, 4, 5)), T((3,)), T((3,)), 1e-3),
        Sample(T((2, 3, 4, 5))),
        Sample(T((4, 2, 3)), T((2,))),
    )
    error_samples = (
        ErrorSample(RuntimeError, "at least 2 dimensions", T((3,)), T((3,)), T((3,))),
        ErrorSample(RuntimeError, "weight and bias must have shape (3,)", T((4, 3)), T((4,))),
    )
    tolerance = {"float32": 5e-5}

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        return inputs[:1], _named(inputs, params)

    def prepare(self, x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Prepared:
        x = lifted(x)
        _check_float(self.name, x)
        if len(x.shape) < 2:
            raise ShapeError(f"batch_norm: {describe(x)}: expected at least 2 dimensions")
        operands, letters = _optional(self.name, x, {"w": weight, "b": bias}, (x.shape[1],))
        return (x, *operands), {"eps": float(eps), "affine": letters}

    def body(x: Any, *operands: Any, eps: float, affine: str) -> Any:
        dims, shape = _channels(x)
        wide = ops.cast(x, compute_dtype(x.dtype))
        mean = ops.mean(wide, dims, True)
        centred = ops.sub(wide, mean)
        variance = ops.mean(ops.square(centred), dims, True)
        y = ops.mul(centred, ops.rsqrt(ops.add(variance, eps)))
        y = ops.cast(_affine(y, operands, affine, shape), x.dtype)
        return y, ops.reshape(mean, (x.shape[1],)), ops.reshape(variance, (x.shape[1],))

    def run(self, *arrays: Any, **params: Any) -> Any:
        x, *operands = arrays
        dims, shape = _channels(x)
        dtype: DType = compute_dtype(from_numpy(x.dtype))
        with np.errstate(all="ignore"):
            wide = x.astype(dtype.numpy, copy=False)
            mean = wide.mean(dims, keepdims=True)
            y = wide - mean
            variance = np.square(y).mean(dims, keepdims=True)
            y *= (1 / np.sqrt(variance + params["eps"])).astype(dtype.numpy, copy=False)
            for letter, operand in zip(params["affine"], operands, strict=True):
                laid = operand.reshape(shape)
                y = y * laid if letter == "w" else y + laid
        return y.astype(x.dtype, copy=False), mean.reshape(-1), variance.reshape(-1)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (x, *operands), (_, mean, variance) = inputs, outputs
        letters = params["affine"]
        dims, shape = _channels(x)
        named = dict(zip(letters, operands, strict=True))
        rstd = ops.rsqrt(ops.add(ops.reshape(variance, shape), params["eps"]))
        centred = ops.sub(ops.cast(x, mean.dtype), ops.reshape(mean, shape))
        n = size_value(count_of(x.shape, dims), mean.dtype)
        parts, others = [], [None] * len(operands)
        if grads[0] is not None:
            g, normal = ops.cast(grads[0], mean.dtype), ops.mul(centred, rstd)
            gy = _affine(g, [named["w"]], "w", shape) if "w" in named else g
            parts.append(_centred(gy, normal, rstd, dims))
            others = _affine_gradients(g, normal, operands, letters, dims)
        if grads[1] is not None:
            parts.append(ops.expand(ops.reshape(ops.div(grads[1], n), shape), x.shape))
        if grads[2] is not None:
            scale = ops.div(ops.mul(ops.reshape(grads[2], shape), 2.0), n)
            parts.append(ops.mul(centred, scale))
        gx = total_of(parts)
        return [None if gx is None else ops.cast(gx, x.dtype), *others]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0, 1) if "w" in params["affine"] else (0,), (1, 2)


def _channels(x: Any) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """The dimensions that batch norm reduces, and the shape in which channels broadcast."""
    dims = tuple(d for d in range(len(x.shape)) if d != 1)
    return dims, tuple(x.shape[1] if d == 1 else 1 for d in range(len(x.shape)))
