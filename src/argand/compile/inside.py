"""The tensors, modules and optimizers inside of modules, optimizers, objects and containers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

from argand.compile.reach import SCALARS, TENSOR_REGISTRIES, is_module, is_optimizer
from argand.tensor.core import Tensor


class Walk:
    """Finds tensors, modules and optimizers inside modules, optimizers, objects and containers."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.found: list[Any] = []

    def tensors(self, value: Any, path: str, depth: int) -> Iterator[tuple[str, Tensor]]:
        """Tensors with their paths."""
        if isinstance(value, Tensor):
            yield path, value
        elif isinstance(value, SCALARS) or depth > 3 or id(value) in self.seen:
            return
        else:
            self.seen.add(id(value))
            for name, item in self._parts(value):
                yield from self.tensors(item, f"{path}.{name}" if path else name, depth + 1)

    def _parts(self, value: Any) -> Iterator[tuple[str, Any]]:
        if is_module(value):
            yield from _module_tensors(value)
        elif is_optimizer(value):
            yield from _optimizer_tensors(value)
        else:
            yield from _children(value)

    def owners(self, value: Any, depth: int) -> None:
        """Collect the modules and optimizers in `found`."""
        if depth > 3 or isinstance(value, SCALARS) or id(value) in self.seen:
            return
        self.seen.add(id(value))
        if is_module(value) or is_optimizer(value):
            self.found.append(value)
            return
        for _, item in _children(value):
            self.owners(item, depth + 1)


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((str(k), v) for k, v in value.items())
    elif isinstance(value, list | tuple | deque):
        yield from ((str(i), v) for i, v in enumerate(value))
    elif hasattr(value, "__dict__") and not isinstance(value, type | ModuleType | FunctionType):
        yield from vars(value).items()


def _module_tensors(module: Any) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers; a lazy layer that has none yet doesn't mind."""
    for registry in TENSOR_REGISTRIES:
        for path, part in module.named_modules():
            for name, tensor in dict.items(vars(part)[registry]):
                if tensor is not None:
                    yield (f"{path}.{name}" if path else name), tensor


def _optimizer_tensors(optimizer: Any) -> Iterator[tuple[str, Tensor]]:
    numbers: dict[int, int] = {}
    for g, group in enumerate(optimizer.param_groups):
        for parameter in group.option("params"):
            numbers[id(parameter)] = len(numbers)
        for key, tensor in group.tensors().items():
            yield f"{g}.{key}", tensor
    for parameter, state in optimizer.state.items():
        number = numbers.get(id(parameter), "?")
        for key, item in state.items():
            if isinstance(item, Tensor):
                yield f"{number}.{key}", item
