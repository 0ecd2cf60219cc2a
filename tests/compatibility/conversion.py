"""PyTorch's values as ours: what `operators.py` gives both to compute with."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import torch
from torch.utils._pytree import tree_map_only

import argand as ag


def to_numpy(x: Any) -> Any:
    """A torch tensor's values with its strides, those without a dtype of NumPy's included."""
    x = x.detach().resolve_conj().resolve_neg()
    known = getattr(ml_dtypes, str(x.dtype).removeprefix("torch."), None)
    if known is not None:
        bits = torch.int16 if x.dtype.itemsize == 2 else torch.uint8
        return x.view(bits).numpy(force=True).view(known)
    return x.numpy(force=True)  # zeros that were never stored, too


def to_ours(x: Any) -> Any:
    """An argument of PyTorch's as ours."""
    if isinstance(x, torch.Tensor):
        if x.layout is not torch.strided or x.dtype.is_signed is None:
            raise NotImplementedError(f"layout {x.layout}")
        if x.storage_offset():
            return _with_all_memory(x)
        array = to_numpy(x)
        found = ag.from_numpy(array.copy(order="K"))
        return found.requires_grad_() if x.requires_grad else found
    if isinstance(x, torch.dtype):
        return getattr(ag, str(x).removeprefix("torch."))
    if isinstance(x, torch.device):
        return ag.device(str(x))
    if isinstance(x, torch.memory_format | torch.layout):
        return getattr(ag, str(x).removeprefix("torch."))
    if isinstance(x, torch.Size):
        return tuple(x)
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return tuple(to_ours(v) for v in x)
    if isinstance(x, tuple | list):
        return type(x)(to_ours(v) for v in x)
    if isinstance(x, dict):
        return {k: to_ours(v) for k, v in x.items()}
    if isinstance(x, torch.Generator):
        return None
    return x


def _with_all_memory(x: Any) -> Any:
    """A view of memory that reaches further than itself, as `as_strided` can see."""
    count = x.untyped_storage().nbytes() // x.itemsize
    whole = ag.from_numpy(to_numpy(x.as_strided((count,), (1,), 0)).copy())
    found = whole.as_strided(tuple(x.shape), x.stride(), x.storage_offset())
    return found.requires_grad_() if x.requires_grad else found


def sharing(x: Any) -> Any:
    """Arguments of PyTorch's as ours, which share memory where those do."""
    wholes: dict[int, Any] = {}

    def converted(t: Any) -> Any:
        if not isinstance(t, torch.Tensor) or t.requires_grad or t.layout is not torch.strided:
            return t
        at = t.untyped_storage().data_ptr()
        whole = wholes.get(at)
        if whole is None or whole.dtype.itemsize != t.itemsize:
            flat = t.as_strided((t.untyped_storage().nbytes() // t.itemsize,), (1,), 0)
            whole = wholes[at] = ag.from_numpy(to_numpy(flat).copy())
        return whole.as_strided(tuple(t.shape), t.stride(), t.storage_offset())

    return to_ours(tree_map_only(torch.Tensor, converted, x))
