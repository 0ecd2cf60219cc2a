"""Lets the registry's torchvision import beside PyTorch for the CPU, in every process.

Its library of operators is linked against CUDA and can't be loaded there, and what its modules
expect to be declared is missing. `programs.py` puts this folder in front of the path.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import Any

DECLARED: list[Any] = []


class Declaring(MetaPathFinder):
    """Declares the operators before torchvision is imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        """None: the module is found as always."""
        if name != "torchvision" or DECLARED:
            return
        import torch

        if "argand" not in torch.__version__:
            DECLARED.append(torch.library.Library("torchvision", "FRAGMENT"))
            for op in ("nms", "qnms"):
                DECLARED[0].define(f"{op}(Tensor boxes, Tensor scores, float threshold) -> Tensor")


sys.meta_path.insert(0, Declaring())
