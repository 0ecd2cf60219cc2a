"""From the status of a native segment to the error that the user sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from argand.base.errors import ArgandError
from argand.base.misuse import annotate
from argand.ir.interpret import run_node
from argand.ir.program import Node, Program, Value


def raise_failure(node: Node, arrays: Mapping[Value, Any], sizes: Mapping[str, int]) -> NoReturn:
    """Raise the error of a node that found it can't be computed.

    The node is run again by NumPy on the same values, so the error is the op's own, as in eager
    code, with the user's line and the module.
    """
    run_node(node, dict(arrays), sizes, False)
    error = ArgandError(f"{node.op.name} failed in compiled code but not in NumPy")
    annotate(error, (node.location, node.module))
    raise error


@contextmanager
def naming_sources(program: Program, node: Node) -> Iterator[None]:
    """Lets an error of a node of a program know the inputs of the program that are at fault."""
    try:
        yield
    except ArgandError as error:
        error.sources = _sources(program, node, error.node)
        raise


def _sources(program: Program, node: Node, failed: Node | None) -> tuple[int, ...]:
    """The numbers of the inputs that the values come from which a node, or one in its fused region,
    has refused: those are its indices where it has any."""
    if failed is None:
        return ()
    whole = [v for v in failed.values[1:] if v.dtype.is_index]
    origins = _origins(whole or failed.values)
    if failed is not node and node.op.is_fusion:
        origins = _origins(_outside(node, origins))
    return tuple([i for i, x in enumerate(program.inputs) if x in origins])


def _origins(values: Iterable[Value]) -> set[Value]:
    """What these values are computed from, of what no node has made."""
    found, seen, left = set[Value](), set[Value](), list(values)
    while left:
        value = left.pop()
        if value in seen:
            continue
        seen.add(value)
        if value.node is None:
            found.add(value)
        elif value.node.op.is_fusion:
            made = value.node.regions[0].outputs[value.index]
            if isinstance(made, Value):
                left += _outside(value.node, _origins([made]))
        else:
            left += value.node.values
    return found


def _outside(node: Node, inside: Iterable[Any]) -> list[Value]:
    """The operands of a node that inputs of its region stand for."""
    pairs = zip(node.regions[0].inputs, node.inputs, strict=True)
    return [x for own, x in pairs if own in inside and isinstance(x, Value)]


def fallback_note(nodes: Sequence[Node]) -> str:
    """The ops of a host segment, for `explain()`."""
    return ", ".join(dict.fromkeys(n.op.name for n in nodes))
