"""Discrete Fourier transforms, which NumPy's pocketfft computes on the host."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from argand.base.dim import Extent, is_less
from argand.base.dtype import complex64, int64, promote_types
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import normalize_dim, normalize_dims
from argand.ir import families
from argand.ir.batching import together
from argand.ir.elementwise import lifted
from argand.ir.op import TensorType, describe, ops
from argand.ir.samples import ErrorSample, Sample, T

Prepared = tuple[tuple[Any, ...], dict[str, Any]]

REAL = ("float32", "float64")
COMPLEX = ("complex64", "complex128")

# The norm by which the transposed transform divides.
TRANSPOSED = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


class Transform(families.Host):
    """A linear map along dimensions of a tensor, divided as `norm` says, in NumPy's words."""

    batched = together
    abstract = True
    can_fail = False
    takes: ClassVar[tuple[str, ...]] = ()

    def check(self, x: TensorType, dims: Any, size: Extent, norm: str) -> None:
        """DTypeError, ShapeError or ArgumentError for what can't be transformed."""
        if x.dtype.name not in self.takes:
            raise DTypeError(f"{self.name}: not defined for {x.dtype.name}")
        if norm not in TRANSPOSED:
            raise ArgumentError(
                f"{self.name}: norm must be 'forward', 'backward' or 'ortho', got {norm!r}"
            )
        for n in (size, *(x.shape[d] for d in dims)):
            if is_less(n, 1, trusted=True):
                raise ShapeError(f"{self.name}: {describe(x)}: {n} points can't be transformed")

    def run(self, *arrays: Any, **params: Any) -> Any:
        (out,) = self.infer(families.array_type(arrays[0]), **params)
        found = self.compute(arrays[0], **params) if arrays[0].size else np.empty(out.shape)
        return found.astype(out.dtype.numpy, copy=False)

    def compute(self, x: Any, **params: Any) -> Any:
        """The transform of an array that isn't empty."""
        raise NotImplementedError

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()


class Fft(Transform):
    """y[k] = the sum over j of x[j] exp(-2 pi i j k / n), along each of several dimensions.

    The sign is + where `inverse`. Real numbers are transformed as complex ones are.
    """

    takes = (*REAL, *COMPLEX)
    dtypes = (*REAL, *COMPLEX)
    samples = (
        Sample(T((2, 6)), (1,)),
        Sample(T((3, 2, 5)), (0, 2), inverse=True),
        Sample(T((4, 3)), (0,), norm="ortho"),
        Sample(T((2, 2)), (0, 1), inverse=True, norm="forward"),
        Sample(T((0, 3)), (1,)),
        Sample(T((7,)), (0,), norm="forward"),
    )
    error_samples = (
        ErrorSample(RuntimeError, "0 points", T((2, 0)), (1,)),
        ErrorSample(RuntimeError, "norm must be", T((2, 3)), (1,), norm="whole"),
        ErrorSample(TypeError, "not defined for int64", T((2,), dtype="int64"), (0,)),
    )

    def prepare(self, x: Any, dims: Any, inverse: bool = False, norm: str = "backward") -> Prepared:
        x = lifted(x)
        dims = normalize_dims(dims, len(x.shape), self.name)
        return (x,), {"dims": dims, "inverse": bool(inverse), "norm": norm}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,) = inputs
        self.check(x, params["dims"], 1, params["norm"])
        return (TensorType(promote_types(x.dtype, complex64), x.shape),)

    def compute(self, x: Any, **params: Any) -> Any:
        function = np.fft.ifft if params["inverse"] else np.fft.fft
        # numpy.fft says "backward" where the forward transform isn't divided
        for d in reversed(params["dims"]):
            x = function(x, axis=d, norm=params["norm"])
        return x

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        norm = TRANSPOSED[params["norm"]]
        found = ops.fft(grads[0], params["dims"], not params["inverse"], norm)
        return [found if inputs[0].dtype.is_complex else ops.real(found)]


def _ends(size: Extent, inner: float, like: Any) -> Any:
    """1 for the frequencies 0 and n / 2 of n points, which real signals have once; `inner` for the
    others, which they have twice; (n // 2 + 1,)."""
    count = size // 2 + 1
    k = ops.arange(0, 1, count, int64)
    doubled = ops.add(k, k)
    end = ops.logical_or(ops.eq(k, 0), ops.eq(doubled, ops.full((), size, int64)))
    one, other = (ops.full((), v, like.dtype.to_real()) for v in (1.0, inner))
    return ops.where(end, one, other)


def _along(weights: Any, rank: int, dim: int) -> Any:
    return ops.reshape(weights, (weights.shape[0], *(1,) * (rank - dim - 1)))


class Rfft(Transform):
    """The first n // 2 + 1 frequencies of n real numbers, along a dimension.

    Each of the others is the conjugate of one of these.
    """

    takes = REAL
    samples = (
        Sample(T((2, 6))),
        Sample(T((5, 3)), 0),
        Sample(T((1,))),
        Sample(T((2, 7)), -1, "ortho"),
        Sample(T((4,)), 0, "forward"),
        Sample(T((0, 4))),
    )
    error_samples = (
        ErrorSample(RuntimeError, "0 points", T((0,))),
        ErrorSample(TypeError, "not defined for complex64", T((2,), dtype="complex64")),
    )

    def prepare(self, x: Any, dim: int = -1, norm: str = "backward") -> Prepared:
        x = lifted(x)
        return (x,), {"dim": normalize_dim(dim, len(x.shape), self.name), "norm": norm}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,), d = inputs, params["dim"]
        self.check(x, (d,), 1, params["norm"])
        shape = (*x.shape[:d], x.shape[d] // 2 + 1, *x.shape[d + 1 :])
        return (TensorType(promote_types(x.dtype, complex64), shape),)

    def compute(self, x: Any, **params: Any) -> Any:
        return np.fft.rfft(x, axis=params["dim"], norm=params["norm"])

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (x,), d = inputs, params["dim"]
        size, rank = x.shape[d], len(x.shape)
        halved = ops.mul(grads[0], _along(_ends(size, 0.5, x), rank, d))
        return [ops.irfft(halved, size, d, TRANSPOSED[params["norm"]])]


class Irfft(Transform):
    """The n real numbers whose first n // 2 + 1 frequencies are given, along a dimension.

    Imaginary parts of the frequencies 0 and n / 2 count for nothing.
    """

    takes = COMPLEX
    dtypes = COMPLEX
    samples = (
        Sample(T((2, 4)), 6),
        Sample(T((3, 3)), 5, 0),
        Sample(T((1,)), 1),
        Sample(T((2, 4)), 7, -1, "ortho"),
        Sample(T((3,)), 4, 0, "forward"),
        Sample(T((0, 3)), 4),
    )
    error_samples = (
        ErrorSample(RuntimeError, "0 points", T((2,), dtype="complex64"), 0),
        ErrorSample(RuntimeError, "expected 3 frequencies", T((2,), dtype="complex64"), 4),
        ErrorSample(TypeError, "not defined for float32", T((2,)), 2),
    )

    def prepare(self, x: Any, size: Any, dim: int = -1, norm: str = "backward") -> Prepared:
        x = lifted(x)
        d = normalize_dim(dim, len(x.shape), self.name)
        return (x,), {"size": size, "dim": d, "norm": norm}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,), d, size = inputs, params["dim"], params["size"]
        self.check(x, (d,), size, params["norm"])
        found, wanted = x.shape[d], size // 2 + 1
        if is_less(found, wanted, trusted=True) or is_less(wanted, found, trusted=True):
            raise ShapeError(
                f"irfft: {describe(x)}: expected {wanted} frequencies of {size} points"
            )
        return (TensorType(x.dtype.to_real(), (*x.shape[:d], size, *x.shape[d + 1 :])),)

    def compute(self, x: Any, **params: Any) -> Any:
        return np.fft.irfft(x, params["size"], params["dim"], params["norm"])

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        d, norm = params["dim"], TRANSPOSED[params["norm"]]
        weights = _ends(params["size"], 2.0, grads[0])
        found = ops.rfft(grads[0], d, norm)
        return [ops.mul(found, _along(weights, len(found.shape), d))]
