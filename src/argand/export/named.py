"""Names of `torch.export` that have little to do here."""

from __future__ import annotations

from typing import Any

from argand.base.dim import Dim
from argand.export.program import ExportedProgram, export


def dims(*names: str, min: int | None = None, max: int | None = None) -> tuple[Dim, ...]:
    """A Dim for each name.

    >>> [str(d) for d in ag.export.dims("n", "m")]
    ['n', 'm']
    """
    ranges = {k: v for k, v in (("min", min), ("max", max)) if v is not None}
    return tuple(Dim(name, **ranges) for name in names)


def draft_export(mod: Any, args: Any, kwargs: Any = None, **options: Any) -> ExportedProgram:
    """`export`: there is one way to trace, and its errors are whole."""
    return export(mod, args, kwargs, **options)


def export_for_training(mod: Any, args: Any, kwargs: Any = None, **options: Any) -> ExportedProgram:
    """`export`, whose programs can be trained always.

    >>> program = ag.export.export_for_training(nn.Linear(2, 3), (ag.ones(1, 2),))
    >>> program(ag.ones(1, 2)).requires_grad
    True
    """
    return export(mod, args, kwargs, **options)


def default_decompositions() -> dict[Any, Any]:
    """An empty table: the ops of a program are Argand's primitives already.

    >>> ag.export.default_decompositions()
    {}
    """
    return {}


def register_dataclass(cls: type, *, serialized_type_name: str | None = None) -> None:
    """Nothing: dataclasses are containers wherever tensors may be nested; TypeError for another
    class."""
    if not hasattr(cls, "__dataclass_fields__"):
        raise TypeError(f"register_dataclass takes a dataclass, got {cls!r}")


__all__ = [
    "default_decompositions",
    "dims",
    "draft_export",
    "export_for_training",
    "register_dataclass",
]
