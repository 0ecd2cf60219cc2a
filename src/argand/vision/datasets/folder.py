"""Datasets of files in folders: a folder for each class."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from argand.vision.datasets.download import DatasetNotFoundError
from argand.vision.datasets.vision import Change, VisionDataset
from argand.vision.pillow import pillow

IMG_EXTENSIONS = (
    ".jpg",
    ".jpeg",
    ".png",
    ".ppm",
    ".bmp",
    ".pgm",
    ".tif",
    ".tiff",
    ".webp",
)

Sample = tuple[str, int]


def has_file_allowed_extension(filename: str, extensions: Any) -> bool:
    """Whether a file's name has one of some endings, in whatever case.

    >>> from argand.vision.datasets.folder import has_file_allowed_extension
    >>> has_file_allowed_extension("a.PNG", (".png", ".jpg"))
    True
    """
    ends = extensions if isinstance(extensions, str) else tuple(extensions)
    return filename.lower().endswith(ends)


def is_image_file(filename: str) -> bool:
    """Whether a file's name has the ending of an image.

    >>> from argand.vision.datasets.folder import is_image_file
    >>> is_image_file("a.txt")
    False
    """
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory: Any) -> tuple[list[str], dict[str, int]]:
    """The folders of a folder by name, and their numbers; an error where there are none."""
    if not os.path.isdir(directory):
        raise DatasetNotFoundError(f"there is no folder {directory}")
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise DatasetNotFoundError(f"Couldn't find any class folder in {directory}.")
    return classes, {name: i for i, name in enumerate(classes)}


def make_dataset(
    directory: Any,
    class_to_idx: dict[str, int] | None = None,
    extensions: Any = None,
    is_valid_file: Callable[[str], bool] | None = None,
    allow_empty: bool = False,
) -> list[Sample]:
    """The files of a folder of classes with their numbers, in the order of their names.

    A file counts if it has one of some endings, or `is_valid_file` says so: one of the two is
    given. A class without a file is an error, unless `allow_empty`.
    """
    directory = os.path.expanduser(directory)
    if class_to_idx is None:
        _, class_to_idx = find_classes(directory)
    elif not class_to_idx:
        raise ValueError("'class_to_index' must have at least one entry to collect any samples.")
    if (extensions is None) == (is_valid_file is None):
        raise ValueError(
            "Both extensions and is_valid_file cannot be None or not None at the same time"
        )
    counts = is_valid_file or (lambda path: has_file_allowed_extension(path, extensions))
    samples: list[Sample] = []
    empty = []
    for name, number in sorted(class_to_idx.items()):
        before = len(samples)
        for folder, _, files in sorted(os.walk(os.path.join(directory, name), followlinks=True)):
            paths = (os.path.join(folder, file) for file in sorted(files))
            samples += [(path, number) for path in paths if counts(path)]
        if len(samples) == before:
            empty.append(name)
    if empty and not allow_empty:
        told = f"Found no valid file for the classes {', '.join(empty)}. "
        if extensions is not None:
            listed = extensions if isinstance(extensions, str) else ", ".join(extensions)
            told += f"Supported extensions are: {listed}"
        raise DatasetNotFoundError(told)
    return samples


def pil_loader(path: Any) -> Any:
    """The image of a file, in RGB."""
    with open(path, "rb") as file:
        return pillow().open(file).convert("RGB")


default_loader = pil_loader


class DatasetFolder(VisionDataset):
    """Files in a folder for each class, ``root/class/…/file``, read by a function `loader`.

    `samples` has the files with the numbers of their classes, `classes` the names, `class_to_idx`
    the numbers of the names, `targets` the numbers.

    >>> import pathlib, tempfile
    >>> from argand.vision.datasets import DatasetFolder
    >>> root = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("cat", "dog"):
    ...     (root / name).mkdir()
    ...     _ = (root / name / "1.txt").write_text(name.upper())
    >>> DatasetFolder(root, lambda path: pathlib.Path(path).read_text(), (".txt",))[1]
    ('DOG', 1)
    """

    def __init__(
        self,
        root: Any,
        loader: Callable[[str], Any],
        extensions: Any = None,
        transform: Change = None,
        target_transform: Change = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.classes, self.class_to_idx = self.find_classes(self.root)
        options = (extensions, is_valid_file, allow_empty)
        self.samples = self.make_dataset(self.root, self.class_to_idx, *options)
        self.loader, self.extensions = loader, extensions
        self.targets = [number for _, number in self.samples]

    @staticmethod
    def make_dataset(
        directory: Any,
        class_to_idx: dict[str, int],
        extensions: Any = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[Sample]:
        """The files and the numbers of their classes; to be overridden."""
        if class_to_idx is None:
            raise ValueError("The class_to_idx parameter cannot be None.")
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def find_classes(self, directory: Any) -> tuple[list[str], dict[str, int]]:
        """The classes and their numbers; to be overridden."""
        return find_classes(directory)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        path, target = self.samples[index]
        return self._finished(self.loader(path), target)

    def __len__(self) -> int:
        return len(self.samples)


class ImageFolder(DatasetFolder):
    """Images in a folder for each class, ``root/class/…/image.png``, as PIL images in RGB.

    >>> import pathlib, tempfile
    >>> from argand.vision.datasets import ImageFolder
    >>> root = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("cat", "dog"):
    ...     (root / name).mkdir()
    ...     ag.vision.utils.save_image(ag.zeros(3, 4, 6), root / name / "1.png")
    >>> image, number = ImageFolder(root)[1]
    >>> image.size, number
    ((6, 4), 1)
    """

    def __init__(
        self,
        root: Any,
        transform: Change = None,
        target_transform: Change = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        options = (extensions, transform, target_transform, is_valid_file, allow_empty)
        super().__init__(root, loader, *options)
        self.imgs = self.samples
