"""Whether a traced function gives what its Python gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from argand.base.notices import notice
from argand.base.scripting import running_as
from argand.base.tree import flatten
from argand.jit.methods import Method, TracerWarning
from argand.tensor.core import Tensor
from argand.tensor.generators import default_generator
from argand.transform.mode import no_grad


def compare(method: Method, function: Callable[..., Any], given: Any, tolerance: float) -> None:
    """Warn where a trace gives other results than the function. Both leave the state, and the
    random numbers that come, as they were."""
    args, kwargs = given
    with no_grad(), _kept(method):
        found = flatten(method(*args, **kwargs))[0]
    with no_grad(), _kept(method), running_as(traces=True):
        expected = flatten(function(*args, **kwargs))[0]
    if len(found) != len(expected):
        notice(
            f"The traced function gives {len(found)} results, the Python function "
            f"{len(expected)}: its branches are as in the first example",
            TracerWarning,
        )
    for i, (x, y) in enumerate(zip(found, expected, strict=False)):
        if not _is_close(x, y, tolerance):
            notice(
                f"Output nr {i + 1}. of the traced function does not match the corresponding "
                "output of the Python function: a branch, or a number that Python computed, is as "
                "it was in the first example",
                TracerWarning,
            )


def _is_close(found: Any, expected: Any, tolerance: float) -> bool:
    if not isinstance(found, Tensor) or not isinstance(expected, Tensor):
        return bool(found == expected)
    if tuple(found.shape) != tuple(expected.shape) or found.dtype is not expected.dtype:
        return False
    a, b = found.detach(), expected.detach()
    if not a.dtype.is_inexact:
        return bool((a == b).all())
    return bool(np.allclose(_wide(a), _wide(b), tolerance, 1e-5, equal_nan=True))


def _wide(x: Tensor) -> np.ndarray:
    array: np.ndarray = x.numpy_array().astype(np.complex128)
    return array


@contextmanager
def _kept(method: Method) -> Iterator[None]:
    """Put back what a call of the method writes, when the block is left."""
    program = method.whole()
    signature = method.signature
    names = [signature.state_names[i] for i in signature.program.writes]
    tensors = [program.state[n] for n in names if isinstance(n, str)]
    before = [t.numpy_array().copy() for t in tensors]
    drawn = default_generator.get_state()
    try:
        yield
    finally:
        for tensor, array in zip(tensors, before, strict=True):
            tensor._array[...] = array
            tensor._wrote()
        default_generator.set_state(drawn)


__all__ = ["compare"]
