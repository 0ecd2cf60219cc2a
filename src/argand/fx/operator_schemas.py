"""Arguments of calls brought into one form, by the signatures of functions and modules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from argand.nn.module import Module


class ArgsKwargsPair(NamedTuple):
    """The arguments of a call, by place and by name.

    >>> from argand.fx.operator_schemas import ArgsKwargsPair
    >>> ArgsKwargsPair((1,), {}).args
    (1,)
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def get_signature_for_torch_op(op: Callable[..., Any], return_schemas: bool = False) -> Any:
    """The signatures of a function, in a list; None where it has none.

    >>> from argand.fx.operator_schemas import get_signature_for_torch_op
    >>> list(get_signature_for_torch_op(nn.functional.relu)[0].parameters)
    ['input', 'inplace']
    """
    try:
        found = [inspect.signature(op)]
    except (TypeError, ValueError):
        return (None, None) if return_schemas else None
    return (found, [None]) if return_schemas else found


def normalize_function(
    target: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    arg_types: Any = None,
    kwarg_types: Any = None,
    normalize_to_only_use_kwargs: bool = False,
) -> ArgsKwargsPair | None:
    """The arguments of a call with those that have defaults, named as the function names them:
    what the call gave by place stays so, unless all are to have names. None where the arguments
    don't fit or the function's signature isn't known.

    >>> from argand.fx.operator_schemas import normalize_function
    >>> normalize_function(nn.functional.relu, ("x",), normalize_to_only_use_kwargs=True).kwargs
    {'input': 'x', 'inplace': False}
    """
    found = get_signature_for_torch_op(target)
    if not found or target.__module__ == "_operator":
        return None
    return _normalized(found[0], args, kwargs or {}, normalize_to_only_use_kwargs)


def normalize_module(
    root: Module,
    target: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    normalize_to_only_use_kwargs: bool = False,
) -> ArgsKwargsPair | None:
    """As `normalize_function`, for a call of the submodule `target`: a layer of `nn`."""
    module = root.get_submodule(target)
    if not type(module).__module__.startswith("argand.nn"):
        return None
    signature = inspect.signature(module.forward)
    return _normalized(signature, args, kwargs or {}, normalize_to_only_use_kwargs)


def _normalized(
    signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any], named: bool
) -> ArgsKwargsPair | None:
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    if any(p.kind in variable for p in signature.parameters.values()):
        return None
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:
        return None
    bound.apply_defaults()
    found = dict(bound.arguments)
    if named:
        return ArgsKwargsPair((), found)
    by_place = list(found)[: len(args)]
    rest = {name: value for name, value in found.items() if name not in by_place}
    return ArgsKwargsPair(tuple(found[name] for name in by_place), rest)


def type_matches(signature_type: Any, argument_type: Any) -> bool:
    """Whether an argument of a type can stand where another type is annotated."""
    if signature_type is argument_type or signature_type in (Any, inspect.Parameter.empty):
        return True
    both = isinstance(signature_type, type) and isinstance(argument_type, type)
    return both and issubclass(argument_type, signature_type)


def check_for_mutable_operation(target: Any, args: Any, kwargs: Any) -> None:
    """Nothing: graphs keep calls that write in place, in their order."""


def create_type_hint(x: Any) -> Any:
    """The type of what a list or tuple holds, as an annotation; anything else as it is."""
    if not isinstance(x, list | tuple):
        return x
    kinds = set(x)
    inner = next(iter(kinds)) if len(kinds) == 1 else Any
    return list[inner] if isinstance(x, list) else tuple[inner, ...]  # type: ignore[valid-type]  # made at run time


__all__ = [
    "ArgsKwargsPair",
    "check_for_mutable_operation",
    "create_type_hint",
    "get_signature_for_torch_op",
    "normalize_function",
    "normalize_module",
    "type_matches",
]
