"""Convolutions of constant weights, written as Winograd's, where that takes less time."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from argand.base.dtype import float32
from argand.ir.op import ops
from argand.ir.program import Node, Operand, Program, Value
from argand.ir.rewrite import Rewriter
from argand.ops.window import Conv2d
from argand.ops.winograd import KERNEL, tile_count

__all__ = ["with_winograd"]

FEWEST_CHANNELS: Final = 16
"""Below, transforming pixels takes as long as the products that are saved."""

FEWEST_TILES: Final = 16
"""Of an image: the transformed weights are 16/9 as large, and where they come from behind the
second-level cache (13 bytes a nanosecond), reading them for fewer tiles takes longer than the
products that are saved."""

MOST_BYTES: Final = 16 << 20
"""Of an image's transformed pixels and products, which should stay in caches."""


def with_winograd(program: Program, constant: AbstractSet[Value]) -> Program:
    """The 3x3 convolutions by `constant` weights through `winograd_conv2d`; the program itself
    where there are none.

                                       %0 = winograd_weight(w)
    %0 = conv2d(x, w)          →       %1 = winograd_conv2d(x, w, %0)

    What is decided by doesn't depend on how many images there are, so an image's bits don't either.
    """
    chosen = {n for n in program.nodes if n.values and n.values[-1] in constant and _pays(n)}
    return _Winograd(program, chosen).run() if chosen else program


class _Winograd(Rewriter):
    def __init__(self, program: Program, chosen: AbstractSet[Node]) -> None:
        super().__init__(program)
        self.chosen = chosen
        self.weights: dict[Operand, Any] = {}

    def visit(self, node: Node, inputs: list[Operand]) -> Sequence[Operand]:
        if node not in self.chosen:
            return self.copy(node, inputs)
        x, w = inputs
        if w not in self.weights:
            self.weights[w] = ops.winograd_weight(w)
        return [ops.winograd_conv2d(x, w, self.weights[w], node.params["padding"])]


def _pays(node: Node) -> bool:
    if not isinstance(node.op, Conv2d) or node.outputs[0].dtype is not float32:
        return False
    (x, w), p = node.values, node.params
    plain = p["stride"] == (1, 1) and p["dilation"] == (1, 1) and p["groups"] == 1
    sizes = (*x.shape[1:], *w.shape, *p["padding"])
    if not plain or not all(isinstance(s, int) for s in sizes) or w.shape[2:] != KERNEL:
        return False
    outputs, inputs = w.shape[:2]
    ty, tx = tile_count(x.shape[2:], p["padding"])
    transformed = 16 * ty * tx * (inputs + outputs) * float32.itemsize
    return (
        min(inputs, outputs) >= FEWEST_CHANNELS
        and ty * tx >= FEWEST_TILES
        and transformed <= MOST_BYTES
    )
