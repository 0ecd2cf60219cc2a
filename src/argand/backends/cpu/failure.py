"""From the status of a native segment to the error that the user sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from argand.base.errors import ArgandError
from argand.ir.interpret import run_node
from argand.ir.program import Node, Value


def raise_failure(node: Node, arrays: Mapping[Value, Any], sizes: Mapping[str, int]) -> None:
    """Raise the error of a node that found it can't be computed.

    The node is run again by NumPy on the same values, so the error is the op's own, as in eager
    code; the user's line and the module are added to it.
    """
    try:
        _replay(node, dict(arrays), sizes)
    except Exception as e:  # whatever the op raises is what eager code raises
        if not getattr(e, "__notes__", None):
            e.add_note(where(node))
        raise
    raise ArgandError(f"{node.op.name} failed in compiled code but not in NumPy\n{where(node)}")


def where(node: Node) -> str:
    """The user's line and the module of a node, for an error's note."""
    places = [f"at {node.location.file}:{node.location.line}" if node.location else ""]
    places.append(f"in module {node.module}" if node.module else "")
    return f"{node.op.name} " + ", ".join(p for p in places if p)


def _replay(node: Node, env: dict[Value, Any], sizes: Mapping[str, int]) -> None:
    if not node.regions or node.op.name != "fusion":
        run_node(node, env, sizes, False)
        return
    region = node.regions[0]
    inner = {x: env[v] for x, v in zip(region.inputs, node.values, strict=True)}
    for one in region.nodes:
        try:
            run_node(one, inner, sizes, False)
        except Exception as e:  # add the line of the op inside the fused kernel
            e.add_note(where(one))
            raise


def fallback_note(nodes: Sequence[Node]) -> str:
    """The ops of a host segment, for `explain()`."""
    return ", ".join(dict.fromkeys(n.op.name for n in nodes))
