"""How the elements of a tensor are held: all of them, or those that aren't 0 with their places."""

from __future__ import annotations

from typing import Any

from argand.base.errors import CallError, did_you_mean
from argand.base.naming import naming


class layout:  # noqa: N801  # PyTorch's name
    """How a tensor holds its elements: ``ag.strided``, all of them; ``ag.sparse_coo`` and its like,
    those that are said and their places.

    As `torch.layout`.

    >>> ag.ones(2).layout, isinstance(ag.strided, ag.layout)
    (argand.strided, True)
    """

    __slots__ = ("name",)

    name: str

    def __new__(cls, name: str) -> layout:
        made = _layouts.get(name)
        if made is None:
            raise CallError(f"no layout {name!r}{did_you_mean(name, _layouts)}")
        return made

    def __repr__(self) -> str:
        return f"{naming.package}.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return layout, (self.name,)


_layouts: dict[str, layout] = {}


def _made(name: str) -> layout:
    made = _layouts[name] = object.__new__(layout)
    made.name = name
    return made


strided, jagged = _made("strided"), _made("jagged")
sparse_coo = _made("sparse_coo")
sparse_csr, sparse_csc = _made("sparse_csr"), _made("sparse_csc")
