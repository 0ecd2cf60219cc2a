"""`argand.return_types`: the classes of results that have several named parts, by PyTorch's names.

One class here stands for several of PyTorch's (`ag.return_types.max` and `.sort` are both values
and indices), and as there it is made of a sequence.

>>> isinstance(ag.ones(2, 3).max(0), ag.return_types.max)
True
>>> ag.return_types.topk((1, 2)).indices
2
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from argand.tensor import histograms, numeric, reducing, results

_KINDS: dict[str, Any] = {
    "aminmax": reducing.MinMax,
    "frexp": numeric.Frexp,
    "geqrf": results.Geqrf,
    "histogram": histograms.Histogram,
    "histogramdd": histograms.Histogram,
    "linalg_cholesky_ex": results.CholeskyInfo,
    "linalg_eig": results.Eigen,
    "linalg_eigh": results.Eigen,
    "linalg_inv_ex": results.InverseInfo,
    "linalg_ldl_factor": results.LDLFactors,
    "linalg_ldl_factor_ex": results.LDLInfo,
    "linalg_lstsq": results.LeastSquares,
    "linalg_lu": results.PLU,
    "linalg_lu_factor": results.LUFactors,
    "linalg_lu_factor_ex": results.LUInfo,
    "linalg_qr": results.QR,
    "linalg_slogdet": results.SignLog,
    "linalg_solve_ex": results.ResultInfo,
    "linalg_svd": results.SVD,
    "lu_unpack": results.PLU,
    "qr": results.QR,
    "slogdet": results.SignLog,
    "svd": results.USV,
    "triangular_solve": results.TriangularSolution,
}
_OF_VALUES = "cummax cummin kthvalue max median min mode nanmedian sort topk"
_KINDS |= dict.fromkeys(_OF_VALUES.split(), reducing.ValuesIndices)


class _ReturnType(type):
    """The class of a function's results: what it is asked about is the class that holds them."""

    kind: Any

    def __instancecheck__(cls, found: object) -> bool:
        return isinstance(found, cls.kind)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, cls.kind)

    def __call__(cls, parts: Iterable[Any]) -> Any:
        given = tuple(parts)
        if len(given) != cls.n_fields:
            raise TypeError(
                f"return_types.{cls.__name__}() takes a {cls.n_fields}-sequence "
                f"({len(given)}-sequence given)"
            )
        return cls.kind(*given)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.kind, name)

    @property
    def n_fields(cls) -> int:
        """How many parts there are."""
        return len(cls.kind._fields)

    n_sequence_fields = n_fields
    n_unnamed_fields = 0


def _made(name: str) -> Any:
    kind = _KINDS[name.removesuffix("_out")]
    return _ReturnType(name, (), {"kind": kind, "__doc__": kind.__doc__, "__module__": __name__})


def __getattr__(name: str) -> Any:
    if name == "all_return_types":
        return [globals().get(n) or __getattr__(n) for n in _KINDS]
    if name.removesuffix("_out") not in _KINDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = _made(name)
    return found


def __dir__() -> list[str]:
    return sorted(_KINDS)
