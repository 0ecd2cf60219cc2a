"""`FlopCounterMode`: how many floating-point operations products take, by module."""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from argand.nn.module import Module
from argand.tensor.core import eager

__all__ = ["FlopCounterMode"]


def _of_product(inputs: Any, outputs: Any) -> int:
    """(..., n, k) by (..., k, m), or rows of k by weights (m, k)."""
    return 2 * int(outputs[0].numel()) * int(inputs[0].shape[-1])


def _taps(weight: Any) -> int:
    """The products that an element of a convolution's result is the sum of."""
    return int(math.prod(weight.shape[1:]))


def _of_attention(inputs: Any, outputs: Any) -> int:
    """Scores, and what they weigh."""
    keys = int(inputs[1].shape[-2])
    return 2 * keys * (int(inputs[0].numel()) + int(outputs[0].numel()))


def _of_attention_grad(inputs: Any, outputs: Any) -> int:
    """Scores again, and a product for each of their gradients and the operands'."""
    queries, values = int(outputs[0].numel()), int(outputs[2].numel())
    rows, keys = int(outputs[0].shape[-2]), int(outputs[1].shape[-2])
    return 2 * (3 * keys * queries + 2 * rows * values)


_FORMULAS: dict[str, Callable[[Any, Any], int]] = {
    "matmul": _of_product,
    "linear": _of_product,
    "conv2d": lambda i, o: 2 * int(o[0].numel()) * _taps(i[1]),
    "conv2d_input_grad": lambda i, o: 2 * int(i[0].numel()) * _taps(i[1]),
    "conv2d_weight_grad": lambda i, o: 2 * int(i[1].numel()) * _taps(o[0]),
    "scaled_dot_product_attention": _of_attention,
    "scaled_dot_product_attention_grad": _of_attention_grad,
}


class FlopCounterMode:
    """Counts 2 n k m for a product of (n, k) by (k, m), and so for convolutions and attention, of
    everything that runs eagerly in the block; elementwise operations count for nothing.

    What runs inside a module counts for it and for those around it; "Global" has everything.
    With `display` the table is printed at the end, modules down to `depth`. Compiled functions
    aren't looked into. Follows `torch.utils.flop_counter.FlopCounterMode`.

    >>> from argand.utils.flop_counter import FlopCounterMode
    >>> with FlopCounterMode(display=False) as counter:
    ...     _ = nn.Linear(3, 4)(ag.ones(2, 3))
    >>> counter.get_total_flops()
    48
    """

    def __init__(
        self, mods: Any = None, depth: int = 2, display: bool = True, custom_mapping: Any = None
    ) -> None:
        self.depth, self.display = depth, display
        self.flop_counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._open: list[str] = []
        self._names: dict[int, str] = {}
        self._total = 0

    # -- counting ----------------------------------------------------------------------------------

    def __enter__(self) -> FlopCounterMode:
        self.flop_counts.clear()
        self._total = 0
        self._call = Module.__call__
        Module.__call__ = self._named(self._call)  # type: ignore[method-assign]  # for the block
        eager().watch(self._counted)
        return self

    def __exit__(self, *exc: object) -> None:
        eager().unwatch(self._counted)
        Module.__call__ = self._call  # type: ignore[method-assign]
        if self.display:
            print(self.get_table(self.depth))

    def _counted(self, below: Any, op: Any, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        before = self._total
        outputs = below(op, inputs, params)
        formula = _FORMULAS.get(op.name)
        if formula is not None and self._total == before:  # not counted by its parts
            flops = formula(inputs, outputs)
            self._total += flops
            for name in dict.fromkeys(("Global", *self._open)):
                self.flop_counts[name][op.name] += flops
        return outputs

    def _named(self, call: Any) -> Any:
        @functools.wraps(call)
        def tracked(module: Any, *args: Any, **kwargs: Any) -> Any:
            with self._inside(module):
                return call(module, *args, **kwargs)

        return tracked

    @contextmanager
    def _inside(self, module: Any) -> Iterator[None]:
        if id(module) not in self._names:
            whole = type(module).__name__
            for path, part in module.named_modules():
                self._names.setdefault(id(part), f"{whole}.{path}" if path else whole)
        self._open.append(self._names[id(module)])
        try:
            yield
        finally:
            self._open.pop()

    # -- results -----------------------------------------------------------------------------------

    def get_total_flops(self) -> int:
        """The number of operations of everything."""
        return sum(self.flop_counts["Global"].values())

    def get_flop_counts(self) -> dict[str, dict[str, int]]:
        """The numbers by module and op."""
        return {name: dict(counts) for name, counts in self.flop_counts.items()}

    def get_table(self, depth: int | None = None) -> str:
        """A text: the modules down to a depth, with their numbers and shares."""
        deepest = self.depth if depth is None else depth
        total = self.get_total_flops()
        rows = [("Module", "FLOP", "% Total")]
        for name, counts in sorted(self.flop_counts.items(), key=lambda item: item[0] != "Global"):
            level = 0 if name == "Global" else name.count(".") + 1
            if level <= deepest:
                share = 100 * sum(counts.values()) / max(total, 1)
                rows.append((" " * level + name, str(sum(counts.values())), f"{share:.2f}%"))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [
            "  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)) for row in rows
        ]
        return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])
