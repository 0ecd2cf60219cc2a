"""The reference meaning of a Program: its nodes run one by one on NumPy arrays.

With `wide=True` every floating-point value is computed in float64, which is what compiled code is
tested against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from argand.base.conversion import number
from argand.base.dim import Dim
from argand.base.dtype import DType, float64, from_numpy
from argand.base.errors import ArgandError, ShapeError
from argand.base.misuse import FAILURES, annotate
from argand.base.shape import shape_text
from argand.ir.op import Literal
from argand.ir.program import Node, Program, Value
from argand.ir.sizes import untold, with_sizes


def interpret(
    program: Program,
    arrays: Sequence[Any],
    *,
    wide: bool = False,
    watch: Callable[[Node, dict[Value, Any]], None] | None = None,
) -> list[np.ndarray]:
    """Run a program: `arrays` are the inputs, then the state. `watch` is called after each node,
    with the values so far.

    Returns the outputs, then the written state, in the order of `Program.results`.
    """
    operands = [*program.inputs, *program.state]
    if len(arrays) != len(operands):
        raise TypeError(f"{program.name} takes {len(operands)} arrays, got {len(arrays)}")
    sizes = bind_sizes(operands, arrays)
    env: dict[Value, Any] = {}
    for value, array in zip(operands, arrays, strict=True):
        env[value] = _widen(np.asarray(array)) if wide else np.asarray(array)
    for node in program.nodes:
        run_node(node, env, sizes, wide)
        if watch is not None:
            watch(node, env)
    return [_operand(o, env, wide) for o in program.results]


def run_node(
    node: Node,
    env: dict[Value, Any],
    sizes: Mapping[str, int],
    wide: bool,
    regions: Sequence[Any] | None = None,
) -> None:
    """Compute one node's outputs into `env`; an error names the node's place in the user's code.

    `regions` are the node's, as a backend has compiled them.
    """
    inputs = [_operand(o, env, wide) for o in node.inputs]
    if node.op.is_fusion:
        results = _run_region(node.regions[0], inputs, sizes, wide)
        env.update(zip(node.outputs, results, strict=True))
        return
    params = {k: concrete(v, sizes, wide) for k, v in node.params.items()}
    if node.regions:
        params["regions"] = regions_at(node, sizes) if regions is None else regions
    try:
        outputs = node.op.run(*inputs, **params)
    except FAILURES as error:
        if isinstance(error, ArgandError):
            error.node = node
        if node.location is not None:
            annotate(error, (node.location, node.module))
        raise
    if not isinstance(outputs, tuple):
        outputs = (outputs,)
    env.update(zip(node.outputs, (np.asarray(o) for o in outputs), strict=True))


def regions_at(node: Node, sizes: Mapping[str, int]) -> tuple[Program, ...]:
    """A node's regions, which know the sizes that none of their inputs tells."""
    return tuple([told(region, untold(region), sizes) for region in node.regions])


def told(region: Program, names: frozenset[str], sizes: Mapping[str, int]) -> Program:
    """A region for the sizes of these symbols."""
    return with_sizes(region, {name: sizes[name] for name in names}) if names else region


def _run_region(
    region: Program, inputs: Sequence[Any], sizes: Mapping[str, int], wide: bool
) -> list[Any]:
    """A fused region: its nodes have the sizes of the program around it."""
    env: dict[Value, Any] = dict(zip(region.inputs, inputs, strict=True))
    for node in region.nodes:
        run_node(node, env, sizes, wide)
    return [_operand(o, env, wide) for o in region.outputs]


def bind_sizes(values: Sequence[Value], arrays: Sequence[Any]) -> dict[str, int]:
    """The sizes of the symbols, from arrays that must fit the values' shapes."""
    sizes: dict[str, int] = {}
    checks: list[tuple[Value, Any]] = []
    for value, array in zip(values, arrays, strict=True):
        shape = np.shape(array)
        if len(shape) != len(value.shape):
            raise _misfit(value, shape)
        for size, actual in zip(value.shape, shape, strict=True):
            if isinstance(size, Dim) and len(size.terms) == 1 and str(size) in size.symbols():
                sizes.setdefault(str(size), actual)
        checks.append((value, shape))
    for value, shape in checks:
        expected = tuple(s.evaluate(sizes) if isinstance(s, Dim) else s for s in value.shape)
        if expected != tuple(shape):
            raise _misfit(value, shape)
    return sizes


def _misfit(value: Value, shape: Sequence[int]) -> ShapeError:
    return ShapeError(
        f"{value.name}: expected shape {shape_text(value.shape)}, got {shape_text(shape)}"
    )


def concrete(value: Any, sizes: Mapping[str, int], wide: bool = False) -> Any:
    """A static parameter with its symbols replaced by sizes."""
    if isinstance(value, Dim):
        return value.evaluate(sizes)
    if isinstance(value, tuple):
        return tuple(concrete(v, sizes, wide) for v in value)
    if wide and isinstance(value, DType) and value.kind == "f":
        return float64
    return value


def _operand(o: Any, env: Mapping[Value, Any], wide: bool) -> Any:
    if isinstance(o, Literal):
        dtype = float64 if wide and o.dtype.kind == "f" else o.dtype
        return number(o.value, dtype)
    return env[o]


def _widen(array: np.ndarray) -> np.ndarray:
    if from_numpy(array.dtype).kind == "f":
        return array.astype(np.float64)
    return array
