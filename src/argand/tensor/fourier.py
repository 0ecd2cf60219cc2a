"""Fourier transforms as in `torch.fft`: padding, several dimensions, and frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from argand.base.dim import is_less, same
from argand.base.dtype import as_dtype, complex64, get_default_dtype, promote_types
from argand.base.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from argand.base.shape import normalize_dim
from argand.ir.op import describe, ops
from argand.ops.fourier import REAL, TRANSPOSED
from argand.tensor.arranging import roll
from argand.tensor.creation import CreationOptions, finished, sizes
from argand.tensor.joining import sliced
from argand.tensor.shaping import listed


def _norm(name: str, norm: str | None, transposed: bool = False) -> str:
    """The norm in the words of the ops, or that of the transform in the other direction."""
    if norm is None:
        norm = "backward"
    if norm not in TRANSPOSED:
        raise ArgumentError(f"{name}: norm must be 'forward', 'backward' or 'ortho', got {norm!r}")
    return TRANSPOSED[norm] if transposed else norm


def _inexact(x: Any) -> Any:
    """Integers and booleans as the default float dtype."""
    return x if x.dtype.is_inexact else ops.cast(x, get_default_dtype())


def _real(name: str, x: Any) -> Any:
    if x.dtype.is_complex:
        raise DTypeError(f"{name}: {describe(x)}: expected real numbers")
    return _inexact(x)


def _complex(x: Any) -> Any:
    """Numbers as complex ones; the ops refuse 16-bit floats."""
    x = _inexact(x)
    return ops.cast(x, promote_types(x.dtype, complex64)) if x.dtype.name in REAL else x


def _dim(name: str, x: Any, dim: int) -> int:
    if not x.ndim:
        raise IndexRangeError(f"{name}: {describe(x)}: there is no dimension to transform")
    return normalize_dim(dim, x.ndim, name)


def _fit(name: str, x: Any, dim: int, count: Any) -> Any:
    """The first `count` elements along a dimension, with zeros behind where there are fewer."""
    if is_less(count, 1):
        raise ArgumentError(f"{name}: {describe(x)}: {count} points can't be transformed")
    size = x.shape[dim]
    if same(size, count):
        return x
    if not is_less(count, size):
        more = count - size if is_less(size, count) else count
        x = ops.pad(x, tuple((0, more if d == dim else 0) for d in range(x.ndim)), 0)
    return x if same(x.shape[dim], count) else sliced(x, dim, 0, count)


def _several(name: str, x: Any, s: Any, dim: Any) -> tuple[list[Any], list[int]]:
    """How many points along which dimensions, in the order given; by default all there are."""
    counts = None if s is None else list(sizes((tuple(listed(s)),)))
    if dim is None:
        taken = x.ndim if counts is None else len(counts)
        if taken > x.ndim:
            raise ArgumentError(f"{name}: {describe(x)}: {taken} numbers of points are too many")
        dims = list(range(x.ndim - taken, x.ndim))
    else:
        dims = [_dim(name, x, d) for d in listed(dim)]
    if len(set(dims)) != len(dims):
        raise ArgumentError(f"{name}: {describe(x)}: a dimension appears twice in {dim}")
    if counts is None:
        counts = [-1] * len(dims)
    if len(counts) != len(dims):
        raise ArgumentError(f"{name}: {len(counts)} numbers of points for {len(dims)} dimensions")
    return counts, dims


def _fit_all(name: str, x: Any, counts: Sequence[Any], dims: Sequence[int]) -> Any:
    for count, d in zip(counts, dims, strict=True):
        x = _fit(name, x, d, x.shape[d] if _is_whole(count) else count)
    return x


def _is_whole(count: Any) -> bool:
    return isinstance(count, int) and count == -1


def _transformed(name: str, x: Any, dims: Sequence[int], inverse: bool, norm: str) -> Any:
    return ops.fft(x, tuple(dims), inverse, norm) if dims else _complex(x)


# -- one dimension ---------------------------------------------------------------------------------


def _along(name: str, x: Any, n: Any, dim: int, inverse: bool, norm: str | None) -> Any:
    d, x = _dim(name, x, dim), _inexact(x)
    x = _fit(name, x, d, x.shape[d] if n is None else sizes((n,))[0])
    return ops.fft(x, (d,), inverse, _norm(name, norm))


def fft(input: Any, n: Any = None, dim: int = -1, norm: str | None = None) -> Any:
    """y[k] = sum over j of x[j] exp(-2 pi i j k / n), the discrete Fourier transform along `dim`.

    Of `n` elements, zeros behind where there are fewer; all unless given. `norm` "forward" divides
    by n, "ortho" by its root, "backward" (also None) by nothing; the inverse then divides by what
    is left of n. Real numbers count as complex ones; integers become floats. Raises DTypeError for
    16-bit floats. By NumPy's pocketfft, also in compiled programs. Follows `torch.fft.fft`.

    >>> ag.fft.fft(ag.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([10.+0.j, -2.+2.j, -2.+0.j, -2.-2.j])
    """
    return _along("fft", input, n, dim, False, norm)


def ifft(input: Any, n: Any = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse of `fft`: sum over k of x[k] exp(2 pi i j k / n) / n; see there.

    >>> ag.fft.ifft(ag.tensor([10.0, -2.0 + 2j, -2.0, -2.0 - 2j]))
    tensor([1.+0.j, 2.+0.j, 3.+0.j, 4.+0.j])
    """
    return _along("ifft", input, n, dim, True, norm)


def rfft(input: Any, n: Any = None, dim: int = -1, norm: str | None = None) -> Any:
    """The first n // 2 + 1 results of `fft` of real numbers; the others are their conjugates.

    Raises DTypeError for complex numbers. Follows `torch.fft.rfft`.

    >>> ag.fft.rfft(ag.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([10.+0.j, -2.+2.j, -2.+0.j])
    """
    return _forward_real("rfft", input, n, dim, _norm("rfft", norm))


def _forward_real(name: str, input: Any, n: Any, dim: int, norm: str) -> Any:
    x = _real(name, input)
    d = _dim(name, x, dim)
    return ops.rfft(_fit(name, x, d, x.shape[d] if n is None else sizes((n,))[0]), d, norm)


def irfft(input: Any, n: Any = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse of `rfft`: n real numbers of their first n // 2 + 1 frequencies.

    n is 2 (m - 1) for m frequencies unless given: for odd n it must be. Imaginary parts of
    frequencies 0 and n / 2 count for nothing. Follows `torch.fft.irfft`.

    >>> ag.fft.irfft(ag.fft.rfft(ag.tensor([1.0, 2.0, 3.0])), n=3)
    tensor([1., 2., 3.])
    """
    return _to_real("irfft", _complex(input), n, dim, _norm("irfft", norm))


def _to_real(name: str, x: Any, n: Any, dim: int, norm: str) -> Any:
    d = _dim(name, x, dim)
    count = 2 * (x.shape[d] - 1) if n is None or _is_whole(n) else sizes((n,))[0]
    if is_less(count, 1):
        raise ArgumentError(f"{name}: {describe(x)}: {count} points can't be the result")
    return ops.irfft(_fit(name, x, d, count // 2 + 1), count, d, norm)


def hfft(input: Any, n: Any = None, dim: int = -1, norm: str | None = None) -> Any:
    """`fft` of a signal that is the conjugate of itself reversed: n real numbers.

    Its first n // 2 + 1 elements are given, n being 2 (m - 1) unless given. Follows
    `torch.fft.hfft`.

    >>> ag.fft.hfft(ag.tensor([2.0, 1.0j]), n=3)
    tensor([2.0000, 3.7321, 0.2679])
    """
    return _to_real("hfft", ops.conj(_complex(input)), n, dim, _norm("hfft", norm, True))


def ihfft(input: Any, n: Any = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse of `hfft`: the first n // 2 + 1 results of `ifft` of real numbers.

    >>> ag.fft.ihfft(ag.tensor([2.0, 3.7320509, 0.2679492]))[1].imag
    tensor(1.)
    """
    return ops.conj(_forward_real("ihfft", input, n, dim, _norm("ihfft", norm, True)))


# -- several dimensions ----------------------------------------------------------------------------

_LAST = (-2, -1)


def fftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """`fft` along several dimensions: `dim`, or the last len(s), or all.

    `s` has the number of points for each, -1 for all there are. Follows `torch.fft.fftn`.

    >>> ag.fft.fftn(ag.ones(2, 2)).real
    tensor([[4., 0.],
            [0., 0.]])
    """
    return _nd("fftn", input, s, dim, False, norm)


def _nd(name: str, input: Any, s: Any, dim: Any, inverse: bool, norm: str | None) -> Any:
    x = _inexact(input)
    counts, dims = _several(name, x, s, dim)
    return _transformed(name, _fit_all(name, x, counts, dims), dims, inverse, _norm(name, norm))


def ifftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """The inverse of `fftn`; see there.

    >>> ag.fft.ifftn(ag.fft.fftn(ag.ones(2, 2))).real
    tensor([[1., 1.],
            [1., 1.]])
    """
    return _nd("ifftn", input, s, dim, True, norm)


def _with_last(name: str, x: Any, s: Any, dim: Any) -> tuple[list[Any], list[int]]:
    counts, dims = _several(name, x, s, dim)
    if not dims:
        raise ArgumentError(f"{name}: {describe(x)}: there must be a dimension to transform")
    return counts, dims


def rfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """`rfft` along the last of several dimensions, then `fft` along the others; see `fftn`.

    >>> ag.fft.rfftn(ag.ones(2, 4)).shape
    argand.Size([2, 3])
    """
    x = _real("rfftn", input)
    counts, dims = _with_last("rfftn", x, s, dim)
    way = _norm("rfftn", norm)
    found = ops.rfft(_fit_all("rfftn", x, counts, dims), dims[-1], way)
    return _transformed("rfftn", found, dims[:-1], False, way)


def irfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """The inverse of `rfftn`: real numbers, 2 (m - 1) along the last dimension unless given.

    >>> ag.fft.irfftn(ag.fft.rfftn(ag.ones(2, 2)))
    tensor([[1., 1.],
            [1., 1.]])
    """
    x = _complex(input)
    counts, dims = _with_last("irfftn", x, s, dim)
    way = _norm("irfftn", norm)
    x = _fit_all("irfftn", x, counts[:-1], dims[:-1])
    x = _transformed("irfftn", x, dims[:-1], True, way)
    return _to_real("irfftn", x, counts[-1], dims[-1], way)


def hfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """`fft` along several dimensions, then `hfft` along the last of them: real numbers.

    >>> ag.fft.hfftn(ag.ones(2, 2))
    tensor([[4., 0.],
            [0., 0.]])
    """
    x = _complex(input)
    counts, dims = _with_last("hfftn", x, s, dim)
    x = _fit_all("hfftn", x, counts[:-1], dims[:-1])
    x = _transformed("hfftn", x, dims[:-1], False, _norm("hfftn", norm))
    return _to_real("hfftn", ops.conj(x), counts[-1], dims[-1], _norm("hfftn", norm, True))


def ihfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """The inverse of `hfftn`: `ihfft` along the last of several dimensions, `ifft` along others.

    >>> ag.fft.ihfftn(ag.ones(2, 2)).real
    tensor([[1., 0.],
            [0., 0.]])
    """
    x = _real("ihfftn", input)
    counts, dims = _with_last("ihfftn", x, s, dim)
    x = _fit_all("ihfftn", x, counts, dims)
    found = ops.conj(ops.rfft(x, dims[-1], _norm("ihfftn", norm, True)))
    return _transformed("ihfftn", found, dims[:-1], True, _norm("ihfftn", norm))


def fft2(input: Any, s: Any = None, dim: Any = _LAST, norm: str | None = None) -> Any:
    """`fftn` along two dimensions, the last unless given.

    >>> ag.fft.fft2(ag.ones(2, 2)).real
    tensor([[4., 0.],
            [0., 0.]])
    """
    return fftn(input, s, dim, norm)


def ifft2(input: Any, s: Any = None, dim: Any = _LAST, norm: str | None = None) -> Any:
    """`ifftn` along two dimensions, the last unless given.

    >>> ag.fft.ifft2(ag.ones(2, 2)).real
    tensor([[1., 0.],
            [0., 0.]])
    """
    return ifftn(input, s, dim, norm)


def rfft2(input: Any, s: Any = None, dim: Any = _LAST, norm: str | None = None) -> Any:
    """`rfftn` along two dimensions, the last unless given.

    >>> ag.fft.rfft2(ag.ones(2, 4)).shape
    argand.Size([2, 3])
    """
    return rfftn(input, s, dim, norm)


def irfft2(input: Any, s: Any = None, dim: Any = _LAST, norm: str | None = None) -> Any:
    """`irfftn` along two dimensions, the last unless given.

    >>> ag.fft.irfft2(ag.ones(2, 2))
    tensor([[1., 0.],
            [0., 0.]])
    """
    return irfftn(input, s, dim, norm)


def hfft2(input: Any, s: Any = None, dim: Any = _LAST, norm: str | None = None) -> Any:
    """`hfftn` along two dimensions, the last unless given.

    >>> ag.fft.hfft2(ag.ones(2, 2))
    tensor([[4., 0.],
            [0., 0.]])
    """
    return hfftn(input, s, dim, norm)


def ihfft2(input: Any, s: Any = None, dim: Any = _LAST, norm: str | None = None) -> Any:
    """`ihfftn` along two dimensions, the last unless given.

    >>> ag.fft.ihfft2(ag.ones(2, 2)).real
    tensor([[1., 0.],
            [0., 0.]])
    """
    return ihfftn(input, s, dim, norm)


# -- frequencies -----------------------------------------------------------------------------------


def _frequencies(name: str, n: int, d: float, dtype: Any, half: bool, options: Any) -> Any:
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    if not wanted.is_floating_point:
        raise DTypeError(f"{name}: dtype must be of floats, got {wanted.name}")
    (count,) = sizes((n,))
    if is_less(count, 0):
        raise ShapeError(f"{name}: n must not be negative, got {n}")
    k = ops.arange(0, 1, count // 2 + 1 if half else count, "float64")
    if not half:
        k = ops.where(ops.lt(k, (count + 1) // 2), k, ops.sub(k, count))
    return finished(ops.cast(ops.div(k, count * d), wanted), **options)


def fftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Any:
    """The frequencies of `fft` of n points that are `d` apart: 0, 1, ..., -2, -1 over n d.

    >>> ag.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    return _frequencies("fftfreq", n, d, dtype, False, options)


def rfftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Any:
    """The frequencies of `rfft` of n points that are `d` apart: 0, 1, ..., n // 2 over n d.

    >>> ag.fft.rfftfreq(4)
    tensor([0.0000, 0.2500, 0.5000])
    """
    return _frequencies("rfftfreq", n, d, dtype, True, options)


def fftshift(input: Any, dim: Any = None) -> Any:
    """Results of `fftn` with frequency 0 in the middle of each of the dimensions `dim`, or of all.

    >>> ag.fft.fftshift(ag.fft.fftfreq(4))
    tensor([-0.5000, -0.2500,  0.0000,  0.2500])
    """
    dims = list(range(input.ndim)) if dim is None else listed(dim)
    return roll(input, [input.shape[d] // 2 for d in dims], dims)


def ifftshift(input: Any, dim: Any = None) -> Any:
    """The inverse of `fftshift`.

    >>> ag.fft.ifftshift(ag.fft.fftshift(ag.fft.fftfreq(5)))
    tensor([ 0.0000,  0.2000,  0.4000, -0.4000, -0.2000])
    """
    dims = list(range(input.ndim)) if dim is None else listed(dim)
    return roll(input, [(input.shape[d] + 1) // 2 for d in dims], dims)
