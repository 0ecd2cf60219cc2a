"""What all datasets of images have in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from argand.base.errors import ArgumentError
from argand.data.dataset import Dataset
from argand.vision.datasets.download import DatasetNotFoundError, check
from argand.vision.pillow import pillow

Change = Callable[[Any], Any] | None


class StandardTransform:
    """A function of the image and one of the target, as one of both."""

    def __init__(self, transform: Change = None, target_transform: Change = None) -> None:
        self.transform, self.target_transform = transform, target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def __repr__(self) -> str:
        lines = [type(self).__name__]
        named = (("Transform: ", self.transform), ("Target transform: ", self.target_transform))
        for head, function in named:
            if function is not None:
                first, *others = repr(function).splitlines()
                lines += [head + first, *(" " * len(head) + line for line in others)]
        return "\n".join(lines)


class VisionDataset(Dataset):
    """Base of datasets of images: where they are kept, and what is done with each image
    (`transform`) and its target (`target_transform`), or with both at once (`transforms`).

    >>> from argand.vision.datasets import VisionDataset
    >>> class Dots(VisionDataset):
    ...     def __len__(self):
    ...         return 3
    >>> Dots()
    Dataset Dots
        Number of datapoints: 3
    """

    _repr_indent = 4

    def __init__(
        self,
        root: Any = None,
        transforms: Callable[..., Any] | None = None,
        transform: Change = None,
        target_transform: Change = None,
    ) -> None:
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        apart = transform is not None or target_transform is not None
        if transforms is not None and apart:
            raise ArgumentError(
                "Only transforms or transform/target_transform can be passed as argument"
            )
        self.transform, self.target_transform = transform, target_transform
        self.transforms: Any = (
            StandardTransform(transform, target_transform) if apart else transforms
        )

    def _finished(self, image: Any, target: Any) -> tuple[Any, Any]:
        """An image and its target, transformed."""
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__")

    def __repr__(self) -> str:
        lines = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            lines.append(f"Root location: {self.root}")
        lines += self.extra_repr().splitlines()
        if self.transforms is not None:
            lines += repr(self.transforms).splitlines()
        return "\n".join(
            [f"Dataset {type(self).__name__}", *(" " * self._repr_indent + x for x in lines)]
        )

    def extra_repr(self) -> str:
        """What more there is to show."""
        return ""


def not_found(dataset: VisionDataset, missing: Path, urls: Any = ()) -> DatasetNotFoundError:
    """The error for files that are not there."""
    pillow()  # without it, that would be the next error
    where = f"; they are kept at {', '.join(urls)}" if urls else ""
    return DatasetNotFoundError(
        f"{type(dataset).__name__}: Dataset not found: there is no {missing}. You can use "
        f"download=True to download it, or put the files into {missing.parent} yourself{where}"
    )


def checked_file(dataset: VisionDataset, path: Path, md5: str | None, url: str) -> Path:
    """A file that is there and whole."""
    if not path.is_file():
        raise not_found(dataset, path, [url])
    check(path, md5)
    return path
