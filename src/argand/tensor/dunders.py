"""Python's operators on tensors, each beginning with an entry of its own.

What takes an operator over by `__torch_function__` is given the method that PyTorch gives it:
`Tensor.add` for ``a + b`` and ``1 + a``, `Tensor.__rsub__` for ``1 - a``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from argand.base.misuse import FAILURES, explain
from argand.base.userstack import UserCall, register_call, register_passing
from argand.ir import bind as crossroads
from argand.ir import entries, overrides
from argand.ir.entries import planned
from argand.ir.op import Op, registry
from argand.tensor.core import Tensor
from argand.tensor.inplace import apply_inplace

# Python's name of an operator: our op, and PyTorch's methods for it with the tensor on the left, on
# the right, in place; an empty one is the operator itself.
_BINARY = {
    "add": ("add", "add", "add", "add_"),
    "sub": ("sub", "sub", "", "sub_"),
    "mul": ("mul", "mul", "mul", "mul_"),
    "truediv": ("div", "div", "", "div_"),
    "floordiv": ("floor_divide", "", "", "floor_divide_"),
    "mod": ("remainder", "remainder", "__rmod__", "remainder_"),
    "pow": ("pow", "", "", ""),
    "matmul": ("matmul", "matmul", "", ""),
    "and": ("bitwise_and", "", "bitwise_and", ""),
    "or": ("bitwise_or", "", "bitwise_or", ""),
    "xor": ("bitwise_xor", "", "bitwise_xor", ""),
    "lshift": ("bitwise_left_shift", "", "", ""),
    "rshift": ("bitwise_right_shift", "", "", ""),
}
_COMPARISONS = ("lt", "le", "gt", "ge")
_UNARY = {"neg": ("neg", "neg"), "abs": ("abs", "abs"), "invert": ("bitwise_not", "")}


def operators() -> dict[str, Any]:
    """Python's operators, but those that write."""
    found: dict[str, Any] = {}
    for name, (target, left, right, _) in _BINARY.items():
        op = registry.get(target)
        found[f"__{name}__"] = _binary(op, f"__{name}__", left)
        found[f"__r{name}__"] = _binary(op, f"__r{name}__", right, swapped=True)
    found["__rdiv__"] = found["__rtruediv__"]
    for name in _COMPARISONS:
        found[f"__{name}__"] = _binary(registry.get(name), f"__{name}__", name)
    found["__eq__"] = _equality(registry.get("eq"), "__eq__", "")
    found["__ne__"] = _equality(registry.get("ne"), "__ne__", "ne")
    for name, (target, public) in _UNARY.items():
        found[f"__{name}__"] = _unary(registry.get(target), f"__{name}__", public)
    return found


def inplace_operators() -> dict[str, Any]:
    """Python's operators that write into the tensor on the left."""
    return {
        f"__i{name}__": _inplace(registry.get(target), f"__i{name}__", public)
        for name, (target, _, _, public) in _BINARY.items()
        if name != "matmul"
    }


def _method(name: str) -> Callable[[], Any]:
    """What gives a method of Tensor, once there is one."""
    return lambda: Tensor.__dict__[name]


def _binary(op: Op, name: str, public: str, swapped: bool = False) -> Any:
    """An operator of two operands; `swapped` where the tensor is on the right."""

    def apply(self: Any, other: Any) -> Any:
        return op.apply(other, self)

    method = _method(public or name)
    entry = general = overrides.open_to_classes(apply if swapped else op.apply, method)

    def operator(self: Any, other: Any) -> Any:
        try:
            if crossroads.pushed:
                found = overrides.taken(method(), (self, other), {})
                if found is not overrides.UNTAKEN:
                    return found
                return op(other, self) if swapped else op(self, other)
            return entry(self, other)
        except overrides.NoOverrideError:
            return NotImplemented
        except FAILURES as error:
            explain(error)
            raise

    def renew() -> None:
        nonlocal entry
        entry = entries.made(general)

    entries.when_installed(renew)
    register_passing(apply)
    register_call(operator, _operator_call)
    side = ", the tensor being on the right" if swapped else ""
    return _opened(operator, name, f"`{op.name}` as an operator{side}.")


def _equality(op: Op, name: str, public: str) -> Any:
    compare = _binary(op, name, public)

    # What can't be compared (None, a string) is simply not equal, as for any Python object.
    def operator(self: Any, other: Any) -> Any:
        return NotImplemented if other is None or type(other) is str else compare(self, other)

    register_call(operator, lambda local: _call_of(op, local["self"], local["other"]))
    return _opened(operator, name, f"`{op.name}` as an operator.")


def _unary(op: Op, name: str, public: str) -> Any:
    method = _method(public or name)
    entry = general = overrides.open_to_classes(op.apply, method)

    def operator(self: Any) -> Any:
        try:
            if crossroads.pushed:
                found = overrides.taken(method(), (self,), {})
                return op(self) if found is overrides.UNTAKEN else found
            return entry(self)
        except FAILURES as error:
            explain(error)
            raise

    def renew() -> None:
        nonlocal entry
        entry = entries.made(general)

    entries.when_installed(renew)
    register_call(operator, lambda local: _call_of(local["op"], local["self"]))
    return _opened(operator, name, f"`{op.name}` as an operator.")


def _operator_call(local: Mapping[str, Any]) -> UserCall:
    operands = local["self"], local["other"]
    return _call_of(local["op"], *(reversed(operands) if local["swapped"] else operands))


def _call_of(op: Op, *operands: Any) -> UserCall:
    return UserCall(op, op.name, operands, {})


def _inplace(op: Op, name: str, public: str) -> Any:
    """The in-place operator of an op."""

    def method(self: Any, other: Any) -> Any:
        return apply_inplace(op, self, other)

    call = planned(named(method, op.name, None), _method(public or name))
    return named(call, name, f"`{op.name}` in place.")  # errors tell of the op


def _opened(operator: Any, name: str, doc: str) -> Any:
    operator.is_overridable = True
    return named(operator, name, doc)


def named(function: Any, name: str, doc: str | None) -> Any:
    """The function, under another name and with another docstring."""
    function.__name__, function.__qualname__ = name.rpartition(".")[2], name
    function.__doc__ = doc
    return function
