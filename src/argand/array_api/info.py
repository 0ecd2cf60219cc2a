"""What the namespace can do, told by itself."""

from __future__ import annotations

from typing import Any

from argand.array_api.creation import isdtype
from argand.base import dtype as dtypes
from argand.base.dtype import DType, complex64, complex128, get_default_dtype, int64
from argand.tensor.device import cpu

NAMES = (
    "bool_",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "float32",
    "float64",
    "complex64",
    "complex128",
)


class Info:
    """What `__array_namespace_info__` returns.

    >>> ag.array_api.__array_namespace_info__().default_dtypes()["real floating"]
    argand.float32
    """

    def capabilities(self) -> dict[str, Any]:
        """What is possible: masks as indices, shapes that depend on data; axes at most."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> Any:
        """The device of new tensors."""
        return cpu()

    def default_dtypes(self, *, device: Any = None) -> dict[str, DType]:
        """The dtypes of Python's numbers."""
        real = get_default_dtype()
        return {
            "real floating": real,
            "complex floating": complex128 if real.itemsize == 8 else complex64,
            "integral": int64,
            "indexing": int64,
        }

    def devices(self) -> list[Any]:
        """All devices."""
        return [cpu()]

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, DType]:
        """The dtypes of the standard, of one kind or several."""
        found = {name.rstrip("_"): getattr(dtypes, name) for name in NAMES}
        return found if kind is None else {n: d for n, d in found.items() if isdtype(d, kind)}


def __array_namespace_info__() -> Info:  # noqa: N807  # the standard's name
    """What the namespace can do.

    >>> ag.array_api.__array_namespace_info__().capabilities()["boolean indexing"]
    True
    """
    return Info()
