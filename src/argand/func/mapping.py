"""`vmap`: a function of one example as a function of many."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from argand.base.shape import same_shape
from argand.func.calls import Calls
from argand.ir.batching import Operand, moved
from argand.ir.bind import interpreting
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.utils._pytree import (
    TreeSpec,
    _broadcast_to_and_flatten,
    tree_flatten,
    tree_unflatten,
)

Function = Callable[..., Any]
_RANDOMNESS = ("error", "different", "same")


def vmap(
    func: Function,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Function:
    """The function of many examples that calls `func` for each, in one go: y[i] = func(x[i]).

    `in_dims` says which dimension of each argument counts the examples (None: the argument is the
    same for all), `out_dims` where it is in the results: ints, or trees of them as the arguments
    and results are. Inside `func` tensors look as one example's do; every operation is computed for
    all at once, so values can't be read (`item()`, a branch on one: RuntimeError). Random numbers
    are refused, or with `randomness` "different" for each example, or the "same" for all.
    `chunk_size` is how many examples are computed at once. What is given by keyword is the same
    for all. Maps may be nested, and `grad`, `jvp`
    and the others may be inside and around. Raises ValueError for dims that don't fit. Follows
    `torch.func.vmap`.

    >>> rows, v = ag.tensor([[1.0, 2.0], [3.0, 4.0]]), ag.tensor([1.0, 10.0])
    >>> ag.vmap(ag.dot, in_dims=(0, None))(rows, v)
    tensor([21., 43.])
    """
    if randomness not in _RANDOMNESS:
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. "
            f"Got {randomness}"
        )
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        given = _Arguments(func, in_dims, args, kwargs)
        if chunk_size is None or not given.size > chunk_size:
            return given.called(given.leaves, given.size, out_dims, randomness)
        return _in_chunks(given, out_dims, randomness, chunk_size)

    return mapped


def name_of(func: Function) -> str:
    """What errors call a function."""
    return getattr(func, "__name__", None) or repr(func)


class _Arguments:
    """The arguments of a call, taken apart."""

    def __init__(self, func: Function, in_dims: Any, args: Any, kwargs: Any) -> None:
        self.func, self.kwargs = func, kwargs
        call = f"vmap({name_of(func)}, in_dims={in_dims}, ...)(<inputs>): "
        if not isinstance(in_dims, int | list | tuple):
            raise ValueError(
                f"{call}expected `in_dims` to be int or a (potentially nested) tuple matching the "
                f"structure of inputs, got: {type(in_dims)}."
            )
        if not args:
            raise ValueError(
                f"vmap({name_of(func)})(<inputs>): got no inputs. Maybe you forgot to add inputs, "
                "or you are trying to vmap over a function with no inputs. The latter is "
                "unsupported."
            )
        self.leaves, self.spec = tree_flatten(args)
        dims = _broadcast_to_and_flatten(_as_tuple(in_dims), self.spec, _is_dim)
        if dims is None:
            raise ValueError(
                f"{call}in_dims is not compatible with the structure of `inputs`. in_dims has "
                f"structure {tree_flatten(in_dims)[1]} but inputs has structure {self.spec}."
            )
        self.dims = [_checked(call, d, x) for d, x in zip(dims, self.leaves, strict=True)]
        self.size = self._count()

    def _count(self) -> Any:
        mapped = [(x, d) for x, d in zip(self.leaves, self.dims, strict=True) if d is not None]
        if not mapped:
            raise ValueError("vmap: at least one input has to be mapped; every in_dim is None")
        sizes = [x.shape[d] for x, d in mapped]
        if not all(same_shape((s,), sizes[:1]) for s in sizes):
            raise ValueError(
                "vmap: Expected all tensors to have the same size in the mapped dimension, got "
                f"sizes {sizes} for the mapped dimension"
            )
        return sizes[0]

    def called(self, leaves: Sequence[Any], size: Any, out_dims: Any, randomness: str) -> Any:
        """The results for `size` examples, with their number where `out_dims` says."""
        level = Calls(size, randomness)
        args = [_example(level, x, d) for x, d in zip(leaves, self.dims, strict=True)]
        with interpreting(level):
            out = self.func(*tree_unflatten(args, self.spec), **self.kwargs)
        found, spec = tree_flatten(out)
        dims = self.result_dims(out_dims, out, spec)
        return tree_unflatten(
            [self._result(level, y, d) for y, d in zip(found, dims, strict=True)], spec
        )

    def result_dims(self, out_dims: Any, out: Any, spec: TreeSpec) -> list[Any]:
        """Where each result has the number of examples."""
        if isinstance(out, Tensor) and isinstance(out_dims, tuple) and len(out_dims) == 1:
            return list(out_dims)
        dims = _broadcast_to_and_flatten(out_dims, spec, _is_dim)
        if dims is None or not all(map(_is_dim, dims)):
            raise ValueError(
                f"vmap({name_of(self.func)}, ..., out_dims={out_dims})(<inputs>): out_dims is not "
                f"compatible with the structure of `outputs`. out_dims has structure "
                f"{tree_flatten(out_dims)[1]} but outputs has structure {spec}."
            )
        return dims

    def _result(self, level: Calls, y: Any, dim: Any) -> Any:
        name = name_of(self.func)
        if dim is None:
            if not isinstance(y, Tensor):
                return y
            if level.read(y).many:
                raise ValueError(
                    f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is "
                    "None"
                )
            return level.read(y).value
        if not isinstance(y, Tensor):
            raise ValueError(
                f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(y)}. Did "
                "you mean to set out_dims= to None for output?"
            )
        whole = level.read(y).stacked(level.size)
        rank = len(whole.shape)
        if not -rank <= dim < rank:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but "
                f"got {dim})"
            )
        return moved(whole, 0, dim % rank)


def _as_tuple(in_dims: Any) -> Any:
    return tuple(in_dims) if isinstance(in_dims, list) else in_dims


def _is_dim(x: Any) -> bool:
    return x is None or (isinstance(x, int) and not isinstance(x, bool))


def _checked(call: str, dim: Any, x: Any) -> int | None:
    """The dimension of an argument, from 0 on; None where it is not mapped."""
    if dim is None:
        return None
    if not _is_dim(dim):
        raise ValueError(
            f"{call}Got in_dim={dim} for an input but in_dim must be either an integer dimension "
            "or None."
        )
    if not isinstance(x, Tensor):
        raise ValueError(
            f"{call}Got in_dim={dim} for an input but the input is of type {type(x)}. We cannot "
            "vmap over non-Tensor arguments, please use None as the respective in_dim"
        )
    if not -x.ndim <= dim < x.ndim:
        raise ValueError(
            f"{call}Got in_dim={dim} for some input, but that input is a Tensor of dimensionality "
            f"{x.ndim} so expected in_dim to satisfy -{x.ndim} <= in_dim < {x.ndim}."
        )
    return int(dim % x.ndim)


def _example(level: Calls, x: Any, dim: int | None) -> Any:
    """What the function gets of an argument."""
    if dim is None:
        return x
    return level.tensor(Operand(moved(x, dim, 0), True), False)


def _in_chunks(given: _Arguments, out_dims: Any, randomness: str, count: int) -> Any:
    """The results of some examples after another, put together."""
    size = int(given.size)
    parts = []
    for start in range(0, size, count):
        stop = min(start + count, size)
        leaves = [
            x if d is None else _part(x, d, start, stop)
            for x, d in zip(given.leaves, given.dims, strict=True)
        ]
        parts.append(given.called(leaves, stop - start, out_dims, randomness))
    flat = [tree_flatten(part)[0] for part in parts]
    spec = tree_flatten(parts[0])[1]
    dims = given.result_dims(out_dims, parts[0], spec)
    joined = [
        ys[0] if d is None else ops.cat(*ys, dim=d % ys[0].ndim)
        for ys, d in zip(zip(*flat, strict=True), dims, strict=True)
    ]
    return tree_unflatten(joined, spec)


def _part(x: Any, dim: int, start: int, stop: int) -> Any:
    first, last = [0] * x.ndim, list(x.shape)
    first[dim], last[dim] = start, stop
    return ops.slice(x, tuple(first), tuple(last))
