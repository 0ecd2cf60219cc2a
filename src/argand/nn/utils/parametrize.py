"""Parameters that are functions of others: `torch.nn.utils.parametrize`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from argand.base.errors import ArgumentError
from argand.nn.containers import ModuleDict, ModuleList
from argand.nn.module import Module
from argand.nn.parameter import Parameter
from argand.nn.utils.computed import compute
from argand.tensor.core import Tensor
from argand.transform.mode import no_grad

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_cache: dict[tuple[int, str], Any] = {}
_cached = 0


@contextmanager
def cached() -> Iterator[None]:
    """A context in which each parametrized tensor is computed once, at its first use.

    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    >>> with nn.utils.parametrize.cached():
    ...     layer.weight is layer.weight
    True
    """
    global _cached
    _cached += 1
    try:
        yield
    finally:
        _cached -= 1
        if not _cached:
            _cache.clear()


class ParametrizationList(ModuleList):
    """One tensor as a chain of modules computes it from `original`, or from `original0`,
    `original1`, ... where the first module's `right_inverse` gives several.

    >>> held = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)).parametrizations.weight
    >>> held.is_tensor, held.ntensors
    (False, 2)
    """

    def __init__(self, modules: Sequence[Module], original: Any, unsafe: bool = False) -> None:
        if not modules:
            raise ArgumentError("ParametrizationList takes one module or more")
        super().__init__(modules)
        self.unsafe = unsafe
        with no_grad():
            found = self._inverse(original.detach())
        self.is_tensor = isinstance(found, Tensor)
        self.ntensors = 1 if self.is_tensor else len(found)
        if self.is_tensor:
            self._check_dtype(original, found)
            original.data = found.clone() if found is original else found
            self._hold("original", original)
        else:
            for i, tensor in enumerate(found):
                kept = tensor.detach().clone()
                if isinstance(original, Parameter):
                    kept = Parameter(kept, original.requires_grad and kept.dtype.is_inexact)
                self._hold(f"original{i}", kept)
        if not unsafe:
            _check_same(self(), original if self.is_tensor else None, self)

    def _hold(self, name: str, tensor: Any) -> None:
        if isinstance(tensor, Parameter):
            self.register_parameter(name, tensor)
        else:
            self.register_buffer(name, tensor)

    def _inverse(self, value: Any) -> Any:
        for module in reversed(list(self)):
            inverse = getattr(module, "right_inverse", None)
            if inverse is None:
                continue
            try:
                value = inverse(value)
            except NotImplementedError:
                continue
        return value

    def _check_dtype(self, before: Any, found: Any) -> None:
        if not self.unsafe and found.dtype is not before.dtype:
            raise ArgumentError(
                f"right_inverse gives {found.dtype.name} for a {before.dtype.name} tensor; pass "
                "unsafe=True if that is meant"
            )

    def _originals(self) -> list[Any]:
        names = ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]
        return [getattr(self, name) for name in names]

    def right_inverse(self, value: Any) -> None:
        """Let the originals be those of a value."""
        with no_grad():
            found = self._inverse(value.detach())
            parts = [found] if isinstance(found, Tensor) else list(found)
            if len(parts) != self.ntensors:
                raise ArgumentError(
                    f"right_inverse gives {len(parts)} tensors, there are {self.ntensors}"
                )
            for original, part in zip(self._originals(), parts, strict=True):
                self._check_dtype(original, part)
                original.data = part.detach().clone()

    def forward(self) -> Any:
        """The tensor's value."""
        first, *rest = self
        value = first(*self._originals())
        for module in rest:
            value = module(value)
        return value


def _check_same(value: Any, original: Any, held: Any) -> None:
    """An error where a parametrized tensor is no tensor, or not as its original."""
    if not isinstance(value, Tensor):
        raise ArgumentError(f"a parametrization gives a tensor, got {type(value).__name__}")
    if original is None:
        return
    if value.dtype is not original.dtype or tuple(value.shape) != tuple(original.shape):
        raise ArgumentError(
            f"the parametrization gives {value.dtype.name}{tuple(value.shape)} for a tensor "
            f"{original.dtype.name}{tuple(original.shape)}; pass unsafe=True if that is meant"
        )


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Let ``module.<tensor_name>`` be ``parametrization(original)`` from now on; returns `module`.

    The original is trained in its place, as ``parametrizations.<tensor_name>.original``. A
    `right_inverse` of the parametrization gives the original for the value that the parameter has.
    Unless `unsafe`, the dtype and the shape may not change.

    >>> class Positive(nn.Module):
    ...     def forward(self, x):
    ...         return x.exp()
    ...     def right_inverse(self, x):
    ...         return x.log()
    >>> layer = nn.Linear(1, 1, bias=False)
    >>> nn.init.ones_(layer.weight).item()
    1.0
    >>> layer = nn.utils.parametrize.register_parametrization(layer, "weight", Positive())
    >>> layer.parametrizations.weight.original.item(), layer.weight
    (0.0, tensor([[1.]], grad_fn=<ExpBackward0>))
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        held = module.parametrizations[tensor_name]
        value = getattr(module, tensor_name)
        if not unsafe:
            _check_same(parametrization(value), value, held)
        with no_grad():
            inverse = getattr(parametrization, "right_inverse", None)
            before = value.detach() if inverse is None else inverse(value.detach())
        held.append(parametrization)
        held.unsafe = held.unsafe or unsafe
        if inverse is not None:
            _set_before(held, before)
        return module
    value = {**module._parameters, **module._buffers}.get(tensor_name)
    if value is None:
        raise ArgumentError(
            f"register_parametrization: {type(module).__name__} has no tensor {tensor_name!r}"
        )
    held = ParametrizationList([parametrization], value, unsafe)
    delattr(module, tensor_name)
    if "parametrizations" not in module._modules:
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = held
    compute(module, tensor_name, _value(tensor_name), "Parametrized", _assigned(tensor_name))
    return module


def _set_before(held: ParametrizationList, value: Any) -> None:
    """Let the last module's input be `value`, through the inverses of those before it."""
    last = list(held)[-1]
    del held[-1]
    held.right_inverse(value)
    held.append(last)


def _value(name: str) -> Callable[[Any], Any]:
    def value(module: Any) -> Any:
        if not _cached:
            return module.parametrizations[name]()
        key = id(module), name
        if key not in _cache:
            _cache[key] = module.parametrizations[name]()
        return _cache[key]

    return value


def _assigned(name: str) -> Callable[[Any, Any], None]:
    return lambda module, value: module.parametrizations[name].right_inverse(value)


def type_before_parametrizations(module: Module) -> type:
    """The module's class as it was before any of its tensors was parametrized.

    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    >>> nn.utils.parametrize.type_before_parametrizations(layer) is nn.Linear
    True
    """
    found: type = getattr(type(module), "_plain_class", type(module))
    return found


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Parametrize the tensors of a module as those of another, or one of them, whose parameters it
    gets; returns `to_module`.

    >>> a = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    >>> b = nn.utils.parametrize.transfer_parametrizations_and_params(a, nn.Linear(3, 2))
    >>> ag.equal(a.weight, b.weight)
    True
    """
    if not is_parametrized(from_module, tensor_name):
        return to_module
    held = from_module.parametrizations
    for name in [tensor_name] if tensor_name is not None else list(held):
        if not hasattr(to_module, name):
            to_module.register_parameter(name, Parameter(getattr(from_module, name).detach()))
        for parametrization in held[name]:
            register_parametrization(to_module, name, parametrization, unsafe=True)
        other = to_module.parametrizations[name]
        for own, given in zip(other._originals(), held[name]._originals(), strict=True):
            own.data = given.detach().clone()
    return to_module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a parameter, or any, is computed from others.

    >>> nn.utils.parametrize.is_parametrized(nn.Linear(2, 2))
    False
    """
    held = module._modules.get("parametrizations")
    return isinstance(held, ModuleDict) and (tensor_name is None or tensor_name in held)


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Let the parameter be one of its own again, with the value that it has now (or without
    `leave_parametrized` the original's); returns `module`.

    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    >>> list(nn.utils.parametrize.remove_parametrizations(layer, "weight").state_dict())
    ['bias', 'weight']
    """
    if not is_parametrized(module, tensor_name):
        raise ArgumentError(
            f"remove_parametrizations: {type(module).__name__} has no parametrization of "
            f"{tensor_name!r}"
        )
    held = module.parametrizations[tensor_name]
    if not leave_parametrized and not held.is_tensor:
        raise ArgumentError(
            f"remove_parametrizations: {tensor_name!r} comes from {held.ntensors} tensors, so only "
            "its value can be left"
        )
    first = held._originals()[0]
    with no_grad():
        value = (held() if leave_parametrized else first).detach().clone()
    del module.parametrizations[tensor_name]
    compute(module, tensor_name, None, "Parametrized")
    if not len(module.parametrizations):
        del module.parametrizations
    if not isinstance(first, Parameter):
        module.register_buffer(tensor_name, value)
    elif held.is_tensor:
        first.data = value
        module.register_parameter(tensor_name, first)
    else:
        module.register_parameter(tensor_name, Parameter(value, first.requires_grad))
    return module
