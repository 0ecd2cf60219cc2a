"""The parts of complex numbers, and complex numbers from their parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dtype import as_dtype, promote_types
from argand.base.errors import DTypeError, ShapeError
from argand.base.shape import same_shape
from argand.ir import families
from argand.ir.batching import together
from argand.ir.elementwise import lifted
from argand.ir.op import TensorType, describe, ops
from argand.ir.samples import ErrorSample, Sample, T

Prepared = tuple[tuple[Any, ...], dict[str, Any]]


class _Part(families.Host):
    """A part of complex numbers: a view of their memory."""

    batched = together
    abstract = True
    is_view = True
    dtypes = ("complex64", "complex128")
    samples = tuple(Sample(T(shape)) for shape in ((2, 3), (), (0,)))
    error_samples = (ErrorSample(TypeError, "not defined for float32", T((2,), dtype="float32")),)

    def prepare(self, x: Any) -> Prepared:
        x = lifted(x)
        if not x.dtype.is_complex:
            raise DTypeError(f"{self.name}: not defined for {x.dtype.name}")
        return (x,), {}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,) = inputs
        return (TensorType(x.dtype.to_real(), x.shape),)

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()


def _zeros(g: Any) -> Any:
    return ops.full(tuple(g.shape), 0, g.dtype)


class Real(_Part):
    """The real part of complex numbers."""

    def run(self, *arrays: Any, **params: Any) -> Any:
        return arrays[0].real

    def write_back(self, whole: Any, part: Any, params: dict[str, Any]) -> Any:
        return ops.complex(part, ops.imag(whole))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [ops.complex(grads[0], _zeros(grads[0]))]


class Imag(_Part):
    """The imaginary part of complex numbers."""

    def run(self, *arrays: Any, **params: Any) -> Any:
        return arrays[0].imag

    def write_back(self, whole: Any, part: Any, params: dict[str, Any]) -> Any:
        return ops.complex(ops.real(whole), part)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [ops.complex(_zeros(grads[0]), grads[0])]


class ViewAsReal(_Part):
    """The real and the imaginary part of complex numbers side by side, in a new last dimension."""

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,) = inputs
        return (TensorType(x.dtype.to_real(), (*x.shape, 2)),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        x = arrays[0]
        return x[..., None].view(x.real.dtype)

    def write_back(self, whole: Any, part: Any, params: dict[str, Any]) -> Any:
        return ops.view_as_complex(part)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [ops.view_as_complex(grads[0])]


class ViewAsComplex(families.Host):
    """The complex numbers whose real and imaginary parts are pairs in the last dimension."""

    batched = together
    is_view = True
    dtypes = ("float32", "float64")
    samples = tuple(Sample(T(shape)) for shape in ((2, 3, 2), (2,), (0, 2)))
    error_samples = (
        ErrorSample(TypeError, "expected float32 or float64", T((2,), dtype="int64")),
        ErrorSample(RuntimeError, "the last size must be 2", T((2, 3))),
    )

    def prepare(self, x: Any) -> Prepared:
        return (lifted(x),), {}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,) = inputs
        if x.dtype.name not in ("float32", "float64"):
            raise DTypeError(f"view_as_complex: {describe(x)}: expected float32 or float64")
        if not x.shape or x.shape[-1] != 2:
            raise ShapeError(f"view_as_complex: {describe(x)}: the last size must be 2")
        return (TensorType(promote_types(x.dtype, as_dtype("complex64")), x.shape[:-1]),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,) = arrays
        (out,) = self.infer(families.array_type(x))
        pairs = x if x.strides[-1] == x.itemsize else np.ascontiguousarray(x)
        return pairs.view(out.dtype.numpy)[..., 0]

    def write_back(self, whole: Any, part: Any, params: dict[str, Any]) -> Any:
        return ops.view_as_real(part)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [ops.view_as_real(grads[0])]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()


class Complex(families.Host):
    """real + i imag, of two tensors of one float dtype and one shape."""

    batched = together
    samples = Sample(T((2, 3)), T((2, 3))), Sample(T(()), T(())), Sample(T((0,)), T((0,)))
    error_samples = (ErrorSample(TypeError, "expected floats", T((2,), dtype="bool"), T((2,))),)

    def prepare(self, real: Any, imag: Any) -> Prepared:
        return (lifted(real), lifted(imag)), {}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        real, imag = inputs
        if real.dtype is not imag.dtype or real.dtype.name not in ("float32", "float64"):
            raise DTypeError(f"complex: {describe(*inputs)}: expected floats of one dtype")
        if not same_shape(real.shape, imag.shape):
            raise ShapeError(f"complex: {describe(*inputs)}: expected one shape")
        return (TensorType(promote_types(real.dtype, as_dtype("complex64")), real.shape),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (out,) = self.infer(*map(families.array_type, arrays))
        found = np.empty(arrays[0].shape, out.dtype.numpy)
        found.real, found.imag = arrays
        return found

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [ops.real(grads[0]), ops.imag(grads[0])]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()
