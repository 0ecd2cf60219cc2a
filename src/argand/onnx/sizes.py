"""Sizes in a graph: numbers where they are known, else computed from the shapes of the inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dim import Dim, Extent, Shape, is_natural, same
from argand.base.polynomial import Symbol
from argand.base.shape import same_shape
from argand.ir.translation import UntranslatableError
from argand.onnx.refs import Ref

_OPERATORS = {"floordiv": "Div", "mod": "Mod", "min": "Min", "max": "Max"}


def key_of(size: Extent) -> Any:
    """What tells sizes apart."""
    return size.key if isinstance(size, Dim) else int(size)


def declared(size: Extent) -> int | str | None:
    """A size as a declared type has it: a number, a symbol's name, or a formula as a name."""
    return size.text() if isinstance(size, Dim) else int(size)


def vector(g: Any, shape: Shape) -> Any:
    """Sizes as a vector of int64."""
    if not any(isinstance(s, Dim) for s in shape):
        return g.constant(np.array(shape, np.int64).reshape(-1))
    key = ("vector", tuple(map(key_of, shape)))
    found = g._sizes.get(key)
    if found is None:
        parts: list[Any] = []
        for size in shape:
            if not isinstance(size, Dim) and parts and isinstance(parts[-1], list):
                parts[-1].append(int(size))
            else:
                parts.append(single(g, size) if isinstance(size, Dim) else [int(size)])
        given = [np.array(p, np.int64) if isinstance(p, list) else p for p in parts]
        found = g.ref(given[0]) if len(given) == 1 else g.op1("Concat", *given, axis=0)
        g._sizes[key] = found
    return found


def scalar(g: Any, size: Extent) -> Any:
    """A size as an int64 without dimensions."""
    if not isinstance(size, Dim):
        return g.constant(np.int64(size))
    key = ("scalar", size.key)
    found = g._sizes.get(key)
    if found is None:
        found = g._sizes[key] = g.op1("Squeeze", single(g, size), np.array([0], np.int64))
    return found


def single(g: Any, size: Dim) -> Any:
    """A symbolic size as a vector of one int64."""
    key = ("size", size.key)
    found = g._sizes.get(key)
    if found is None:
        total: Any = None
        for monomial, c in sorted(size.terms.items(), key=str):
            term: Any = None
            for atom in monomial:
                part = _atom(g, atom)
                term = part if term is None else g.op1("Mul", term, part)
            if term is None:
                term = np.array([c], np.int64)
            elif c != 1:
                term = g.op1("Mul", term, np.array([c], np.int64))
            total = term if total is None else g.op1("Add", total, term)
        found = g._sizes[key] = g.ref(total)
    return found


def _atom(g: Any, atom: Any) -> Any:
    if not isinstance(atom, Symbol):
        left, right = single(g, atom.left), single(g, atom.right)
        if atom.op == "floordiv" and not is_natural(atom.left, atom.right):
            left = g.op1("Sub", left, g.op1("Mod", left, right))  # Div is towards zero
        return g.op1(_OPERATORS[atom.op], left, right)
    key = ("symbol", atom.name)
    found = g._sizes.get(key)
    if found is None:
        if atom.name not in g.model.symbols:
            raise UntranslatableError(f"the size {atom.name} is the size of no input")
        source, d, times, plus = g.model.symbols[atom.name]
        shape = g._sizes.get(("shape", source.name))
        if shape is None:
            shape = g._sizes["shape", source.name] = g.op1("Shape", source)
        found = g.op1("Gather", shape, np.array([d], np.int64), axis=0)
        if plus:
            found = g.op1("Sub", found, np.array([plus], np.int64))
        if times != 1:
            found = g.op1("Div", found, np.array([times], np.int64))
        g._sizes[key] = found
    return found


def reshape(g: Any, x: Ref, shape: Shape) -> Any:
    """A value in another shape: 0 says that a size stays, -1 stands for one that follows."""
    if x.shape is not None and same_shape(x.shape, shape):
        return x
    wanted = _wanted(x.shape, shape)
    if wanted is not None:
        found = g.op1("Reshape", x, np.array(wanted, np.int64))
    elif any(same(s, 0) for s in shape):
        found = g.op1("Reshape", x, g.sizes(shape), allowzero=1)
    else:
        found = g.op1("Reshape", x, g.sizes(shape))
    return found._replace(shape=shape)


def _wanted(before: Shape | None, shape: Shape) -> list[int] | None:
    """A shape as numbers, 0 and -1; None where that doesn't say it."""
    if any(same(s, 0) for s in shape) or (before and any(same(s, 0) for s in before)):
        return None
    symbolic = [i for i, s in enumerate(shape) if isinstance(s, Dim)]
    found: list[int] = [-1 if i in symbolic else int(s) for i, s in enumerate(shape)]
    if len(symbolic) < 2:
        return found
    kept = [i for i in symbolic if before and i < len(before) and same(before[i], shape[i])]
    if len(symbolic) - len(kept) > 1:
        return None
    for i in kept:
        found[i] = 0
    return found


__all__ = ["declared", "key_of", "reshape", "scalar", "single", "vector"]
