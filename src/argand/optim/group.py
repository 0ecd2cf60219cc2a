"""A group of parameters and its hyper-parameters: numbers outside a trace, tensors inside.

Every number (a learning rate, each of Adam's betas) also lives in a 0-d float64 tensor. While a
function is traced, reading the group gives that tensor, so the program reads it as state: a
schedule changes the number between calls, and nothing is traced again. A tensor that a step puts
into the group by a key of its own (a counter, say) stays that tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from argand.base import epoch
from argand.base.errors import TraceError
from argand.base.stateful import GroupState
from argand.ir import bind as crossroads
from argand.ir.bind import tracing
from argand.optim.state import Parameters
from argand.tensor.core import Tensor, wrap

# The groups (by id) whose numbers a schedule changes after each call of what is being traced.
_moved: WeakKeyDictionary[Any, set[int]] = WeakKeyDictionary()


class ParamGroup(dict[str, Any]):
    """The dictionary that `Optimizer.param_groups` lists.

    >>> group = ParamGroup({"params": [], "lr": 0.1, "betas": (0.9, 0.999)})
    >>> group["lr"], group["betas"]
    (0.1, (0.9, 0.999))
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__()
        self.storages: dict[str, Any] = {}
        self._made = False
        for key, value in values.items():
            self[key] = value
        self._made = True

    def __getitem__(self, key: str) -> Any:
        if crossroads.pushed and key in self.storages and tracing():
            self._check_moved(key)
            return self.storages[key]
        return super().__getitem__(key)

    def moves_after_call(self) -> None:
        """Note that a schedule changes the numbers after each call of what is being traced."""
        _moved.setdefault(crossroads.current(), set()).add(id(self))

    def _check_moved(self, key: str) -> None:
        if id(self) in _moved.get(crossroads.current(), ()):
            raise TraceError(
                f"{key!r} is read after scheduler.step() in the same compiled function, but the "
                "schedule moves when the call has ended; read it outside (get_last_lr()), or "
                "step the scheduler last"
            )

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or a default."""
        if key not in self:
            return default
        return self[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if tracing():
            raise TraceError(
                f"the hyper-parameter {key!r} is set inside a compiled function; set it, or step "
                "the scheduler, outside: the compiled function reads it anew at every call"
            )
        before = super().get(key)
        if isinstance(value, Tensor) and (isinstance(before, Tensor) or self._adds(key)):
            super().__setitem__(key, value)
            epoch.bump()
            return
        value = _plain(value)
        if key == "params" and type(value) is list:
            value = Parameters(value)
        super().__setitem__(key, value)
        if _is_number(value):
            self._store(key, float(value))
        elif isinstance(value, tuple) and value and all(map(_is_number, value)):
            self._store_all(key, value)
        else:
            self.storages.pop(key, None)
            if key != "params" and (isinstance(before, Tensor) or before != value):
                epoch.bump()
            return
        if isinstance(before, Tensor) or _structure(before) != _structure(value):
            epoch.bump()

    def _adds(self, key: str) -> bool:
        return self._made and key not in self

    def _store(self, key: str, value: float) -> None:
        storage = self.storages.get(key)
        if isinstance(storage, Tensor):
            _write(storage, value)
        else:
            self.storages[key] = _scalar(value)

    def _store_all(self, key: str, values: tuple[Any, ...]) -> None:
        storages = self.storages.get(key)
        if isinstance(storage_list := storages, tuple) and len(storage_list) == len(values):
            for storage, value in zip(storage_list, values, strict=True):
                _write(storage, float(value))
        else:
            self.storages[key] = tuple(_scalar(float(v)) for v in values)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self.storages.pop(key, None)
        epoch.bump()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several values."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of a key, which is set first when it is missing."""
        if key not in self:
            self[key] = default
        return self[key]

    def option(self, key: str) -> Any:
        """The plain value, also inside a trace: what decides which operations there are. None where
        the optimizer has no such option."""
        return super().get(key)

    def tensors(self) -> dict[str, Tensor]:
        """The hyper-parameters' tensors by name: ``lr``, ``betas.0``."""
        found: dict[str, Tensor] = {}
        for key, storage in self.storages.items():
            if isinstance(storage, Tensor):
                found[key] = storage
            else:
                found |= {f"{key}.{i}": each for i, each in enumerate(storage)}
        return found

    def __argand_state__(self) -> GroupState:
        """What compiled functions see of the group. An update's operations depend on the options
        and on which numbers are zero."""
        plain = {k: v for k, v in self.items() if k != "params" and not isinstance(v, Tensor)}
        options = tuple((k, _structure(v)) for k, v in plain.items())
        return GroupState(self.option("params") or (), self.tensors(), repr(options))

    def __reduce__(self) -> tuple[Any, ...]:
        return (ParamGroup, ({k: self.option(k) for k in self},))

    def __deepcopy__(self, memo: dict[int, Any]) -> ParamGroup:
        made = ParamGroup({k: deepcopy(v, memo) for k, v in self.items()})
        memo[id(self)] = made
        return made


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """Tensors and lists of numbers as Python numbers and tuples."""
    if isinstance(value, Tensor):
        return value.item()
    if isinstance(value, list) and value and all(map(_is_number, value)):
        return tuple(value)
    return value


def _structure(value: Any) -> Any:
    """What of a number decides which operations an update has: whether it is zero."""
    if isinstance(value, tuple):
        return tuple(map(_structure, value))
    return bool(value) if _is_number(value) else value


def _scalar(value: float) -> Tensor:
    return wrap(np.array(value, np.float64))


def _write(storage: Tensor, value: float) -> None:
    storage._array[...] = value
    storage._wrote()
