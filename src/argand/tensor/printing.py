"""How tensors are shown: PyTorch's way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.base.dtype import bool_, get_default_dtype, int64
from argand.base.errors import ArgumentError


class PrintOptions:
    """What `set_printoptions` sets."""

    precision = 4
    threshold = 1000
    edgeitems = 3
    linewidth = 80
    sci_mode: bool | None = None


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


def show(t: Any) -> str:
    """The text of a tensor."""
    kind = type(t).__name__
    name = (
        "tensor" if kind in ("Tensor", "Parameter", "Buffer") else kind
    )  # nn adds "Parameter containing:"
    if t._array is None:
        value = t._symbolic()
        sizes = ", ".join(map(str, value.shape))
        return f"{name}(<traced>, shape=({sizes}), dtype={value.dtype!r})"
    return f"{name}({body(t, len(name) + 1)}{_suffix(t)})"


def body(t: Any, indent: int) -> str:
    """The elements."""
    array = t._array
    if array.size == 0:
        return "[]"
    summarise = array.size > PrintOptions.threshold
    shown = _shown(array, summarise)
    formatter = _Formatter(shown)
    return _block(array, indent, summarise, formatter)


def _suffix(t: Any) -> str:
    parts = []
    array = t._array
    if array.size == 0 and array.ndim != 1:
        parts.append(f"size={tuple(array.shape)}")
    dtype = t.dtype
    usual = dtype in (get_default_dtype(), bool_) or dtype is int64
    if dtype.is_complex:
        usual = dtype.itemsize == 2 * get_default_dtype().itemsize
    if not usual or (array.size == 0 and dtype is not get_default_dtype()):
        parts.append(f"dtype={dtype!r}")
    if t.grad_fn is not None:
        parts.append(f"grad_fn={t.grad_fn!r}")
    elif t.requires_grad:
        parts.append("requires_grad=True")
    return "".join(f", {p}" for p in parts)


def _shown(array: Any, summarise: bool) -> Any:
    """The elements that will be printed, flat."""
    if summarise:
        edge = PrintOptions.edgeitems
        for axis, size in enumerate(array.shape):
            if size > 2 * edge:
                array = np.take(array, [*range(edge), *range(size - edge, size)], axis)
    return array.reshape(-1)


class _Formatter:
    """One format for all elements: as wide as the widest."""

    def __init__(self, values: Any) -> None:
        self.scientific = False
        self.whole = False
        if values.dtype.kind == "c":
            self.parts = (_Formatter(values.real), _Formatter(values.imag))
            self.kind = "c"
            self.width = 0
            return
        self.kind = "f" if values.dtype.kind in "fV" else values.dtype.kind
        if self.kind == "f":
            self._choose(values.astype(np.float64))
            values = values.astype(np.float64)
            values = values[np.isfinite(values) & (values != 0)]
        self.width = 0
        self.width = max((len(self(v)) for v in values), default=0)

    def _choose(self, values: Any) -> None:
        finite = np.abs(values[np.isfinite(values) & (values != 0)])
        if not finite.size:
            self.whole = True
            self.scientific = bool(PrintOptions.sci_mode)
            return
        low, high = finite.min(), finite.max()
        self.whole = bool((finite == np.ceil(finite)).all())
        if self.whole:
            self.scientific = bool(high / low > 1000.0 or high > 1e8)
        else:
            self.scientific = bool(high / low > 1000.0 or high > 1e8 or low < 1e-4)
        if self.whole and high / low > 1000.0 and high <= 1e8:
            self.scientific = high > 1e8
        if PrintOptions.sci_mode is not None:
            self.scientific = PrintOptions.sci_mode

    def __call__(self, value: Any) -> str:
        if self.kind == "c":
            real, imag = self.parts[0](value.real), self.parts[1](value.imag).lstrip()
            return f"{real}{'' if imag.startswith('-') else '+'}{imag}j"
        if self.kind == "f":
            text = self._float(float(value))
        else:
            text = str(value.item())
        return text.rjust(self.width)

    def _float(self, value: float) -> str:
        if not math.isfinite(value):
            return "nan" if value != value else ("inf" if value > 0 else "-inf")
        if self.scientific:
            return f"{value:.{PrintOptions.precision}e}"
        if self.whole:
            return f"{value:.0f}."
        return f"{value:.{PrintOptions.precision}f}"


def _block(array: Any, indent: int, summarise: bool, formatter: _Formatter) -> str:
    if array.ndim == 0:
        return formatter(array[()]).strip() if formatter.kind != "c" else formatter(array[()])
    edge = PrintOptions.edgeitems
    cut = summarise and array.shape[0] > 2 * edge
    if array.ndim == 1:
        items = [formatter(v) for v in (array[:edge] if cut else array)]
        if cut:
            items += [" ...", *[formatter(v) for v in array[-edge:]]]
        width = max(max(map(len, items)) + 2, 1)
        per_line = max(1, (PrintOptions.linewidth - indent) // width)
        lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    inner = indent + 1
    rows = [_block(r, inner, summarise, formatter) for r in (array[:edge] if cut else array)]
    if cut:
        rows += ["...", *[_block(r, inner, summarise, formatter) for r in array[-edge:]]]
    between: str = "," + "\n" * (array.ndim - 1) + " " * inner
    return "[" + between.join(rows) + "]"


def formatted(self: Any, spec: str) -> Any:
    """``format(t, ".2f")`` of a one-element tensor formats its number."""
    if spec and self.numpy_array().size == 1:
        return f"{self.item():{spec}}"
    return format(show(self), spec)
