"""`rearrange`: dimensions by name, as einops has them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from argand.ir.op import ops
from argand.tensor.joining import stack

_ELLIPSIS = "..."
Side = list[list[str]]  # for each dimension the axes that it is made of


def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Any:
    """The elements of a tensor in other dimensions, as a pattern says: ``"b h w -> (b h) w"``.

    Names stand for axes, parentheses join several into one dimension, ``1`` is a dimension of size
    1, and ``...`` is whatever there is besides. The sizes of axes that are split are given by name,
    all but one. A sequence of tensors is stacked, as a first dimension. ValueError for a pattern
    that is none or doesn't fit. Follows `torch.func.rearrange`, and einops (Rogozhnikov, 2022).

    >>> ag.func.rearrange(ag.zeros(2, 6, 5), "b (h k) w -> b k (w h)", k=2).shape
    argand.Size([2, 2, 15])
    """
    if isinstance(tensor, Sequence):
        tensor = stack(list(tensor))
    left, arrow, right = pattern.partition("->")
    if not arrow:
        raise ValueError(f"rearrange: the pattern {pattern!r} has no '->'")
    shape = tuple(tensor.shape)
    source, target = _parsed(left), _parsed(right)
    extra = [f"{_ELLIPSIS}{i}" for i in range(len(shape) - len(source) + 1)]
    source, target = _filled(source, extra, False), _filled(target, extra, True)
    if len(source) != len(shape):
        raise ValueError(
            f"Number of dimensions in pattern ({len(source)}) must be equal to the number of "
            f"dimensions in the tensor ({len(shape)})"
        )
    sizes = _sizes(source, shape, axes_lengths)
    before, after = ([name for group in side for name in group] for side in (source, target))
    _check(before, after, axes_lengths)
    apart = ops.reshape(tensor, tuple(sizes[name] for name in before))
    ordered = ops.permute(apart, tuple(before.index(name) for name in after))
    return ops.reshape(ordered, tuple(math.prod(sizes[n] for n in group) for group in target))


def _parsed(side: str) -> Side:
    """The dimensions of one side of a pattern."""
    found: Side = []
    inside: list[str] | None = None
    for token in re.findall(r"\.\.\.|\w+|\S", side):
        if token == "(" and inside is None:
            inside = []
        elif token == ")" and inside is not None:
            found.append(inside)
            inside = None
        elif token == _ELLIPSIS or token.isidentifier() or token == "1":
            names = [] if token == "1" else [token]
            if inside is None:
                found.append(names)
            else:
                inside += names
        else:
            raise ValueError(f"rearrange: {token!r} has no meaning in {side.strip()!r}")
    if inside is not None:
        raise ValueError(f"rearrange: a parenthesis is not closed in {side.strip()!r}")
    return found


def _filled(side: Side, extra: list[str], joins: bool) -> Side:
    """A side with the ellipsis replaced by the dimensions that it stands for."""
    found: Side = []
    for group in side:
        if group == [_ELLIPSIS]:
            found += [[name] for name in extra]
        elif _ELLIPSIS in group and joins:
            at = group.index(_ELLIPSIS)
            found.append([*group[:at], *extra, *group[at + 1 :]])
        else:
            found.append(group)
    return found


def _sizes(source: Side, shape: Sequence[Any], given: dict[str, int]) -> dict[str, Any]:
    """The size of every axis."""
    sizes: dict[str, Any] = dict(given)
    for group, size in zip(source, shape, strict=True):
        unknown = [name for name in group if name not in sizes]
        known = math.prod(sizes[name] for name in group if name in sizes)
        if len(unknown) > 1:
            raise ValueError(
                f"rearrange: cannot infer the sizes of {' and '.join(unknown)} at once"
            )
        if size != known and (not unknown or size % known):
            raise ValueError(f"rearrange: a dimension of size {size} is not made of {given}")
        if unknown:
            sizes[unknown[0]] = size // known
    return sizes


def _check(before: list[str], after: list[str], given: dict[str, int]) -> None:
    for names in (before, after):
        twice = [n for n in names if names.count(n) > 1]
        if twice:
            raise ValueError(f"Indexing expression contains duplicate dimension {twice[0]!r}")
    if set(before) != set(after):
        only = sorted(set(before) ^ set(after))
        raise ValueError(
            "Identifiers only on one side of rearrange expression (should be on both): "
            f"{{{', '.join(map(repr, only))}}}"
        )
    unused = sorted(set(given) - set(before))
    if unused:
        raise ValueError(f"rearrange: no axis is called {unused[0]!r}")
