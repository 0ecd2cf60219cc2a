"""The state of an optimizer: dictionaries that compiled steps notice changes of."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from argand.base import epoch
from argand.ir.op import ops
from argand.tensor.core import wrap


def _noticed(kind: Any, names: str) -> Any:
    """A class decorator: these methods of `kind` move the epoch too."""

    def decorate(cls: Any) -> Any:
        for name in names.split():
            setattr(cls, name, _moving(getattr(kind, name)))
        return cls

    return decorate


def _moving(method: Any) -> Any:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        epoch.bump()
        return method(self, *args, **kwargs)

    return call


_OF_DICTS = "__setitem__ __delitem__ __ior__ clear pop popitem setdefault update"


@_noticed(dict, _OF_DICTS)
class State(dict[str, Any]):
    """The state of one parameter: moments, the number of steps."""


@_noticed(defaultdict, _OF_DICTS)
class States(defaultdict[Any, State]):
    """The state of each parameter, empty where there is none yet."""


_OF_LISTS = "__setitem__ __delitem__ __iadd__ append clear extend insert pop remove reverse sort"


@_noticed(list, _OF_LISTS)
class Parameters(list[Any]):
    """The parameters of a group."""


class RealParts:
    """The state of a complex parameter as its update rule sees it: real and imaginary parts, in a
    last dimension of size 2. The tensors themselves are complex, as PyTorch's are."""

    def __init__(self, state: State) -> None:
        self._state = state

    def __getitem__(self, key: str) -> Any:
        value = self._state[key]
        is_complex = getattr(value, "dtype", None) is not None and value.dtype.is_complex
        return ops.view_as_real(value) if is_complex else value

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or a default."""
        return self[key] if key in self._state else default

    def __setitem__(self, key: str, value: Any) -> None:
        array = value.numpy_array()
        if array.ndim:
            kind = np.complex64 if array.dtype == np.float32 else np.complex128
            value = wrap(np.ascontiguousarray(array).view(kind)[..., 0])
        self._state[key] = value
