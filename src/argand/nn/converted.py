"""Modules in another dtype, and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

from argand.base import epoch
from argand.base.dtype import as_dtype
from argand.ir.op import ops
from argand.nn.tree import Tree
from argand.nn.uninitialized import is_lazy
from argand.tensor.convert import is_device, moved
from argand.tensor.core import Tensor
from argand.tensor.creation import empty_like
from argand.tensor.inplace import assign
from argand.tensor.strides import RANKS, stored
from argand.transform.mode import no_grad

_M = TypeVar("_M", bound="Converted")


class Converted(Tree):
    """A tree whose parameters and buffers change their dtype together."""

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Want gradients for all parameters, or freeze them."""
        for parameter in self.parameters():
            if parameter.requires_grad != requires_grad:
                parameter.requires_grad_(requires_grad)
                epoch.bump()
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                with no_grad():
                    gradient = parameter.grad.detach()
                    assign(gradient, ops.full(tuple(gradient.shape), 0, gradient.dtype))
                    parameter.grad = gradient

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert the floating-point parameters and buffers to a dtype, and those of 4 dimensions
        to a `memory_format`; devices other than the CPU raise DeviceError.

        ``to(dtype)``, ``to(device)``, ``to(device, dtype)``, ``to(tensor)``.
        """
        dtype = kwargs.pop("dtype", None)
        device = kwargs.pop("device", None)
        memory_format = kwargs.pop("memory_format", None)
        kwargs.pop("non_blocking", None)  # on one device nothing waits
        if kwargs:
            raise TypeError(f"to: unexpected argument {next(iter(kwargs))!r}")
        for given in args:
            if isinstance(given, Tensor):
                dtype = given.dtype
            elif is_device(given):
                device = given
            elif given is not None and not isinstance(given, bool):
                dtype = given
        if device is not None:
            self._apply(lambda x: _moved(x, device))
        if memory_format is not None:
            self._apply(lambda x: _stored(x, memory_format))
        return self if dtype is None else _converted(self, dtype)

    def to_empty(self, *, device: Any = None, recurse: bool = True) -> Self:
        """Give every parameter and buffer new memory, whose values aren't set."""
        return self._apply(lambda x: empty_like(x, device=device or "cpu").detach(), recurse)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace the memory of every parameter, its gradient and every buffer by `fn` of it."""
        for parameter in self.parameters(recurse):
            if is_lazy(parameter):
                parameter.convert(fn)
                continue
            gradient = parameter.grad
            new = fn(parameter)
            if new is not parameter:
                parameter.grad = None
                parameter.data = new.detach()
                if gradient is not None:
                    parameter.grad = fn(gradient)
        for module in self.modules() if recurse else (self,):
            for name, buffer in module._buffers.items():
                if buffer is not None and is_lazy(buffer):
                    buffer.convert(fn)
                elif buffer is not None:
                    module._buffers[name] = fn(buffer)
        epoch.bump()
        return self

    def float(self) -> Self:
        """Convert to float32."""
        return _converted(self, "float32")

    def double(self) -> Self:
        """Convert to float64."""
        return _converted(self, "float64")

    def half(self) -> Self:
        """Convert to float16."""
        return _converted(self, "float16")

    def bfloat16(self) -> Self:
        """Convert to bfloat16."""
        return _converted(self, "bfloat16")

    def type(self, dst_type: Any) -> Self:
        """Convert to a floating-point dtype."""
        return _converted(self, dst_type)

    def cpu(self) -> Self:
        """The module itself: it is on the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Self:
        """An error: there is no CUDA device."""
        return self.to("cuda" if device is None else device)

    def xpu(self, device: Any = None) -> Self:
        """An error: there is no XPU device."""
        return self.to("xpu" if device is None else device)

    def mtia(self, device: Any = None) -> Self:
        """An error: there is no MTIA device."""
        return self.to("mtia" if device is None else device)

    def ipu(self, device: Any = None) -> Self:
        """An error: there is no IPU device."""
        return self.to("ipu" if device is None else device)


def _moved(x: Tensor, device: Any) -> Tensor:
    """A tensor on a device; on "meta" it has no values."""
    with no_grad():
        return moved(x, device)  # type: ignore[no-any-return]


def _stored(x: Tensor, memory_format: Any) -> Tensor:
    """A tensor in an order of memory that is one for its number of dimensions."""
    if x.ndim != RANKS.get(memory_format, x.ndim):
        return x
    with no_grad():
        made: Tensor = stored(x.detach(), memory_format)
    return made


def _converted(module: _M, dtype: Any) -> _M:
    wanted = as_dtype(dtype)
    if not wanted.is_inexact:
        raise TypeError(f"a module can be converted to floating-point dtypes, not {wanted!r}")

    def converted(t: Tensor) -> Tensor:
        if not t.dtype.is_inexact or t.dtype is wanted:
            return t
        with no_grad():
            new: Tensor = ops.cast(t, wanted)
        return new

    return module._apply(converted)
