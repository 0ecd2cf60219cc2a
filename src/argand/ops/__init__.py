"""Every op, each defined once. Importing this package fills the registry `argand.ir.op.ops`."""

from argand.ops import (
    activation,
    arithmetic,
    compare,
    contract,
    create,
    math,
    move,
    reduce,
)

__all__ = [
    "activation",
    "arithmetic",
    "compare",
    "contract",
    "create",
    "math",
    "move",
    "reduce",
]
