"""The manifest of an archive: everything about a program that is not tensors or its text, as JSON.

Reading trusts nothing: each field is looked up by name and type, and an error names it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from argand.base.dim import Dim
from argand.base.dtype import ALL, DType
from argand.base.errors import FormatError
from argand.base.polynomial import Symbol, linear
from argand.base.shape import same_shape
from argand.compile.call import Input
from argand.export.capture import Fact, Result
from argand.export.signature import Leaf, Signature, SizeRange, TensorInfo
from argand.export.structure import count_leaves, decoded, encoded
from argand.ir.program import Operand, Program, Value
from argand.ir.text import parse_size

_DTYPES: dict[str, DType] = {d.short: d for d in ALL}
_SCALARS = (str, int, float, bool, type(None))
_BIGGEST = 1 << 62


# -- writing ---------------------------------------------------------------------------------------


def signature_fields(signature: Signature) -> dict[str, Any]:
    """A signature as JSON, without its program."""
    arguments, kept = encoded(signature.structure)
    if len(kept) != len(signature.leaves):
        raise TypeError(
            f"{signature.name}: an argument is an object of a class that a file can't hold; export "
            "with tensors, lists, tuples and dictionaries"
        )
    returned, results = encoded(signature.returned)
    return {
        "inputs": [_info(x) for x in signature.inputs],
        "outputs": [_info(x) for x in signature.outputs],
        "parameters": list(signature.parameters),
        "arguments": arguments,
        "leaves": [_leaf(signature.name, leaf) for leaf in signature.leaves],
        "sources": [[x.leaf, x.kind] for x in signature.sources],
        "returned": returned,
        "results": [_result(signature.name, signature.results[i]) for i in results],
        "state": list(signature.state_names),
        "sizes": {name: [r.min, r.max, r.example] for name, r in signature.ranges.items()},
        "facts": [[str(Dim(p.terms)), op, outcome] for p, op, outcome in signature.facts],
    }


def _info(x: TensorInfo) -> dict[str, Any]:
    shape = [str(s) if isinstance(s, Dim) else s for s in x.shape]
    found: dict[str, Any] = {"name": x.name, "dtype": x.dtype.short, "shape": shape}
    return found | ({"number": True} if x.is_number else {})


def _leaf(name: str, leaf: Leaf) -> Any:
    return leaf.input if leaf.input is not None else {"value": _scalar(name, leaf.value)}


def _result(name: str, result: Result) -> list[Any]:
    value = result.value
    if result.kind == "size":
        value = str(value) if isinstance(value, Dim) else value
    elif result.kind == "value":
        value = _scalar(name, value)
    return [result.kind, value]


def _scalar(name: str, value: Any) -> Any:
    if not isinstance(value, _SCALARS):
        raise TypeError(
            f"{name}: a {type(value).__name__} among the arguments or results can't be written to "
            "a file; export with tensors, numbers and strings"
        )
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    return value


# -- reading ---------------------------------------------------------------------------------------


class Fields:
    """A JSON object whose fields are looked up by name and type."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise FormatError(f"{where}: expected an object, found {value!r:.60}")
        self.value: dict[str, Any] = value
        self.where = where

    def get(self, name: str, *kinds: type, default: Any = ...) -> Any:
        """The field, which is of one of the types."""
        found = self.value.get(name, default)
        if found is ...:
            raise FormatError(f"{self.where}: the field {name!r} is missing")
        if found is not default and type(found) not in kinds:
            wanted = " or ".join(k.__name__ for k in kinds)
            raise FormatError(f"{self.where}: {name} must be of type {wanted}, found {found!r:.60}")
        return found

    def fields(self, name: str) -> Fields:
        """The field that is an object itself."""
        return Fields(self.get(name, dict), f"{self.where}.{name}")

    def items(self, name: str) -> list[Any]:
        """The field that is a list."""
        found: list[Any] = self.get(name, list)
        return found

    def texts(self, name: str) -> list[str]:
        """The field that is a list of strings."""
        found = self.items(name)
        if not all(isinstance(x, str) for x in found):
            raise FormatError(f"{self.where}: {name} must be a list of strings")
        return found


def parsed(text: bytes, where: str) -> Fields:
    """The object that JSON text describes."""
    try:
        value = json.loads(text.decode(), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as e:
        raise FormatError(f"{where}: not valid JSON: {e}") from None
    return Fields(value, where)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field appears twice")
    return found


def signature_of_fields(name: str, fields: Fields, program: Program) -> Signature:
    """The signature that JSON describes, for a program that has been verified."""
    inputs = [_read_info(x, f"{fields.where}.inputs") for x in fields.items("inputs")]
    outputs = [_read_info(x, f"{fields.where}.outputs") for x in fields.items("outputs")]
    signature = Signature(
        name,
        program,
        inputs=inputs,
        outputs=outputs,
        leaves=[_read_leaf(x, len(inputs), fields.where) for x in fields.items("leaves")],
        structure=decoded(fields.get("arguments", dict)),
        parameters=fields.texts("parameters"),
        sources=[_read_source(x, len(inputs), fields.where) for x in fields.items("sources")],
        results=[_read_result(x, len(outputs), fields.where) for x in fields.items("results")],
        returned=decoded(fields.get("returned", dict, str)),
        state_names=fields.items("state"),
        ranges={
            size: _read_range(limits, f"{fields.where}.sizes.{size}")
            for size, limits in fields.fields("sizes").value.items()
        },
        facts=[_read_fact(x, fields.where) for x in fields.items("facts")],
    )
    _check(signature, fields.where)
    return signature


def symbols_of(fields: Fields) -> dict[str, Dim]:
    """The symbols of a signature's program, with their ranges and the sizes that they had when it
    was traced."""
    found: dict[str, Dim] = {}
    for name, limits in fields.fields("sizes").value.items():
        known = _read_range(limits, f"{fields.where}.sizes.{name}")
        symbol = Symbol(name, known.example)
        symbol.least, symbol.most = known.min, known.max
        found[name] = Dim({(symbol,): 1})
    return found


def check_facts(signature: Signature, facts: Sequence[Fact]) -> None:
    """Refuse a program that fits only by comparisons of sizes which the signature doesn't state.

    Comparisons that are false let nodes pass: each call checks those for its own sizes.
    """
    stated = {(p.key, op, outcome) for p, op, outcome in signature.facts}
    for polynomial, op, outcome in facts:
        if outcome and (polynomial.key, op, outcome) not in stated:
            raise FormatError(
                f"{signature.name}: facts: that {polynomial.text()} {op} 0 is {outcome} is missing"
            )


def _check(signature: Signature, where: str) -> None:
    """What a signature says of its program, held against the program."""
    program = signature.program
    names = [x.name for x in signature.inputs]
    structure: Any = signature.structure
    known = set(signature.ranges)
    values = [
        (signature.inputs[s.leaf], v)
        for s, v in zip(signature.sources, program.inputs, strict=False)
    ]
    values += [
        (signature.inputs[s], v)
        for s, v in zip(signature.state_names, program.state, strict=False)
        if type(s) is int and 0 <= s < len(names)
    ]
    values += list(zip(signature.outputs, map(_value, program.outputs), strict=False))
    problems = {
        "sources": len(signature.sources) != len(program.inputs),
        "state": len(signature.state_names) != len(program.state)
        or any(
            not isinstance(s, str) and not (type(s) is int and 0 <= s < len(names))
            for s in signature.state_names
        ),
        "outputs": len(signature.outputs) != len(program.outputs)
        or len({x.name for x in signature.outputs}) != len(signature.outputs),
        "inputs": len(set(names)) != len(names)
        or any(x.dtype is not v.dtype or not same_shape(x.shape, v.shape) for x, v in values),
        "arguments": not _is_call(structure),
        "leaves": count_leaves(structure) != len(signature.leaves)
        or sorted(leaf.input for leaf in signature.leaves if leaf.input is not None)
        != list(range(len(names))),
        "results": count_leaves(signature.returned) != len(signature.results),
        "sizes": not set(program.symbols()) <= known
        or not known <= _told(signature)
        or not _symbols_of(signature) <= known,
    }
    for field, wrong in problems.items():
        if wrong:
            raise FormatError(f"{where}: {field} does not fit the program")


def _value(o: Operand) -> Value:
    if not isinstance(o, Value):
        raise FormatError("a program returns a number, which is no tensor")
    return o


def _is_call(structure: Any) -> bool:
    """Whether a structure is that of (args, kwargs)."""
    if not isinstance(structure, tuple) or structure[0] is not tuple or len(structure[2]) != 2:
        return False
    args, kwargs = structure[2]
    return (
        isinstance(args, tuple)
        and args[0] is tuple
        and isinstance(kwargs, tuple)
        and kwargs[0] is dict
    )


def _told(signature: Signature) -> set[str]:
    """The symbols that follow from the size of an input, so a call knows their values."""
    sizes = [linear(s) for x in signature.inputs for s in x.shape if isinstance(s, Dim)]
    return {found.symbol.name for found in sizes if found is not None}


def _symbols_of(signature: Signature) -> set[str]:
    """The symbols in the sizes that a signature speaks of."""
    dims: list[Any] = [s for x in (*signature.inputs, *signature.outputs) for s in x.shape]
    dims += [r.value for r in signature.results if r.kind == "size"]
    dims += [p for p, *_ in signature.facts]
    return {name for d in dims if hasattr(d, "symbols") for name in d.symbols()}


def _read_info(x: Any, where: str) -> TensorInfo:
    fields = Fields(x, where)
    short = fields.get("dtype", str)
    if short not in _DTYPES:
        raise FormatError(f"{where}: {short!r:.40} is not a dtype")
    shape = fields.items("shape")
    if len(shape) > 64:
        raise FormatError(f"{where}: more dimensions than a tensor can have")
    sizes = tuple([_read_size(s, where) for s in shape])
    name = fields.get("name", str)
    return TensorInfo(name, _DTYPES[short], sizes, fields.get("number", bool, default=False))


def _read_size(size: Any, where: str) -> Any:
    if isinstance(size, str):
        return parse_size(size)
    if type(size) is not int or not 0 <= size < _BIGGEST:
        raise FormatError(f"{where}: {size!r:.40} is not a size")
    return size


def _read_leaf(x: Any, count: int, where: str) -> Leaf:
    if type(x) is int and 0 <= x < count:
        return Leaf(x)
    return Leaf(None, _read_scalar(Fields(x, f"{where}.leaves").value.get("value", ...), where))


def _read_scalar(x: Any, where: str) -> Any:
    if isinstance(x, dict) and x.get("float") in ("nan", "inf", "-inf"):
        return float(x["float"])
    if not isinstance(x, _SCALARS):
        raise FormatError(f"{where}: {x!r:.40} is no number, string, bool or null")
    return x


def _read_source(x: Any, count: int, where: str) -> Input:
    if isinstance(x, list) and len(x) == 2 and x[1] in ("tensor", "float"):
        leaf, kind = x
        if type(leaf) is int and 0 <= leaf < count:
            return Input(leaf, kind)
    raise FormatError(f"{where}: sources: {x!r:.40} names no input")


def _read_result(x: Any, count: int, where: str) -> Result:
    if isinstance(x, list) and len(x) == 2:
        kind, value = x
        if kind in ("tensor", "number") and type(value) is int and 0 <= value < count:
            return Result(kind, value)
        if kind == "size":
            return Result(kind, _read_size(value, where))
        if kind == "value":
            return Result(kind, _read_scalar(value, where))
    raise FormatError(f"{where}: results: {x!r:.40} is no result of the program")


def _read_range(limits: Any, where: str) -> SizeRange:
    if isinstance(limits, list) and len(limits) == 3:
        least, most, example = limits
        is_size = type(least) is int and least >= 0 and (most is None or type(most) is int)
        is_size = is_size and (example is None or (type(example) is int and example >= 0))
        if is_size and (most is None or most >= least):
            return SizeRange(least, most, example)
    raise FormatError(f"{where}: {limits!r:.40} is no range of sizes")


def _read_fact(x: Any, where: str) -> tuple[Any, str, bool]:
    if isinstance(x, list) and len(x) == 3 and x[1] in ("==", ">") and type(x[2]) is bool:
        polynomial = parse_size(x[0]) if isinstance(x[0], str) else None
        if isinstance(polynomial, Dim):
            return polynomial, x[1], x[2]
    raise FormatError(f"{where}: facts: {x!r:.40} is no comparison of sizes")


def as_json(value: Mapping[str, Any]) -> bytes:
    """A mapping as JSON text."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode()


__all__ = [
    "Fields",
    "as_json",
    "check_facts",
    "parsed",
    "signature_fields",
    "signature_of_fields",
    "symbols_of",
]
