"""Layout: images are stored channels-last between convolutions, whatever the user's shapes say.

A value of shape (N, C, H, W) with the layout (0, 2, 3, 1) is stored as (N, H, W, C): shapes and
meanings stay, strides change, no node is added but a copy at the border.
"""

from __future__ import annotations

from collections.abc import Sequence

from argand.base.shape import same_shape
from argand.ir.op import registry
from argand.ir.program import Node, Operand, Program, Value
from argand.ir.rewrite import Rewriter
from argand.ops.move import Permute

CHANNELS_LAST = (0, 2, 3, 1)
TO_IMAGES = (0, 3, 1, 2)


def layout(program: Program) -> Program:
    """Convolutions and what is between them get the layout (0, 2, 3, 1).

        %0: f32[8, 3, 32, 32] = …                  %0: f32[8, 3, 32, 32]@0231 = contiguous(x)
        %1: f32[8, 16, 32, 32] = conv2d(x, w)  →   %1: f32[8, 16, 32, 32]@0231 = conv2d(%0, w)
        %2: f32[8, 16, 32, 32] = relu(%1)          %2: f32[8, 16, 32, 32]@0231 = relu(%1)

    Inputs, results and state stay row-major; a convolution's row-major image is copied once, unless
    it has one channel or one pixel and the two layouts are the same, or is a row-major (N, H, W, C)
    with its dimensions permuted. Where an input is channels-last already, results stay as they are
    computed, as in PyTorch.
    """
    if not any(node.op.gives_image or node.op.reads_image(0) for node in program.nodes):
        return program
    return _Layout(program).run()


class _Layout(Rewriter):
    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.converted: dict[Value, Value] = {}

    def run(self) -> Program:
        program = super().run()
        uses = program.uses()
        if not any(v.layout == CHANNELS_LAST for v in program.inputs):
            program.outputs = [self._row_major(o, uses) for o in program.outputs]
        program.writes = {i: self._row_major(o, uses) for i, o in program.writes.items()}
        return program

    def visit(self, node: Node, inputs: list[Operand]) -> Sequence[Operand]:
        op = node.op
        inputs = [self._image(x) if op.reads_image(i) else x for i, x in enumerate(inputs)]
        outputs = self.copy(node, inputs)
        images = op.gives_image or self._follows(node, inputs) or _turns(node, inputs)
        for out in outputs:
            assert isinstance(out, Value)
            out.layout = CHANNELS_LAST if images and len(out.shape) == 4 else None
        return outputs

    def _follows(self, node: Node, inputs: Sequence[Operand]) -> bool:
        """Whether a node keeps the layout of an operand that is stored channels-last."""
        return node.op.follows_layout and any(
            isinstance(i, Value) and i.layout == CHANNELS_LAST for i in inputs
        )

    def _image(self, x: Operand) -> Operand:
        """An operand of a convolution, copied into channels-last unless it is so already."""
        if not isinstance(x, Value) or x.layout == CHANNELS_LAST or layouts_agree(x):
            return x
        if x not in self.converted:
            copy = self._copy(x, CHANNELS_LAST)
            self.converted[x] = copy
        return self.converted[x]

    def _row_major(self, x: Operand, uses: dict[Value, list[Node]]) -> Operand:
        if not isinstance(x, Value) or x.layout is None:
            return x
        if not uses.get(x):
            x.layout = None
            return x
        return self._copy(x, None)

    def _copy(self, x: Value, wanted: tuple[int, ...] | None) -> Value:
        maker = x.node or self.node
        place = (maker.location, maker.module) if maker is not None else (None, "")
        node = Node(registry.get("contiguous"), (x,), {}, (x.type,), *place)
        node.outputs[0].layout = wanted
        self.new.nodes.append(node)
        return node.outputs[0]


def _turns(node: Node, inputs: Sequence[Operand]) -> bool:
    """Whether a node's result is a row-major (N, H, W, C) seen as images: stored channels-last."""
    (x, *_) = inputs or (None,)
    is_row_major = isinstance(x, Value) and x.layout is None and x.ndim == 4
    return isinstance(node.op, Permute) and is_row_major and node.params["dims"] == TO_IMAGES


def layouts_agree(x: Value) -> bool:
    """Whether row-major and channels-last are the same order of bytes for a value's shape."""
    _, channels, height, width = x.shape
    return same_shape((channels,), (1,)) or same_shape((height, width), (1, 1))
