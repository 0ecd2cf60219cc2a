"""What a tensor does by methods and attributes alone, without a function of that name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.errors import ArgumentError, AutogradError, did_you_mean
from argand.base.late import resolve
from argand.ir import bind as crossroads
from argand.ir.op import describe
from argand.tensor import autograd, creation, meta
from argand.tensor.core import Tensor
from argand.tensor.device import check_device
from argand.tensor.views import base_of


def never(self: Any) -> bool:
    """False: tensors have plain numbers, in memory of their own, on the CPU.

    >>> x = ag.ones(2)
    >>> x.is_cuda, x.is_sparse, x.is_quantized
    (False, False, False)
    """
    return False


def is_pinned(self: Any, device: Any = None) -> bool:
    """False: memory is pinned for a device beside the CPU only.

    >>> ag.ones(2).is_pinned()
    False
    """
    return False


def is_set_to(self: Any, tensor: Any) -> bool:
    """Whether both are the same view of the same memory. Follows `torch.Tensor.is_set_to`.

    >>> x = ag.ones(2)
    >>> x.is_set_to(x.view(2)), x.is_set_to(x[:1]), x.is_set_to(x.clone())
    (True, False, False)
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"is_set_to takes a tensor, got {type(tensor).__name__}")
    mine, other = self.numpy_array(), tensor.numpy_array()
    places = (a.__array_interface__["data"] for a in (mine, other))
    return len({*places}) == 1 and (mine.shape, mine.strides) == (other.shape, other.strides)


def base(self: Any) -> Any:
    """The tensor that a view is a view of, whose gradient it is part of; None for no view.

    Follows `torch.Tensor._base`.

    >>> x = ag.ones(2, 3)
    >>> x[0]._base is x, x._base
    (True, None)
    """
    return base_of(self)


def is_view(self: Any) -> bool:
    """Whether it is a view of another tensor, whose gradient it is part of.

    >>> x = ag.ones(2, 3)
    >>> x[0]._is_view(), x.clone()._is_view()
    (True, False)
    """
    return base_of(self) is not None


def retains_grad(self: Any) -> bool:
    """Whether `retain_grad` lets a result keep its gradient.

    >>> y = ag.ones(2, requires_grad=True) * 2
    >>> y.retain_grad()
    >>> y.retains_grad
    True
    """
    return self._cold is not None and bool(self._cold.retains_grad)


def is_cpu(self: Any) -> bool:
    """Whether it is on the CPU: all tensors are that have values.

    >>> ag.ones(2).is_cpu
    True
    """
    return not meta.is_meta(self)


def is_meta(self: Any) -> bool:
    """Whether it is on the device "meta": it has sizes, strides and a dtype, and no values.

    What is computed of such tensors, or made under ``with ag.device("meta")``, has none either, and
    takes neither time nor memory. To ask for values raises NotImplementedError. Follows
    `torch.Tensor.is_meta`.

    >>> x = ag.empty(10**9, 10, device="meta")
    >>> (x @ x.mT[:, :5]).shape, x.is_meta
    (argand.Size([1000000000, 5]), True)
    """
    return meta.is_meta(self)


def backward(
    self: Any,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of this tensor to the `.grad` of the leaves that it depends on.

    `gradient` is the cotangent, in the shape of this tensor; without it the tensor must have one
    element (AutogradError otherwise). What the tape saved is freed unless `retain_graph`; with
    `create_graph` the gradients can be differentiated again. `inputs` limits the leaves. Follows
    `torch.Tensor.backward`.

    >>> x = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> (x**2).backward(gradient=ag.tensor([1.0, 10.0]))
    >>> x.grad
    tensor([ 2., 40.])
    """
    autograd.backward(self, gradient, retain_graph, create_graph, inputs)


def apply_each(self: Any, callable: Callable[[Any], Any]) -> Any:
    """Overwrite each element with a Python function of it, one by one; returns the tensor. Slow.

    >>> ag.tensor([1.0, 2.0]).apply_(lambda v: v * 10)
    tensor([10., 20.])
    """
    values = [callable(v) for v in self.numpy_array().reshape(-1).tolist()]
    return self.copy_(creation.tensor(values, dtype=self.dtype).reshape(tuple(self.shape)))


def map_each(self: Any, other: Any, callable: Callable[[Any, Any], Any]) -> Any:
    """Overwrite each element with a Python function of it and the element of `other` there, which
    broadcasts; returns the tensor. Slow.

    >>> ag.tensor([1.0, 2.0]).map_(ag.tensor([10.0, 20.0]), lambda x, y: x + y)
    tensor([11., 22.])
    """
    return _mapped("map_", self, callable, other)


def map2_each(self: Any, x: Any, y: Any, callable: Callable[[Any, Any, Any], Any]) -> Any:
    """`map_` with a function of three elements.

    >>> ag.ones(2).map2_(ag.tensor([2.0]), ag.tensor([3.0, 4.0]), lambda a, b, c: a + b * c)
    tensor([7., 9.])
    """
    return _mapped("map2_", self, callable, x, y)


def _mapped(name: str, self: Any, function: Callable[..., Any], *others: Any) -> Any:
    if self.requires_grad:
        raise AutogradError(
            f"{name}: the tensor requires grad, and a Python function of numbers has no gradient: "
            f"x.detach().{name}(...)"
        )
    if any(x.dtype is not self.dtype for x in others):
        raise TypeError(f"{name}: {describe(self, *others)}: all must have one dtype")
    columns = [x.expand(self.shape).reshape(-1).tolist() for x in (self, *others)]
    values = [function(*row) for row in zip(*columns, strict=True)]
    return self.copy_(creation.tensor(values, dtype=self.dtype).reshape(tuple(self.shape)))


def array_namespace(self: Any, *, api_version: str | None = None) -> Any:
    """The functions of the array API standard, for these arrays: `argand.array_api`.

    Raises ArgumentError for a version that it isn't of.

    >>> ag.ones(2).__array_namespace__().__name__
    'argand.array_api'
    """
    if api_version not in (None, *VERSIONS):
        raise ArgumentError(
            f"__array_namespace__: no version {api_version!r}; there are {', '.join(VERSIONS)}"
        )
    return resolve("tensor.namespace")


VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")


def to_device(self: Any, device: Any, /, *, stream: Any = None) -> Any:
    """The tensor itself, for "cpu", the only device; the array API standard's name of `to`.

    >>> ag.ones(2).to_device("cpu")
    tensor([1., 1.])
    """
    if stream is not None:
        raise ArgumentError("to_device: there are no streams on a CPU")
    check_device(device)
    return self


class UnknownNameError(AttributeError):
    """An attribute that Tensor lacks. The nearest names are looked for when the message is read:
    `hasattr` never reads it."""

    def __init__(self, unknown: str) -> None:
        super().__init__(f"Tensor has no attribute {unknown!r}")
        self.unknown = unknown

    def __str__(self) -> str:
        public = [n for n in dir(Tensor) if not n.startswith("_")]
        return f"{self.args[0]}{did_you_mean(self.unknown, public)}"


def missing(self: Any, name: str) -> Any:
    """Raise the error of a tensor without an attribute; a trace is told that it was asked for."""
    if crossroads.pushed:
        crossroads.current().attribute_is_missing(self)
    raise UnknownNameError(name)
