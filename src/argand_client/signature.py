"""What a model takes and gives, as its server describes it; arguments are held against it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand_client.datatypes import dtype_of
from argand_client.errors import invalid

Arrays = dict[str, np.ndarray[Any, Any]]


class Tensor(NamedTuple):
    """An input or an output: the protocol's data type, and its sizes, -1 for what varies."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.datatype}{shown(self.shape)}"


class Signature:
    """One way to call a model. `name` is None for the default one."""

    def __init__(
        self, name: str | None, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
    ) -> None:
        self.name = name
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self._by_name = {x.name: x for x in self.inputs}

    def arrays(self, given: Mapping[str, Any]) -> Arrays:
        """The arrays of a call by name; an error names the input that does not fit."""
        for name in given:
            if name not in self._by_name:
                close = difflib.get_close_matches(name, self._by_name, 1)
                meant = f", did you mean {close[0]}?" if close else ""
                raise invalid(f"there is no input {name!r}{meant}; the inputs are {self}", name)
        return {name: _fitting(self._by_name[name], value) for name, value in given.items()}

    def bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by the names of the inputs."""
        if len(args) > len(self.inputs):
            raise invalid(f"{len(args)} arguments for {len(self.inputs)} inputs: {self}")
        found = {x.name: a for x, a in zip(self.inputs, args, strict=False)}
        for name, value in kwargs.items():
            if name in found:
                raise invalid(f"the input {name!r} is given twice", name)
            found[name] = value
        return found

    def returned(self, outputs: Arrays) -> Any:
        """The outputs as the program returned them, as far as their names tell: one array, a tuple
        where they have no names of their own, else by name, as ONNX models name theirs."""
        names = [o.name for o in self.outputs]
        if names == [f"output_{i}" for i in range(len(names))]:
            return tuple(outputs[name] for name in names)
        return outputs[names[0]] if len(names) == 1 else outputs

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.inputs))})"

    def __repr__(self) -> str:
        name = self.name or "default"
        return f"<signature {name}{self} -> ({', '.join(map(str, self.outputs))})>"


def shown(shape: Sequence[int]) -> str:
    """Sizes as text, `?` for those that vary."""
    return "(" + ", ".join("?" if size < 0 else str(size) for size in shape) + ")"


def _fitting(spec: Tensor, value: Any) -> np.ndarray[Any, Any]:
    """A value as the array of an input. Numbers and lists take its type; arrays must have it."""
    array = _array(spec, value)
    if spec.shape == (-1,):  # also of those whose number of dimensions the server doesn't know
        return array
    if len(array.shape) != len(spec.shape) or any(
        wanted not in (-1, size) for wanted, size in zip(spec.shape, array.shape, strict=True)
    ):
        if spec.datatype != "BYTES" and array.dtype.kind == "O":
            return array  # images or texts, which the server turns into the input
        raise invalid(
            f"the input {spec.name!r} has the shape {shown(spec.shape)}, got {shown(array.shape)}",
            spec.name,
        )
    return array


def _array(spec: Tensor, value: Any) -> np.ndarray[Any, Any]:
    dtype = dtype_of(spec.datatype)
    if isinstance(value, str | bytes):
        value = [value]
    plain = isinstance(value, bool | int | float | complex | list | tuple)
    try:
        array: np.ndarray[Any, Any] = np.asarray(value)
    except ValueError:
        raise invalid(
            f"the input {spec.name!r}: the lists have different lengths", spec.name
        ) from None
    if array.dtype.kind in "SU" or (plain and not array.size and dtype.kind == "O"):
        array = array.astype(object)
    if array.dtype.kind == "O":
        wrong = [v for v in array.ravel().tolist() if not isinstance(v, str | bytes)]
        if wrong:
            raise invalid(
                f"the input {spec.name!r} takes {spec.datatype}, got {type(wrong[0]).__name__}",
                spec.name,
            )
        return array
    if plain and dtype.kind != "O":
        return _converted(spec, array, dtype)
    if array.dtype.newbyteorder("=") != dtype.newbyteorder("="):
        raise invalid(
            f"the input {spec.name!r} is {spec.datatype}, got {array.dtype}; convert it first",
            spec.name,
        )
    return array


def _converted(
    spec: Tensor, array: np.ndarray[Any, Any], dtype: np.dtype[Any]
) -> np.ndarray[Any, Any]:
    """Numbers in the type of an input, where that has them."""
    found = None
    if array.dtype.kind != "c" or dtype.kind == "c":
        with np.errstate(all="ignore"):
            found = array.astype(dtype)
    if found is None or (dtype.kind in "iub" and not np.array_equal(found, array)):
        raise invalid(
            f"the input {spec.name!r}: {spec.datatype} can't hold these numbers", spec.name
        )
    return found


__all__ = ["Arrays", "Signature", "Tensor", "shown"]
