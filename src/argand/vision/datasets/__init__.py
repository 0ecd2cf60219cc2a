"""Datasets of images: the names of `torchvision.datasets`, from their standard files."""

from typing import Any

from argand.base.errors import unknown_name
from argand.vision.datasets import utils
from argand.vision.datasets.arrays import Digits
from argand.vision.datasets.cifar import CIFAR10, CIFAR100
from argand.vision.datasets.fake import FakeData
from argand.vision.datasets.folder import DatasetFolder, ImageFolder
from argand.vision.datasets.mnist import EMNIST, KMNIST, MNIST, QMNIST, FashionMNIST
from argand.vision.datasets.small import SEMEION, STL10, SVHN, USPS
from argand.vision.datasets.vision import VisionDataset

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "QMNIST",
    "SEMEION",
    "STL10",
    "SVHN",
    "USPS",
    "DatasetFolder",
    "Digits",
    "FakeData",
    "FashionMNIST",
    "ImageFolder",
    "VisionDataset",
    "utils",
]


def __getattr__(name: str) -> Any:
    raise unknown_name(__name__, name, __all__)
