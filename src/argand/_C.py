# ruff: noqa: N999  # PyTorch's name
"""The names of `torch._C` that published programs use; the rest of it is C++ of PyTorch's own."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

from argand.base.dtype import DType
from argand.base.scripting import running
from argand.ir import overrides
from argand.ir.overrides import disabled as _disabled_torch_function_impl
from argand.tensor.core import Tensor
from argand.tensor.device import device


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


def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool, Any]:
    """The device, the dtype, and what else `Module.to` was given."""
    where, dtype = kwargs.get("device"), kwargs.get("dtype")
    for value in args:
        if isinstance(value, DType):
            dtype = value
        elif isinstance(value, Tensor):
            where, dtype = value.device, value.dtype
        elif value is not None and not isinstance(value, bool):
            where = value
    known = None if where is None else device(where)
    return known, dtype, bool(kwargs.get("non_blocking")), kwargs.get("memory_format")


_nn = SimpleNamespace(_parse_to=_parse_to)


class _Keys:
    """Names of PyTorch's dispatch keys, whatever is asked for."""

    def __getattr__(self, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


DispatchKey = _Keys()


class DispatchKeySet(frozenset[str]):
    """A set of dispatch keys; nothing is dispatched by them.

    >>> len(ag._C.DispatchKeySet("CPU") | ag._C.DispatchKeySet("CUDA"))
    2
    """

    def __new__(cls, *keys: str) -> DispatchKeySet:
        return super().__new__(cls, keys)


class _ExcludeDispatchKeyGuard(_Block):
    """A block that runs as it is: there are no dispatch keys."""

    def __init__(self, keys: Any) -> None:
        self.keys = keys

    def _make(self) -> AbstractContextManager[None]:
        return nullcontext()


_TensorMeta = type  # the class of the class of tensors


def _get_tracing_state() -> bool | None:
    """True while `torch.jit.trace` records, else None."""
    return running.traces or None


def _log_api_usage_once(event: str) -> None:
    """Nothing is logged."""


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Nothing changes: a switch of PyTorch's compiler of scripts."""


_jit_set_profiling_mode = _jit_set_profiling_executor = _jit_set_texpr_fuser_enabled = _nothing
_jit_set_nvfuser_enabled = _jit_override_can_fuse_on_cpu = _jit_override_can_fuse_on_gpu = _nothing

__all__ = ["DisableTorchFunction", "DisableTorchFunctionSubclass", "_disabled_torch_function_impl"]
