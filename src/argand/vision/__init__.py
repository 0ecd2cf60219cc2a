"""Images: datasets, and transforms of images."""

from argand.vision import datasets, transforms

__all__ = ["datasets", "transforms"]
