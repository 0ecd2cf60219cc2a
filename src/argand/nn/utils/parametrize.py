"""Parameters that are functions of others: `torch.nn.utils.parametrize`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.errors import ArgumentError
from argand.nn.containers import ModuleDict
from argand.nn.module import Module
from argand.nn.parameter import Parameter
from argand.nn.utils.computed import compute
from argand.transform.mode import no_grad

__all__ = ["is_parametrized", "register_parametrization", "remove_parametrizations"]


class ParametrizationList(Module):
    """One parameter as a chain of modules computes it from `original`, or from `original0`,
    `original1`, ... where the last module's `right_inverse` gives several."""

    def __init__(self, value: Parameter, parametrization: Module) -> None:
        super().__init__()
        self.add_module("0", parametrization)
        inverse = getattr(parametrization, "right_inverse", None)
        with no_grad():
            found = value if inverse is None else inverse(value.detach())
        several = isinstance(found, tuple | list)
        self.count = len(found) if several else 0
        for i, tensor in enumerate(found if several else (found,)):
            made = Parameter(tensor.detach().clone(), requires_grad=value.requires_grad)
            self.register_parameter(f"original{i}" if several else "original", made)

    def append(self, parametrization: Module) -> None:
        """Let another module follow."""
        self.add_module(str(len(self._modules)), parametrization)

    def forward(self) -> Any:
        """The parameter's value."""
        first, *rest = self._modules.values()
        names = [f"original{i}" for i in range(self.count)] or ["original"]
        value = first(*(getattr(self, n) for n in names))  # type: ignore[misc]  # holds no None
        for module in rest:
            value = module(value)  # type: ignore[misc]
        return value


def register_parametrization(module: Module, tensor_name: str, parametrization: Module) -> Module:
    """Let ``module.<tensor_name>`` be ``parametrization(original)`` from now on; returns `module`.

    The original is trained in its place, as ``parametrizations.<tensor_name>.original``. A
    `right_inverse` of the parametrization gives the original for the value that the parameter has.

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
    (0.0, tensor([[1.]], grad_fn=<exp_backward>))
    """
    if is_parametrized(module, tensor_name):
        module.parametrizations[tensor_name].append(parametrization)
        return module
    value = module._parameters.get(tensor_name)
    if value is None:
        raise ArgumentError(
            f"register_parametrization: {type(module).__name__} has no parameter {tensor_name!r}"
        )
    held = ParametrizationList(value, parametrization)
    delattr(module, tensor_name)
    if "parametrizations" not in module._modules:
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = held
    compute(module, tensor_name, _value(tensor_name), "Parametrized")
    return module


def _value(name: str) -> Callable[[Any], Any]:
    return lambda module: module.parametrizations[name]()


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
    if not leave_parametrized and held.count:
        raise ArgumentError(
            f"remove_parametrizations: {tensor_name!r} comes from {held.count} tensors, so only "
            "its value can be left"
        )
    with no_grad():
        value = (held() if leave_parametrized else held.original).detach().clone()
    wanted = next(held.parameters()).requires_grad
    del module.parametrizations[tensor_name]
    compute(module, tensor_name, None, "Parametrized")
    if not len(module.parametrizations):
        del module.parametrizations
    module.register_parameter(tensor_name, Parameter(value, requires_grad=wanted))
    return module
