"""The standard's extension for Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand import fft as own
from argand.base.dtype import as_dtype
from argand.base.errors import ArgumentError, DTypeError
from argand.ir.op import ops
from argand.tensor.device import check_device


def _along_one(name: str) -> Callable[..., Any]:
    function = getattr(own, name)

    def call(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
        return function(x, n, axis, norm)

    return _named(call, name)


def _along_several(name: str) -> Callable[..., Any]:
    function = getattr(own, name)

    def call(x: Any, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Any:
        return function(x, s, axes, norm)

    return _named(call, name)


def _named(call: Any, name: str) -> Callable[..., Any]:
    call.__name__ = call.__qualname__ = name
    call.__doc__ = (
        f"`argand.fft.{name}`, with the standard's names of arguments.\n\n"
        f"    >>> callable(ag.array_api.fft.{name})\n    True\n    "
    )
    return call  # type: ignore[no-any-return]  # it is a function


fft, ifft, rfft, irfft, hfft, ihfft = map(
    _along_one, ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
)
fftn, ifftn, rfftn, irfftn = map(_along_several, ("fftn", "ifftn", "rfftn", "irfftn"))


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of the elements of `fft`, for samples at a distance d.

    >>> ag.array_api.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    return _frequencies(own.fftfreq, n, d, dtype, device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of the elements of `rfft`, for samples at a distance d.

    >>> ag.array_api.fft.rfftfreq(4)
    tensor([0.0000, 0.2500, 0.5000])
    """
    return _frequencies(own.rfftfreq, n, d, dtype, device)


def _frequencies(function: Any, n: int, d: float, dtype: Any, device: Any) -> Any:
    check_device(device)
    if dtype is not None and not as_dtype(dtype).is_floating_point:
        raise DTypeError(f"frequencies are floats, not {as_dtype(dtype).name}")
    if not d:
        raise ArgumentError("frequencies: the distance d of samples must not be 0")
    found = function(n, d)
    return found if dtype is None else ops.cast(found, as_dtype(dtype))


def fftshift(x: Any, /, *, axes: Any = None) -> Any:
    """The zero frequency moved to the middle.

    >>> ag.array_api.fft.fftshift(ag.tensor([0, 1, -2, -1]))
    tensor([-2, -1,  0,  1])
    """
    return own.fftshift(x, axes)


def ifftshift(x: Any, /, *, axes: Any = None) -> Any:
    """The zero frequency moved back to the beginning.

    >>> ag.array_api.fft.ifftshift(ag.tensor([-2, -1, 0, 1]))
    tensor([ 0,  1, -2, -1])
    """
    return own.ifftshift(x, axes)


__all__ = [
    "fft",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfftn",
    "rfft",
    "rfftfreq",
    "rfftn",
]
