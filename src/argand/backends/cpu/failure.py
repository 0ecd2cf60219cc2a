"""From the status of a native segment to the error that the user sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from argand.base.errors import ArgandError
from argand.base.misuse import annotate
from argand.ir.interpret import run_node
from argand.ir.program import Node, Value


def raise_failure(node: Node, arrays: Mapping[Value, Any], sizes: Mapping[str, int]) -> NoReturn:
    """Raise the error of a node that found it can't be computed.

    The node is run again by NumPy on the same values, so the error is the op's own, as in eager
    code, with the user's line and the module.
    """
    run_node(node, dict(arrays), sizes, False)
    error = ArgandError(f"{node.op.name} failed in compiled code but not in NumPy")
    annotate(error, (node.location, node.module))
    raise error


def fallback_note(nodes: Sequence[Node]) -> str:
    """The ops of a host segment, for `explain()`."""
    return ", ".join(dict.fromkeys(n.op.name for n in nodes))
