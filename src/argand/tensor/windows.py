"""Windows: weights of the samples of a stretch of a signal, computed in float64 and rounded once.

A symmetric window of N points ends where it begins. One for spectra is periodic: the first N points
of a symmetric window of N + 1.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any, Unpack

from argand.base.dtype import DType, as_dtype, get_default_dtype
from argand.base.errors import ArgumentError, CallError, DTypeError
from argand.base.layout import strided
from argand.ir.op import ops
from argand.tensor.creation import CreationOptions, finished


def _positions(count: int, start: float, step: float) -> Any:
    """start + i step, of each point i."""
    return ops.add(ops.mul(ops.arange(0, 1, count, "float64"), step), start)


def _period(count: int, sym: bool) -> int:
    """How many steps lie between the first point and where the window begins again."""
    return max(count - 1 if sym else count, 1)


def _cosines(count: int, coefficients: Sequence[float], sym: bool) -> Any:
    """The sum over i of (-1)^i a[i] cos(2 pi i n / period), of each point n."""
    if count == 1:
        return ops.full((1,), 1.0, "float64")
    turn = _positions(count, 0.0, 2 * math.pi / _period(count, sym))
    found = ops.full((count,), float(coefficients[0]), "float64")
    for i, a in enumerate(coefficients[1:], 1):
        found = ops.add(found, ops.mul(ops.cos(ops.mul(turn, i)), float(-a if i % 2 else a)))
    return found


def _triangle(count: int, sym: bool) -> Any:
    if count == 1:
        return ops.full((1,), 1.0, "float64")
    return ops.sub(1.0, ops.abs(_positions(count, -1.0, 2 / _period(count, sym))))


def _kaiser(count: int, beta: float, sym: bool) -> Any:
    if count == 1:
        return ops.full((1,), 1.0, "float64")
    x = _positions(count, -1.0, 2 / _period(count, sym))
    under = ops.clamp(ops.sub(1.0, ops.square(x)), 0.0, None)
    return ops.div(ops.i0(ops.mul(ops.sqrt(under), beta)), ops.i0(ops.full((), beta, "float64")))


# -- torch.signal.windows --------------------------------------------------------------------------


def _checked(name: str, M: Any, dtype: Any, options: Any) -> tuple[int, DType]:
    count = int(M) if M in (0, 1) else operator.index(M)  # PyTorch takes 0. and 1. too
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    if count < 0:
        raise ArgumentError(f"{name}: a window has at least 0 points, got {count}")
    if wanted.name not in ("float32", "float64"):
        raise CallError(f"{name}: dtype must be float32 or float64, got {wanted.name}")
    if options.get("layout") not in (None, strided):
        raise CallError(f"{name}: layout must be strided, got {options['layout']}")
    return count, wanted


def _window(values: Any, dtype: DType, options: Any) -> Any:
    return finished(ops.cast(values, dtype), **options)


def general_cosine(
    M: int,
    *,
    a: Iterable[float],
    sym: bool = True,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Any:
    """w[n] = sum over i of (-1)^i a[i] cos(2 pi i n / (M - 1)), a window of M points.

    With ``sym=False`` M takes the place of M - 1, for spectra. Raises CallError for coefficients
    that are none, and for dtypes other than float32 and float64. Follows
    `torch.signal.windows.general_cosine`.

    >>> ag.signal.windows.general_cosine(5, a=[0.5, 0.5])
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    count, wanted = _checked("general_cosine", M, dtype, options)
    if not isinstance(a, Iterable):
        raise CallError(f"general_cosine: a must be a list of numbers, got {a!r}")
    coefficients = list(a)
    if not coefficients:
        raise CallError("general_cosine: a must have at least one number")
    return _window(_cosines(count, coefficients, sym), wanted, options)


def general_hamming(
    M: int,
    *,
    alpha: float = 0.54,
    sym: bool = True,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Any:
    """w[n] = alpha - (1 - alpha) cos(2 pi n / (M - 1)); see `general_cosine`.

    >>> ag.signal.windows.general_hamming(5, alpha=0.5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, dtype=dtype, **options)


def hamming(
    M: int, *, sym: bool = True, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Any:
    """w[n] = 0.54 - 0.46 cos(2 pi n / (M - 1)); see `general_cosine`.

    >>> ag.signal.windows.hamming(5)
    tensor([0.0800, 0.5400, 1.0000, 0.5400, 0.0800])
    """
    return general_hamming(M, sym=sym, dtype=dtype, **options)


def hann(M: int, *, sym: bool = True, dtype: Any = None, **options: Unpack[CreationOptions]) -> Any:
    """w[n] = (1 - cos(2 pi n / (M - 1))) / 2; see `general_cosine`.

    >>> ag.signal.windows.hann(4, sym=False)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return general_hamming(M, alpha=0.5, sym=sym, dtype=dtype, **options)


def blackman(
    M: int, *, sym: bool = True, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Any:
    """w[n] = 0.42 - 0.5 cos(2 pi n / (M - 1)) + 0.08 cos(4 pi n / (M - 1)); see `general_cosine`.

    >>> ag.signal.windows.blackman(4, sym=False)[1:]
    tensor([0.3400, 1.0000, 0.3400])
    """
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, dtype=dtype, **options)


def nuttall(
    M: int, *, sym: bool = True, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Any:
    """Nuttall's window of four cosines (1981), with very low side lobes; see `general_cosine`.

    >>> ag.signal.windows.nuttall(5)
    tensor([3.6280e-04, 2.2698e-01, 1.0000e+00, 2.2698e-01, 3.6280e-04])
    """
    coefficients = [0.3635819, 0.4891775, 0.1365995, 0.0106411]
    return general_cosine(M, a=coefficients, sym=sym, dtype=dtype, **options)


def bartlett(
    M: int, *, sym: bool = True, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Any:
    """w[n] = 1 - |2 n / (M - 1) - 1|, a triangle; with ``sym=False`` over M.

    >>> ag.signal.windows.bartlett(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    count, wanted = _checked("bartlett", M, dtype, options)
    return _window(_triangle(count, sym), wanted, options)


def cosine(
    M: int, *, sym: bool = True, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Any:
    """w[n] = sin(pi (n + 1/2) / M); with ``sym=False`` over M + 1.

    >>> ag.signal.windows.cosine(3)
    tensor([0.5000, 1.0000, 0.5000])
    """
    count, wanted = _checked("cosine", M, dtype, options)
    step = math.pi / max(count + 1 if not sym and count > 1 else count, 1)
    return _window(ops.sin(_positions(count, step / 2, step)), wanted, options)


def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Any:
    """w[n] = exp(-|n - center| / tau), whose center is (M - 1) / 2, or M / 2 with ``sym=False``.

    Another center can be given only with ``sym=False``. Raises CallError for tau <= 0. Follows
    `torch.signal.windows.exponential`.

    >>> ag.signal.windows.exponential(3)
    tensor([0.3679, 1.0000, 0.3679])
    """
    count, wanted = _checked("exponential", M, dtype, options)
    if tau <= 0:
        raise CallError(f"exponential: tau must be over 0, got {tau}")
    if sym and center is not None:
        raise CallError("exponential: center can be given only with sym=False")
    if center is None:
        center = (count if not sym and count > 1 else count - 1) / 2
    distance = ops.abs(_positions(count, -center, 1.0))
    return _window(ops.exp(ops.div(distance, -tau)), wanted, options)


def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Any:
    """w[n] = exp(-((n - (M - 1) / 2) / std)^2 / 2); with ``sym=False`` around M / 2.

    Raises CallError for std <= 0. Follows `torch.signal.windows.gaussian`.

    >>> ag.signal.windows.gaussian(3)
    tensor([0.6065, 1.0000, 0.6065])
    """
    count, wanted = _checked("gaussian", M, dtype, options)
    if std <= 0:
        raise CallError(f"gaussian: std must be over 0, got {std}")
    center = (count if not sym and count > 1 else count - 1) / 2
    scaled = ops.div(_positions(count, -center, 1.0), std)
    return _window(ops.exp(ops.mul(ops.square(scaled), -0.5)), wanted, options)


def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Any:
    """w[n] = i0(beta sqrt(1 - x^2)) / i0(beta) for x = 2 n / (M - 1) - 1; over M if not `sym`.

    Raises CallError for beta < 0. Follows `torch.signal.windows.kaiser`.

    >>> ag.signal.windows.kaiser(3, beta=2.0)
    tensor([0.4387, 1.0000, 0.4387])
    """
    count, wanted = _checked("kaiser", M, dtype, options)
    if beta < 0:
        raise CallError(f"kaiser: beta must not be negative, got {beta}")
    return _window(_kaiser(count, float(beta), sym), wanted, options)


# -- torch.hann_window and its like ----------------------------------------------------------------


def _older(name: str, window_length: Any, dtype: Any) -> tuple[int, DType]:
    if isinstance(window_length, bool):
        raise CallError(f"{name}: window_length must be an int, got {window_length}")
    count = operator.index(window_length)
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    if not wanted.is_floating_point:
        raise DTypeError(f"{name}: dtype must be of floats, got {wanted.name}")
    if count < 0:
        raise ArgumentError(f"{name}: window_length must not be negative, got {count}")
    return count, wanted


def hann_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Any:
    """w[n] = (1 - cos(2 pi n / N)) / 2 of N points; over N - 1, symmetric, unless `periodic`.

    In the default float dtype unless given. Raises ArgumentError for a negative length. Follows
    `torch.hann_window`.

    >>> ag.hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    count, wanted = _older("hann_window", window_length, dtype)
    return _window(_cosines(count, (0.5, 0.5), not periodic), wanted, options)


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Any:
    """w[n] = alpha - beta cos(2 pi n / N) of N points; over N - 1, symmetric, unless `periodic`.

    The options are those of `hann_window`. Follows `torch.hamming_window`.

    >>> ag.hamming_window(4)
    tensor([0.0800, 0.5400, 1.0000, 0.5400])
    """
    count, wanted = _older("hamming_window", window_length, dtype)
    return _window(_cosines(count, (alpha, beta), not periodic), wanted, options)


def blackman_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Any:
    """w[n] = 0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N) of N points, or over N - 1.

    The options are those of `hann_window`. Follows `torch.blackman_window`.

    >>> ag.blackman_window(4)[1:]
    tensor([0.3400, 1.0000, 0.3400])
    """
    count, wanted = _older("blackman_window", window_length, dtype)
    return _window(_cosines(count, (0.42, 0.5, 0.08), not periodic), wanted, options)


def bartlett_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Any:
    """w[n] = 1 - |2 n / N - 1| of N points; over N - 1, symmetric, unless `periodic`.

    The options are those of `hann_window`. Follows `torch.bartlett_window`.

    >>> ag.bartlett_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    count, wanted = _older("bartlett_window", window_length, dtype)
    return _window(_triangle(count, not periodic), wanted, options)


def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Any:
    """w[n] = i0(beta sqrt(1 - x^2)) / i0(beta) for x = 2 n / N - 1; over N - 1 unless `periodic`.

    The options are those of `hann_window`. Follows `torch.kaiser_window`.

    >>> ag.kaiser_window(4, beta=2.0)
    tensor([0.4387, 0.8348, 1.0000, 0.8348])
    """
    count, wanted = _older("kaiser_window", window_length, dtype)
    return _window(_kaiser(count, float(beta), not periodic), wanted, options)
