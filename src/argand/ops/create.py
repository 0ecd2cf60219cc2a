"""Tensors made from parameters alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.base.conversion import number
from argand.base.dim import Dim, is_less
from argand.base.dtype import as_dtype
from argand.base.errors import ShapeError
from argand.base.shape import Extent
from argand.ir.families import Create
from argand.ir.op import TensorType
from argand.ir.samples import ErrorSample, Sample
from argand.ir.scalar import operand


class Full(Create):
    """A tensor of one `value`."""

    samples = Sample((2, 3), 1.5, "float32"), Sample((), -2, "int64"), Sample((0, 4), True, "bool")
    error_samples = (
        ErrorSample(RuntimeError, "full: sizes can't be", (-2,), 0.0, "float32"),
        ErrorSample(RuntimeError, "full: 300 doesn't fit into uint8", (2,), 300, "uint8"),
        ErrorSample(RuntimeError, "full: 70000.0 doesn't fit into float16", (2,), 7e4, "float16"),
    )

    def prepare(
        self, shape: Sequence[Extent], value: Any, dtype: Any
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        d = as_dtype(dtype)
        if any(is_less(s, 0) for s in shape):
            raise ShapeError(f"full: sizes can't be negative, got {tuple(shape)}")
        known = value if isinstance(value, Dim) else operand(self.name, value, d)
        return (), {"shape": tuple(shape), "value": known, "dtype": d}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        return (TensorType(params["dtype"], tuple(params["shape"])),)

    def constant(self, params: dict[str, Any]) -> Any:
        return params["value"]

    def run(self, *arrays: Any, **params: Any) -> Any:
        dtype = params["dtype"]
        value = number(params["value"], dtype)
        if not any(np.asarray(value).tobytes()):
            return np.zeros(params["shape"], dtype.numpy)  # pages that nothing is written to yet
        return np.full(params["shape"], value, dtype.numpy)

    def stores(self, params: Any) -> bool:
        return True

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return g.filled(params["shape"], params["value"], params["dtype"])


class Arange(Create):
    """start + i * step for i from 0 to size - 1."""

    samples = Sample(0, 1, 5, "int64"), Sample(1.5, -0.25, 6, "float32"), Sample(3, 2, 0, "int64")

    error_samples = (ErrorSample(RuntimeError, "arange: the size can't be", 0, 1, -1, "int64"),)

    def prepare(
        self, start: Any, step: Any, size: Extent, dtype: Any
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if is_less(size, 0):
            raise ShapeError(f"arange: the size can't be negative, got {size}")
        return (), {"start": start, "step": step, "size": size, "dtype": as_dtype(dtype)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        return (TensorType(params["dtype"], (params["size"],)),)

    def progression(index: Any, params: Any) -> tuple[Any, Any, Any]:
        return index[0], params["start"], params["step"]

    def run(self, *arrays: Any, **params: Any) -> Any:
        i = np.arange(params["size"])
        return (params["start"] + i * params["step"]).astype(params["dtype"].numpy)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        start, step, size = (params[n] for n in ("start", "step", "size"))
        if not any(isinstance(v, Dim) for v in (start, step, size)):
            return g.constant(self.run(**params))
        if params["dtype"].kind not in "iu" or not all(
            isinstance(v, int | Dim) for v in (start, step)
        ):
            steps = g.cast(g.op("Range", g.size(0), g.size(size), g.size(1)), params["dtype"])
            scaled = g.op("Mul", steps, g.constant(step, params["dtype"]))
            return g.op("Add", scaled, g.constant(start, params["dtype"]))
        found = g.op("Range", g.size(start), g.size(start + size * step), g.size(step))
        return g.cast(found, params["dtype"])
