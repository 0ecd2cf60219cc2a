"""Images that are drawn, for trying a program without data."""

from __future__ import annotations

from typing import Any

from argand.base.errors import IndexRangeError
from argand.tensor.generators import get_rng_state, manual_seed, set_rng_state
from argand.tensor.random import randint, randn
from argand.vision.datasets.vision import Change, VisionDataset
from argand.vision.transforms.conversion import to_pil_image


class FakeData(VisionDataset):
    """Images of noise with drawn classes; the same number always gives the same image.

    >>> from argand.vision.datasets import FakeData
    >>> image, target = FakeData(size=10, image_size=(3, 8, 6), num_classes=4)[3]
    >>> image.size, 0 <= target < 4
    ((6, 8), True)
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Change = None,
        target_transform: Change = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size, self.num_classes, self.image_size = size, num_classes, image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index >= len(self):
            raise IndexRangeError(f"{type(self).__name__} index out of range")
        state = get_rng_state()
        try:
            manual_seed(index + self.random_offset)
            pixels = randn(*self.image_size)
            target = randint(0, self.num_classes, (1,))[0]
        finally:
            set_rng_state(state)
        image = to_pil_image(pixels)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target.item()

    def __len__(self) -> int:
        return self.size
