"""The name `torch` for Argand: modules found under PyTorch's paths, and nothing that computes."""

from argand.alias.install import install_as_torch

__all__ = ["install_as_torch"]
