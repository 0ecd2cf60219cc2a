"""What attention computes on: its axes, and where its operands and results are."""

from __future__ import annotations

import dataclasses

from argand.kernels.contraction.spec import ContractionAxis, Operand
from argand.nest.builder import static

__all__ = ["Attention", "Gradients", "known_extent"]


@dataclasses.dataclass(frozen=True, eq=False)
class Attention:
    """y[row, column] = sum over keys of p[row, key] v[key, column], for each index of the batch;
    p is the softmax along the keys of scale * sum over inner of q[row, inner] k[key, inner] + mask.

    `stats` is where the log-sum-exp of each row goes. A mask of booleans keeps where True; one of
    floats is added. Where `causal`, a row sees the keys up to its own number.
    """

    batch: tuple[ContractionAxis, ...]
    row: ContractionAxis
    key: ContractionAxis
    inner: ContractionAxis
    column: ContractionAxis
    q: Operand
    k: Operand
    v: Operand
    mask: Operand | None
    y: tuple[Operand, ...]
    stats: tuple[Operand, ...]
    causal: bool
    scale: float
    elem: str

    @property
    def length(self) -> int | None:
        """Rows, if known now."""
        return static(self.row.extent)

    @property
    def keys(self) -> int | None:
        """Keys, if known now."""
        return static(self.key.extent)

    @property
    def depth(self) -> int:
        """Elements that a query and a key share."""
        return known_extent(self.inner)

    @property
    def width(self) -> int:
        """Elements of a value."""
        return known_extent(self.column)


@dataclasses.dataclass(frozen=True, eq=False)
class Gradients:
    """The gradients gq, gk and gv of attention, whose results y have the gradient g; `stats` are
    the log-sum-exps that it gave. `forward` has no results of its own."""

    forward: Attention
    g: Operand
    y: Operand
    stats: Operand
    gq: Operand
    gk: Operand
    gv: Operand


def known_extent(axis: ContractionAxis) -> int:
    """The elements along an axis of a head."""
    known = static(axis.extent)
    assert known is not None  # the kernel takes no others
    return known
