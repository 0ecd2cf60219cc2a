# ruff: noqa: N999  # PyTorch's name
"""The names of `torch._C` that published programs use; the rest of it is C++ of PyTorch's own."""

from __future__ import annotations

from contextlib import AbstractContextManager

from argand.ir import overrides
from argand.ir.overrides import disabled as _disabled_torch_function_impl


class _Block:
    """A context manager, made anew each time that it is entered."""

    def __enter__(self) -> None:
        self._block = self._make()
        self._block.__enter__()

    def __exit__(self, *exc: object) -> None:
        self._block.__exit__(None, None, None)

    def _make(self) -> AbstractContextManager[None]:
        raise NotImplementedError  # a block of each kind makes its own


class DisableTorchFunctionSubclass(_Block):
    """Inside the block no class takes a call over: subclasses are handled as plain tensors.

    >>> class Image(ag.Tensor):
    ...     pass
    >>> with ag._C.DisableTorchFunctionSubclass():
    ...     print(Image([1.0]) + 1)
    tensor([2.])
    """

    def _make(self) -> AbstractContextManager[None]:
        return overrides.without_classes()


class DisableTorchFunction(_Block):
    """Inside the block neither classes nor modes take calls over.

    >>> with ag._C.DisableTorchFunction():
    ...     print(ag.ones(1))
    tensor([1.])
    """

    def _make(self) -> AbstractContextManager[None]:
        return overrides.without_any()


__all__ = ["DisableTorchFunction", "DisableTorchFunctionSubclass", "_disabled_torch_function_impl"]
