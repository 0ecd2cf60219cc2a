"""Transforms made of transforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from argand.tensor.creation import tensor
from argand.tensor.draws import multinomial
from argand.tensor.random import rand, randperm
from argand.vision.transforms.v2.base import Transform, check_chance, check_transforms


class _Several(Transform):
    """Base of transforms that hold others."""

    transforms: Sequence[Any]

    def _in_turn(self, transforms: Any, inputs: tuple[Any, ...]) -> Any:
        several = len(inputs) > 1
        outputs: Any = inputs if several else inputs[0]
        for transform in transforms:
            outputs = transform(*inputs)
            inputs = outputs if several else (outputs,)
        return outputs

    def extra_repr(self) -> str:
        return "\n".join(f"    {t}" for t in self.transforms)


class Compose(_Several):
    """Transforms one after the other.

    >>> from argand.vision.transforms import v2
    >>> v2.Compose([v2.CenterCrop(2), v2.Grayscale()])(ag.ones(3, 4, 4)).shape
    argand.Size([1, 2, 2])
    """

    def __init__(self, transforms: Sequence[Any]) -> None:
        super().__init__()
        check_transforms(transforms)
        self.transforms = transforms

    def forward(self, *inputs: Any) -> Any:
        return self._in_turn(self.transforms, inputs)


class RandomApply(_Several):
    """Transforms one after the other with a chance of `p`, else none.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomApply([v2.CenterCrop(2)], p=1.0)(ag.ones(3, 4, 4)).shape
    argand.Size([3, 2, 2])
    """

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__()
        check_transforms(transforms)
        check_chance(p)
        self.transforms, self.p = transforms, p

    def forward(self, *inputs: Any) -> Any:
        if bool(rand(1) >= self.p):
            return inputs if len(inputs) > 1 else inputs[0]
        return self._in_turn(self.transforms, inputs)


class RandomChoice(_Several):
    """One of some transforms, each with a chance in proportion to its `p`.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomChoice([v2.CenterCrop(2), v2.Grayscale()], p=[1, 0])(ag.ones(3, 4, 4)).shape
    argand.Size([3, 2, 2])
    """

    def __init__(self, transforms: Sequence[Any], p: Sequence[float] | None = None) -> None:
        check_transforms(transforms)
        chances = [1.0] * len(transforms) if p is None else p
        if len(chances) != len(transforms):
            raise ValueError(
                "Length of p doesn't match the number of transforms: "
                f"{len(chances)} != {len(transforms)}"
            )
        super().__init__()
        self.transforms = transforms
        self.p = [chance / sum(chances) for chance in chances]

    def forward(self, *inputs: Any) -> Any:
        number = int(multinomial(tensor(self.p), 1).item())
        return self.transforms[number](*inputs)


class RandomOrder(_Several):
    """Transforms one after the other, in an order that is drawn.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomOrder([v2.CenterCrop(2), v2.Grayscale()])(ag.ones(3, 4, 4)).shape
    argand.Size([1, 2, 2])
    """

    def __init__(self, transforms: Sequence[Any]) -> None:
        check_transforms(transforms)
        super().__init__()
        self.transforms = transforms

    def forward(self, *inputs: Any) -> Any:
        order = randperm(len(self.transforms)).tolist()
        return self._in_turn([self.transforms[i] for i in order], inputs)
