"""Which results of a trace share memory with one another: views of one computed tensor.

Eager code writes to all of them where it writes to one. So the tensor that owns the memory becomes
an output of the program, and every call makes the views of it that the function made. Views that
have no element in common, such as the parts that `chunk` gives, are outputs each by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from argand.base.dim import Dim
from argand.compile.places import moved
from argand.tensor.core import Tensor
from argand.tensor.views import chain_of
from argand.transform.tape import LEAF

if TYPE_CHECKING:
    from argand.compile.tracer import Tracer

_MOST_ELEMENTS = 1 << 26  # more are not looked at one by one: their views count as shared


def shared_roots(tensors: Iterable[Tensor], tracer: Tracer) -> dict[int, Tensor]:
    """For each tensor (its id) that shares elements with another one: who owns the memory."""
    groups: dict[int, dict[int, Tensor]] = {}
    roots: dict[int, Tensor] = {}
    for x in tensors:
        root = _computed_root(x, tracer.captures)
        if root is not None:
            roots[id(root)] = root
            groups.setdefault(id(root), {})[id(x)] = x
    return {
        number: roots[i]
        for i, group in groups.items()
        if len(group) > 1 and _overlap(roots[i], list(group.values()), tracer)
        for number in group
        if number != i
    }


def _computed_root(x: Tensor, captures: Mapping[int, Any]) -> Tensor | None:
    """Who owns the memory of a tensor that the trace computed; None of any other."""
    root = x if id(x) in captures else x._root()
    computed = x._array is None and root._array is None and id(root) not in captures
    if not computed or x.weak or (root is not x and x._node is LEAF):
        return None
    return root


def _overlap(root: Tensor, views: list[Tensor], tracer: Tracer) -> bool:
    """Whether any element belongs to two of the views, or may at other sizes."""
    shape = [s for s in root.shape if not isinstance(s, Dim)]
    if len(shape) < root.ndim or math.prod(shape) > _MOST_ELEMENTS:
        return True
    counts = np.zeros(shape, np.complex64 if root.dtype.is_complex else np.int16)
    for view in views:
        chain = () if view is root else chain_of(view)
        part = moved(counts, chain, tracer.hints())
        if not part.flags.writeable:
            return True  # expanded: its own elements overlap
        part += 1 + 1j if part.dtype.kind == "c" else 1
        if np.any(part.real > 1) or np.any(part.imag > 1):
            return True
    return False
