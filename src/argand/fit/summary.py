"""The table that `model.summary()` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.nn.module import Module
from argand.tensor.core import Tensor, wrap
from argand.transform.mode import no_grad


def summary(
    model: Module,
    input_size: Any = None,
    *,
    input_shape: Any = None,
    input_data: Any = None,
    dtype: Any = np.float32,
    sample: tuple[Any, ...] | None = None,
    print_fn: Any = print,
) -> str:
    """Print (and return) a table of the layers, their output shapes and numbers of parameters.

    The shapes come from one run on `input_data`, on zeros of `input_size` (with the batch) or
    `input_shape` (without), or on zeros like what the model was trained on; else they are blank.
    """
    inputs = _inputs(input_size, input_shape, input_data, dtype, sample)
    shapes = {} if inputs is None else _output_shapes(model, inputs)
    rows = [
        (f"{name or 'model'} ({type(m).__name__})", shapes.get(m, ""), f"{_own(m):,}")
        for name, m in model.named_modules()
        if not list(m.children()) or _own(m)
    ]
    text = "\n".join([_table(("Layer (type)", "Output Shape", "Param #"), rows), *_totals(model)])
    if print_fn is not None:
        print_fn(text)
    return text


def _inputs(size: Any, shape: Any, data: Any, dtype: Any, sample: Any) -> tuple[Any, ...] | None:
    if data is not None:
        return tuple(data) if isinstance(data, list | tuple) else (data,)
    if shape is not None:
        size = (1, *shape)
    if size is not None:
        sizes = size if isinstance(size[0], list | tuple) else [size]
        return tuple(wrap(np.zeros(tuple(s), dtype)) for s in sizes)
    if sample is not None:
        return tuple(wrap(np.zeros((1, *s[1:]), d)) for s, d in sample)
    return None


def _output_shapes(model: Module, inputs: tuple[Any, ...]) -> dict[Module, str]:
    found: dict[Module, str] = {}

    def note(module: Module, args: Any, output: Any) -> None:
        found[module] = _shape_of(output)

    handles = [m.register_forward_hook(note) for m in model.modules()]
    training = {m: m.training for m in model.modules()}
    model.eval()
    try:
        with no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in training.items():
            module.training = mode
    return found


def _shape_of(output: Any) -> str:
    if isinstance(output, Tensor):
        return "(" + ", ".join(["None", *map(str, output.shape[1:])]) + ")"
    if isinstance(output, list | tuple):
        return ", ".join(filter(None, map(_shape_of, output)))
    return ""


def _own(module: Module) -> int:
    return sum(_count(p) for p in module.parameters(recurse=False))


def _count(t: Tensor) -> int:
    return int(t.shape.numel())


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]

    def line(left: str, middle: str, right: str) -> str:
        return left + middle.join("─" * (w + 2) for w in widths) + right

    def cells(row: tuple[str, ...]) -> str:
        aligned = [row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2].rjust(widths[2])]
        return "│" + "│".join(f" {c} " for c in aligned) + "│"

    body = [cells(r) for r in rows]
    parts = [line("┌", "┬", "┐"), cells(head), line("├", "┼", "┤"), *body, line("└", "┴", "┘")]
    return "\n".join(parts)


def _totals(model: Module) -> list[str]:
    counts = {"Trainable": [0, 0], "Non-trainable": [0, 0]}
    for tensor in [*model.parameters(), *model.buffers()]:
        kind = counts["Trainable" if tensor.requires_grad else "Non-trainable"]
        kind[0] += _count(tensor)
        kind[1] += _count(tensor) * tensor.dtype.itemsize
    total = [sum(c[i] for c in counts.values()) for i in (0, 1)]
    lines = {"Total": total, **counts}
    return [f"{name} params: {n:,} ({size_text(b)})" for name, (n, b) in lines.items()]


def size_text(n: float) -> str:
    """A number of bytes for people: 712.00 B, 54.49 KB."""
    for unit in ("B", "KB", "MB"):
        if n < 1024:
            return f"{n:.2f} {unit}"
        n /= 1024
    return f"{n:.2f} GB"
