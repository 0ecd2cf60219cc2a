"""Columns and frames of pandas, polars and Arrow, as NumPy arrays.

The libraries are never imported here: what comes from one of them brings it along.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from argand.base.errors import ArgumentError

_LIBRARIES = ("pandas", "polars", "pyarrow")


class Column(NamedTuple):
    """A column: its values as a NumPy array (without memory of their own where that can be), how
    many are missing, which (None where there is no need to know), and what it holds if no numbers.
    """

    name: str
    values: Callable[[], np.ndarray]
    missing: int = 0
    filled: Callable[[], np.ndarray] | None = None  # as floats, NaN where values are missing
    holds: str = ""


def library_of(data: Any) -> str:
    """Which library a column or a frame is of; empty for anything else."""
    library = type(data).__module__.partition(".")[0]
    if library not in _LIBRARIES:
        return ""
    return library if hasattr(data, "columns") or hasattr(data, "to_numpy") else ""


def is_frame(data: Any) -> bool:
    """Whether it is a frame or table: columns by name."""
    return bool(library_of(data)) and hasattr(data, "columns")


def table_array(data: Any, floats: bool = False) -> np.ndarray:
    """The array of a column (n,), or of a frame (n, columns), whose dtypes are promoted as NumPy
    does it. With `floats`, missing integers and truth values become NaN as missing floats do.
    """
    if not is_frame(data):
        return _array(_COLUMN[library_of(data)](data, _name(data)), floats)
    columns = named_columns(data)
    found = [_array(column, floats) for column in columns]
    if not found:
        return np.empty((len(data), 0))
    if library_of(data) == "pandas" and all(a.dtype == found[0].dtype for a in found):
        whole: np.ndarray = data.to_numpy()
        if whole.dtype == found[0].dtype:
            return whole  # the frame's own memory, where it is in one piece
    return np.stack(found, 1)


def named_columns(frame: Any) -> list[Column]:
    """The columns of a frame."""
    library = library_of(frame)
    if library == "pyarrow":
        return [_arrow(frame.column(i), n) for i, n in enumerate(frame.schema.names)]
    if library == "polars":
        return [_polars(series, series.name) for series in frame.get_columns()]
    return [_pandas(frame.iloc[:, i], str(n)) for i, n in enumerate(frame.columns)]


def column_values(frame: Any) -> dict[str, Any]:
    """The columns of a frame by name: arrays, and lists of Python's objects where they hold no
    numbers."""
    listed = {
        column.name: column.values().tolist() if column.holds else _array(column, False)
        for column in named_columns(frame)
    }
    return listed


def _name(data: Any) -> str:
    name = getattr(data, "name", None)
    return "" if name is None or callable(name) else str(name)


def _array(column: Column, floats: bool) -> np.ndarray:
    """A column's array; an error where it holds no numbers, or misses some that can't be."""
    title = f"column {column.name!r}" if column.name else "the column"
    if column.holds:
        what, hint = _HINTS.get(column.holds, (column.holds, "make numbers of them first"))
        raise TypeError(f"{title} holds {what}, of which there are no tensors: {hint}")
    if not column.missing:
        return column.values()
    if column.filled is not None and floats:
        return column.filled()
    dtype = "float" if column.filled is not None else "whole"
    remedy = (
        "fill them first, or ask for floats (dtype=ag.float32), in which they are NaN"
        if dtype == "float"
        else "fill them first"
    )
    raise ArgumentError(
        f"{title} misses {column.missing} of its values, and its dtype has nothing for them: "
        f"{remedy}"
    )


def _objects(values: list[Any]) -> np.ndarray:
    found = np.empty(len(values), object)
    found[:] = values
    return found


_HINTS = {
    "texts": ("texts", "encode them as numbers first, as categories for instance, whose codes are"),
    "dates": ("dates or times", "say in which unit: `.astype('int64')` counts, differences divide"),
    "objects": ("Python objects", "give the column a dtype first"),
    "lists": ("lists of different lengths", "pad them first"),
    "decimals": ("decimals", "cast them to floats first"),
}


# -- pandas ----------------------------------------------------------------------------------------


def _pandas(data: Any, name: str) -> Column:
    """A Series, an Index or an array of pandas."""
    dtype = data.dtype
    kind = getattr(dtype, "kind", "O")
    missing = int(data.isna().sum())
    if hasattr(data, "cat") or hasattr(data, "codes"):
        codes = data.cat.codes if hasattr(data, "cat") else data.codes
        return Column(name, lambda: np.asarray(codes, np.int64), missing)
    if type(dtype).__name__ == "ArrowDtype":
        values = data.array if hasattr(data, "array") else data
        return _arrow(values.__arrow_array__(), name)
    if isinstance(dtype, np.dtype) and kind in "biufc":
        return Column(name, data.to_numpy)
    if kind in "biuf" and hasattr(dtype, "numpy_dtype"):  # nullable: a mask beside the values
        plain = dtype.numpy_dtype

        def filled() -> np.ndarray:
            wide = plain if kind == "f" else np.float64
            return data.to_numpy(dtype=wide, na_value=np.nan)  # type: ignore[no-any-return]

        values_of = filled if kind == "f" else lambda: data.to_numpy(dtype=plain)
        return Column(name, values_of, 0 if kind == "f" else missing, filled)
    return Column(name, lambda: np.asarray(data, object), holds=_pandas_kind(dtype, kind))


def _pandas_kind(dtype: Any, kind: str) -> str:
    if kind in "mM" or type(dtype).__name__ in ("PeriodDtype", "DatetimeTZDtype"):
        return "dates"
    return "texts" if "str" in str(dtype).lower() else "objects"


# -- polars ----------------------------------------------------------------------------------------


def _polars(data: Any, name: str) -> Column:
    """A Series of polars."""
    dtype, missing = data.dtype, data.null_count()
    kind = type(dtype).__name__ if not isinstance(dtype, type) else dtype.__name__
    if kind in ("Categorical", "Enum"):
        codes = data.to_physical()
        return Column(name, lambda: codes.to_numpy().astype(np.int64), missing)
    if kind == "Array":
        return Column(name, data.to_numpy, missing, None)
    if dtype.is_float():
        return Column(name, data.to_numpy)  # NaN where values are missing
    if dtype.is_integer() or kind == "Boolean":
        polars = sys.modules["polars"]
        return Column(name, data.to_numpy, missing, lambda: data.cast(polars.Float64).to_numpy())
    holds = "dates" if dtype.is_temporal() else _POLARS.get(kind, "objects")
    return Column(name, lambda: _objects(data.to_list()), holds=holds)


_POLARS = {"String": "texts", "Decimal": "decimals", "List": "lists"}


# -- Arrow -----------------------------------------------------------------------------------------


def _arrow(data: Any, name: str) -> Column:
    """An Array or ChunkedArray of Arrow."""
    arrow = sys.modules["pyarrow"]
    types, dtype, missing = arrow.types, data.type, data.null_count
    if types.is_dictionary(dtype):
        codes = data.combine_chunks() if hasattr(data, "combine_chunks") else data
        if hasattr(codes, "chunks"):  # none
            codes = arrow.array([], dtype)
        indices = codes.indices
        return Column(name, lambda: _arrow_array(indices).astype(np.int64), missing)
    if types.is_fixed_size_list(dtype) and not missing:
        return _fixed_lists(data, name)
    if types.is_floating(dtype):
        return Column(name, lambda: _arrow_array(data))  # NaN where values are missing
    if types.is_integer(dtype) or types.is_boolean(dtype):
        # an integer with more bits than float64 keeps is rounded, as by NumPy
        return Column(
            name,
            lambda: _arrow_array(data),
            missing,
            lambda: _arrow_array(data).astype(np.float64),
        )
    return Column(name, lambda: _objects(data.to_pylist()), holds=_kind(dtype))


def _arrow_array(data: Any) -> np.ndarray:
    if hasattr(data, "chunks"):
        if data.num_chunks != 1:
            return data.to_numpy()  # type: ignore[no-any-return]
        data = data.chunk(0)
    return data.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _fixed_lists(data: Any, name: str) -> Column:
    whole = data.combine_chunks() if hasattr(data, "combine_chunks") else data
    inner, size = _arrow(whole.flatten(), name), data.type.list_size
    return inner._replace(values=lambda: inner.values().reshape(-1, size), filled=None)


def _kind(dtype: Any) -> str:
    types = sys.modules["pyarrow"].types
    if types.is_temporal(dtype):
        return "dates"
    if types.is_decimal(dtype):
        return "decimals"
    if types.is_list(dtype) or types.is_large_list(dtype):
        return "lists"
    texts = types.is_string(dtype) or types.is_large_string(dtype) or types.is_string_view(dtype)
    return "texts" if texts else "objects"


_COLUMN: dict[str, Callable[[Any, str], Column]] = {
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _arrow,
}
