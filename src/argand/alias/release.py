"""The release of PyTorch that the alias passes for."""

from __future__ import annotations

from argand.torch_version import TorchVersion

VERSION = TorchVersion("2.15.0+argand")
