"""`conv2d_unless` and its epilogue: a loop over all images, then a convolution of each not done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from argand.ir.op import registry
from argand.ir.program import Node, Operand, Value, copied_nodes, resolved
from argand.kernels.contraction.kernel import ConvolutionPlan, match_convolution
from argand.kernels.plan import Cost, Plan
from argand.kernels.pointwise import LoopPlan, match_loop
from argand.lowering.context import LoweringContext
from argand.lowering.region import Region
from argand.nest.builder import NestBuilder, Ty
from argand.ops.winograd import Conv2dUnless

__all__ = ["UnlessPlan", "match_unless"]


class UnlessPlan(Plan):
    """The region as if all images were done, then again for those that aren't.

    Nothing may be stored over an operand: the second part reads them all again.
    """

    kind = "contract"

    def __init__(
        self, region: Region, done: Value, loop: LoopPlan, convolution: ConvolutionPlan
    ) -> None:
        super().__init__(region)
        self.done, self.loop, self.convolution = done, loop, convolution

    @property
    def cost(self) -> Cost:
        return self.loop.cost

    def emit(self, b: NestBuilder, context: LoweringContext) -> None:
        self.loop.emit(b, context)
        done = self.region.places(context)[self.done]
        images = context.size(b, self.done.shape[0])
        # on this thread, so that all share each convolution; its scratch ends with its chunk
        with b.parallel(images, 0) as image:
            is_done = b.load(done.pointer, b.mul(image, done.strides[0]), Ty("bool"))
            with b.if_(b.apply("not", is_done)):
                self.convolution.emit_image(b, context, image)

    def __str__(self) -> str:
        return f"{self.loop}; {self.convolution} of the images that aren't done"


def match_unless(region: Region) -> UnlessPlan | None:
    """The plan of a region of one `conv2d_unless`."""
    found = [n for n in region.nodes if isinstance(n.op, Conv2dUnless)]
    if len(found) != 1:
        return None
    (node,) = found
    done, y, x, w = node.inputs
    if not isinstance(done, Value) or done not in region.inputs:
        return None
    loop = match_loop(_with(region, node, "contiguous", [y], {}))
    params = {"stride": (1, 1), "dilation": (1, 1), "groups": 1, **node.params}
    convolution = match_convolution(_with(region, node, "conv2d", [x, w], params))
    if loop is None or convolution is None:
        return None
    return UnlessPlan(region, done, loop, convolution)


def _with(
    region: Region, node: Node, name: str, inputs: Sequence[Operand], params: dict[str, Any]
) -> Region:
    """The region with another op in the place of a node, and only what that needs."""
    other = Node(registry.get(name), inputs, params, [o.type for o in node.outputs])
    env: dict[Value, Operand] = {v: v for v in region.inputs}
    nodes = []
    for old in region.nodes:
        nodes += copied_nodes([other if old is node else old], env)
        env.update(zip(old.outputs, nodes[-1].outputs, strict=True))
    new = {o: cast(Value, resolved(o, env)) for o in region.outputs}
    wanted = set(new.values())
    for one in reversed(nodes):
        if not wanted.isdisjoint(one.outputs):
            wanted.update(one.values)
    inside = tuple(v for v in region.inputs if v in wanted)
    return Region(
        kind=region.kind,
        nodes=tuple(n for n in nodes if not wanted.isdisjoint(n.outputs)),
        inputs=inside,
        outputs=tuple(new.values()),
        outside={v: region.outside[v] for v in inside},
        stored={new[o]: found for o, found in region.stored.items()},
    )
