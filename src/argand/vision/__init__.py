"""Images: the names of torchvision, on Argand's tensors and Pillow.

Pillow is loaded when an image first needs it: ``pip install 'argand[vision]'``.
"""

from argand.vision import datasets, io, ops, transforms, tv_tensors, utils

__all__ = ["datasets", "io", "ops", "transforms", "tv_tensors", "utils"]
