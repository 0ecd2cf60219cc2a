"""How tensors are shown: PyTorch's way."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from argand.base.conversion import plain
from argand.base.dtype import bool_, from_numpy, get_default_dtype, int64
from argand.base.errors import ArgumentError
from argand.base.shape import shape_text
from argand.tensor.core import Tensor
from argand.tensor.meta import is_meta


class PrintOptions:
    """What `set_printoptions` sets."""

    precision = 4
    threshold = 1000
    edgeitems = 3
    linewidth = 80
    sci_mode: bool | None = None


_NAMES = ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")
_PROFILES = {
    "default": (4, 1000, 3, 80),
    "short": (2, 1000, 2, 80),
    "full": (4, math.inf, 3, 80),
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print; what isn't given stays, except that `sci_mode` is set every time.

    `precision`: digits after the point (4); `threshold`: the number of elements above which a
    tensor is summarised (1000) to `edgeitems` at each end (3); `linewidth`: of a line (80);
    `sci_mode`: True or False for numbers such as 1.0e+05, None to choose. A `profile` sets several:
    "default", "short", "full" (nothing is summarised); ArgumentError for another. Follows
    `torch.set_printoptions`.

    >>> ag.set_printoptions(precision=2)
    >>> ag.tensor([3.14159])
    tensor([3.14])
    >>> ag.set_printoptions(profile="default")
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ArgumentError(f"set_printoptions: unknown profile {profile!r}")
        values: Any = _PROFILES[profile]
        (
            PrintOptions.precision,
            PrintOptions.threshold,
            PrintOptions.edgeitems,
            PrintOptions.linewidth,
        ) = values
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    for name, value in given.items():
        if value is not None:
            setattr(PrintOptions, name, value)
    PrintOptions.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """What `set_printoptions` has set, by its names.

    >>> ag.get_printoptions()["precision"]
    4
    """
    return {name: getattr(PrintOptions, name) for name in _NAMES}


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Set how tensors print inside a ``with`` block; takes what `set_printoptions` takes.

    >>> with ag.printoptions(precision=2):
    ...     print(ag.tensor([3.14159]))
    tensor([3.14])
    """
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def show(t: Any) -> str:
    """The text of a tensor."""
    kind = type(t).__name__
    name = (
        "tensor" if kind in ("Tensor", "Parameter", "Buffer") else kind
    )  # nn adds "Parameter containing:"
    if t._array is None:
        value = t._symbolic()
        told = getattr(value, "told", None)
        if told is not None:
            return str(told(t))
        return f"{name}(<traced>, shape={shape_text(value.shape)}, dtype={value.dtype!r})"
    shown = "..." if is_meta(t) else body(t, len(name) + 1)
    return with_suffixes(f"{name}({shown}", _suffixes(t), len(name) + 1)


def body(t: Any, indent: int) -> str:
    """The elements."""
    array = t._array
    if array.size == 0:
        return "[]"
    summarise = array.size > PrintOptions.threshold
    return _block(array, indent, summarise, _format_of(_shown(array, summarise)))


def with_suffixes(text: str, suffixes: list[str], indent: int, below: bool = False) -> str:
    """The text with what is said behind the elements, on lines of their own where they are full, or
    all of it `below` them."""
    length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if below or length + len(suffix) + 2 > PrintOptions.linewidth:
            text += ",\n" + " " * indent + suffix
            length, below = indent + len(suffix), False
        else:
            text += ", " + suffix
            length += len(suffix) + 2
    return text + ")"


def _suffixes(t: Any) -> list[str]:
    array, dtype, parts = t._array, t.dtype, []
    if is_meta(t):
        parts.append(f"device='meta', size={tuple(array.shape)}")
        array = np.ones((1,) * (array.ndim or 1))
    if (array.size == 0 and array.ndim != 1) or (array.size and not PrintOptions.edgeitems):
        parts.append(f"size={tuple(array.shape)}")
    if not is_usual(dtype) or (array.size == 0 and dtype is not get_default_dtype()):
        parts.append(f"dtype={dtype!r}")
    return parts + history(t)


def is_usual(dtype: Any) -> bool:
    """Whether a dtype goes without saying."""
    if dtype.is_complex:
        return bool(dtype.itemsize == 2 * get_default_dtype().itemsize)
    return dtype in (get_default_dtype(), bool_, int64)


def history(t: Any) -> list[str]:
    """What is said of gradients."""
    if t.grad_fn is not None:
        return [f"grad_fn={t.grad_fn!r}"]
    return ["requires_grad=True"] if t.requires_grad else []


def _shown(array: Any, summarise: bool) -> Any:
    """The elements that decide the format, flat: those that will be printed."""
    if summarise:
        edge = PrintOptions.edgeitems
        for axis, size in enumerate(array.shape):
            if size > 2 * edge:
                array = np.take(array, [*range(edge), *range(size - edge, size)], axis)
    return array.reshape(-1)


class _Words:
    """The format of integers and booleans: as wide as the widest."""

    def __init__(self, values: Any) -> None:
        self.width = max((len(str(v)) for v in values.tolist()), default=1)

    def __call__(self, value: Any) -> str:
        return str(value).rjust(self.width)


class _Floats:
    """The format of floats: whole, with a fraction, or scientific; as wide as the widest."""

    def __init__(self, values: Any) -> None:
        self.whole, self.scientific, self.width = True, False, 1
        values = values.astype(np.float64)
        values = values[np.isfinite(values) & (values != 0)]
        if not values.size:
            return
        sizes = np.abs(values)
        low, high = sizes.min(), sizes.max()
        self.whole = bool((values == np.ceil(values)).all())
        with np.errstate(over="ignore"):
            wide = bool(high / low > 1000.0 or high > 1e8 or low < 1e-4)
        self.scientific = wide if PrintOptions.sci_mode is None else PrintOptions.sci_mode
        texts = map(self._finite, values.tolist())
        self.width = max(1, *map(len, texts))

    def _finite(self, value: float) -> str:
        if self.scientific:
            return f"{value:.{PrintOptions.precision}e}"
        if self.whole:
            return f"{value:.0f}."
        return f"{value:.{PrintOptions.precision}f}"

    def __call__(self, value: Any) -> str:
        text = self._finite(value) if math.isfinite(value) else str(value)
        return text.rjust(self.width)


class _Complex:
    """The format of complex numbers, whose parts have formats of their own."""

    def __init__(self, values: Any) -> None:
        self.real, self.imag = _Floats(values.real), _Floats(values.imag)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, value: Any) -> str:
        imag = self.imag(value.imag).lstrip()
        return f"{self.real(value.real)}{'' if imag.startswith('-') else '+'}{imag}j"


_Format = _Words | _Floats | _Complex


def _format_of(values: Any) -> _Format:
    kind = from_numpy(values.dtype).kind
    return _Complex(values) if kind == "c" else _Floats(values) if kind in "fs" else _Words(values)


def _values(array: Any) -> Any:
    """The elements as Python's numbers."""
    return plain(array).tolist()


def _block(array: Any, indent: int, summarise: bool, formatted: _Format) -> str:
    if array.ndim == 0:
        return formatted(_values(array))
    edge = PrintOptions.edgeitems
    cut = summarise and array.shape[0] > 2 * edge
    if array.ndim == 1:
        return _line(array, indent, summarise, formatted)
    inner = indent + 1
    rows = [_block(r, inner, summarise, formatted) for r in (array[:edge] if cut else array)]
    if cut:
        last = array[array.shape[0] - edge :]
        rows += ["...", *[_block(r, inner, summarise, formatted) for r in last]]
    between: str = "," + "\n" * (array.ndim - 1) + " " * inner
    return "[" + between.join(rows) + "]"


def _line(array: Any, indent: int, summarise: bool, formatted: _Format) -> str:
    """A row of elements, on as many lines as it takes."""
    edge = PrintOptions.edgeitems
    if summarise and not edge:
        items = ["..."]
    elif summarise and array.shape[0] > 2 * edge:
        ends = (map(formatted, _values(part)) for part in (array[:edge], array[-edge:]))
        first, last = ends
        items = [*first, " ...", *last]
    else:
        items = [formatted(v) for v in _values(array)]
    per_line = max(1, math.floor((PrintOptions.linewidth - indent) / (formatted.width + 2)))
    lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def formatted(self: Any, spec: str) -> Any:
    """The number of a 0-d tensor, formatted; ``format(t, ".2f")`` takes any single element."""
    number = type(self) is Tensor and not self.ndim and not is_meta(self)
    if number or (spec and self.numpy_array().size == 1):
        return format(self.item(), spec)
    return format(show(self), spec)
