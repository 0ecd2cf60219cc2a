"""Images: datasets."""

from argand.vision import datasets

__all__ = ["datasets"]
