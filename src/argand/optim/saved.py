"""Checks of what `Optimizer.load_state_dict` is given, before anything of it is taken over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from argand.base.errors import CallError, ShapeError
from argand.base.shape import shape_text
from argand.tensor.core import Tensor, wrap


def saved_groups(state_dict: Any, groups: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The parameter groups of a state dict; an error when they don't fit those of the optimizer."""
    known = isinstance(state_dict, Mapping) and isinstance(state_dict.get("state"), Mapping)
    saved = state_dict.get("param_groups") if known else None
    if not isinstance(saved, list | tuple) or not all(map(_is_group, saved)):
        raise CallError(
            "expected what an optimizer's state_dict() returned: a dictionary with 'state' and "
            f"'param_groups', got {type(state_dict).__name__}"
        )
    if len(groups) != len(saved):
        raise ValueError(
            f"the state dict has {len(saved)} parameter groups, the optimizer {len(groups)}"
        )
    for i, (group, other) in enumerate(zip(groups, saved, strict=True)):
        _check_group(i, group, other)
    return list(saved)


def _is_group(group: Any) -> bool:
    numbers = group.get("params") if isinstance(group, Mapping) else None
    return isinstance(numbers, list | tuple) and all(isinstance(n, int) for n in numbers)


def _check_group(i: int, group: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    counts = len(group["params"]), len(other["params"])
    if counts[0] != counts[1]:
        raise ValueError(
            f"parameter group {i} has {counts[1]} parameters in the state dict, "
            f"{counts[0]} in the optimizer"
        )
    for key, value in group.items():
        if key in other and _kind(value) is not None and _kind(value) != _kind(other[key]):
            raise ValueError(
                f"{key!r} of parameter group {i} is {other[key]!r} in the state dict, {value!r} "
                "in the optimizer"
            )


def _kind(value: Any) -> Any:
    """Which hyper-parameters may replace each other: numbers, or as many numbers."""
    if isinstance(value, tuple | list) and all(_kind(v) == "number" for v in value):
        return len(value)
    return "number" if isinstance(value, int | float | np.number | Tensor) else None


def saved_states(
    state_dict: Any, by_number: Mapping[int, Any], shape_of: Callable[[str, Any], Any]
) -> list[tuple[Any, Any]]:
    """The parameters that a state dict has a state of, each with it; an error when one is
    damaged. ``shape_of(key, p)`` is the shape that a state has, or None for any."""
    found = []
    for number, values in state_dict["state"].items():
        p = by_number.get(int(number)) if str(number).isdigit() else None
        if p is not None:
            _check_state(f"parameter {number}", values, p, shape_of)
            found.append((p, values))
    return found


def _check_state(name: str, values: Any, p: Any, shape_of: Callable[[str, Any], Any]) -> None:
    if not isinstance(values, Mapping):
        raise ValueError(f"the state of {name} must be a dictionary, got {values!r}")
    for key, value in values.items():
        array, wanted = array_of(value), shape_of(key, p)
        if array is None and not _is_plain(value, lists=wanted is None):
            raise ValueError(f"the state {key!r} of {name} must be a tensor, got {value!r}")
        if array is not None and wanted is not None and array.shape not in ((), wanted):
            raise ShapeError(
                f"the state {key!r} of {name} has shape {shape_text(array.shape)}, the parameter "
                f"{shape_text(p.shape)}"
            )


def _is_plain(value: Any, lists: bool) -> bool:
    """Whether a state is a number or None; or with `lists` text, or a container of such and of
    tensors."""
    if lists and isinstance(value, list | tuple | Mapping):
        inner = value.values() if isinstance(value, Mapping) else value
        return all(array_of(v) is not None or _is_plain(v, lists) for v in inner)
    return isinstance(value, int | float | np.number | None) or (lists and isinstance(value, str))


def array_of(value: Any) -> Any:
    """The memory of a tensor or an array; None for anything else."""
    if isinstance(value, Tensor):
        return value.numpy_array()
    return value if isinstance(value, np.ndarray) else None


def restore(state: dict[str, Any], values: Mapping[str, Any], p: Any) -> None:
    """Make `state` what was saved of the parameter `p`, in the memory that it has where it fits."""
    for key in [k for k in state if k not in values]:
        del state[key]
    for key, value in values.items():
        array, now = array_of(value), state.get(key)
        if array is not None and isinstance(now, Tensor) and tuple(now.shape) == array.shape:
            now.numpy_array()[...] = array
            now._wrote()
        else:
            state[key] = _taken_over(value, p)


def _taken_over(value: Any, p: Any) -> Any:
    """A copy of what was saved; tensors of floats get the parameter's dtype."""
    if isinstance(value, list | tuple):
        return type(value)(_taken_over(v, p) for v in value)
    if isinstance(value, Mapping):
        return {k: _taken_over(v, p) for k, v in value.items()}
    array = array_of(value)
    if array is None:
        return value
    cast = array.ndim and array.dtype.kind not in "iubc" and p.dtype.is_floating_point
    return wrap(np.array(array, p.dtype.numpy if cast else array.dtype))
