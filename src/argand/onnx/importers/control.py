"""Control flow, sequences and optional values.

A subgraph runs node by node with the values around it. Conditions and counts that are host values
decide while a function is traced; a tensor's condition becomes `ag.cond` there, and a loop whose
rounds depend on tensors, or on sizes that vary, `ag.while_loop`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from argand.base.dim import Dim
from argand.base.errors import ArgandError, LoopLimitError, TraceError
from argand.base.settings import settings
from argand.ir.bind import tracing
from argand.onnx.registry import Body, Call, importer
from argand.onnx.values import Host, ag, has_dims, host_of, int_list, is_host, scalar, tensor_of
from argand.tensor.core import Tensor

UNROLLED = 4096
"""Rounds of a loop that a trace may have."""

FEW = 32
"""Rounds that a trace has one after the other, where the loop can be a part of the program too."""


@importer("If")
def _if(condition: Any, *, then_branch: Body, else_branch: Body) -> Any:
    if isinstance(condition, Tensor) and tracing():
        found = ag.cond(
            condition.reshape(()),
            lambda: tuple(tensor_of(v) for v in then_branch()),
            lambda: tuple(tensor_of(v) for v in else_branch()),
        )
        return tuple(found)
    chosen = then_branch if bool(scalar(host_of(condition))) else else_branch
    return tuple(chosen())


@importer("Loop")
def _loop(count: Any = None, condition: Any = None, *carried: Any, body: Body, node: Call) -> Any:
    scans = node.outputs - len(carried)
    if tracing() and _varies(count, condition):
        return _recorded_loop(count, condition, carried, body, scans)
    limit = None if count is None else int_list(host_of(count))[0]
    if tracing() and limit is not None and limit > FEW:
        try:
            return _recorded_loop(count, condition, carried, body, scans)
        except ArgandError:  # its rounds differ: their sizes, say
            pass
    goes_on = True if condition is None else bool(scalar(host_of(condition)))
    values, rows = list(carried), []
    i = 0
    while goes_on and (limit is None or i < limit):
        if i == UNROLLED and tracing():
            raise TraceError(f"a loop runs more than {UNROLLED} rounds; it can't be unrolled")
        if i == settings.loop_limit:
            raise LoopLimitError(
                f"the condition still holds after {i} rounds; if it is meant to, raise "
                "ag.settings.loop_limit"
            )
        again, *found = body(np.array(i, np.int64), np.array(True), *values)
        if isinstance(again, Tensor) and tracing():
            return _recorded_loop(count, condition, carried, body, scans)
        values = found[: len(carried)]
        rows.append(found[len(carried) :])
        goes_on = bool(scalar(host_of(again)))
        i += 1
    return (
        *values,
        *(_stacked([r[k] for r in rows], body, len(carried) + 1 + k) for k in range(scans)),
    )


def _varies(*values: Any) -> bool:
    """Whether some of the values are not known numbers."""
    return any(isinstance(v, Tensor) or (v is not None and has_dims(v)) for v in values)


def _recorded_loop(
    count: Any, condition: Any, carried: Sequence[Any], body: Body, scans: int
) -> tuple[Any, ...]:
    """The loop as a part of the program, which runs as many rounds as each call needs."""
    length = None if count is None or isinstance(count, Tensor) else int_list(count)[0]
    limit = None if count is None else tensor_of(count).reshape(())
    start = ag.tensor(True) if condition is None else tensor_of(condition).reshape(())

    def one_round(i: Any, values: Sequence[Any]) -> tuple[Any, list[Any]]:
        again, *found = body(i, np.array(True), *values)
        return again, found

    def goes_on(i: Any, again: Any) -> Any:
        return again if limit is None else again & (i < limit)

    may_stop = isinstance(one_round(ag.tensor(0), carried)[0], Tensor) or condition is not None
    if scans and (length is None or may_stop):
        raise TraceError("the loop stacks a value of each round, and how many depends on values")
    return recorded(one_round, goes_on, start, carried, scans, length)


def recorded(
    one_round: Callable[[Any, Sequence[Any]], tuple[Any, list[Any]]],
    goes_on: Callable[[Any, Any], Any],
    start: Any,
    carried: Sequence[Any],
    scans: int,
    length: Any,
) -> tuple[Any, ...]:
    """A `while_loop` over what is carried, and the rows that its rounds give: `length` of each."""
    values = [tensor_of(v) for v in carried]
    n = len(values)
    rows = []
    if scans:  # once for their shapes; the program drops it again
        first = [tensor_of(v) for v in one_round(ag.tensor(0), values)[1][n:]]
        rows = [ag.zeros(length, *v.shape, dtype=v.dtype) for v in first]

    def step(i: Any, again: Any, *state: Any) -> tuple[Any, ...]:
        again, found = one_round(i, state[:n])
        made = [tensor_of(v) for v in found]
        kept = [
            into.index_copy(0, i.reshape(1), row.unsqueeze(0))
            for into, row in zip(state[n:], made[n:], strict=True)
        ]
        return (i + 1, tensor_of(again).reshape(()), *made[:n], *kept)

    found = ag.while_loop(
        lambda i, again, *_: goes_on(i, again), step, (ag.tensor(0), start, *values, *rows)
    )
    return tuple(found[2:])


def _stacked(values: list[Any], body: Body, output: int, axis: int = 0) -> Any:
    """The values of all rounds, along a new axis."""
    if not values:
        declared = body.graph.definition.outputs[output].type
        dtype = np.float32 if declared is None or declared.dtype is None else declared.dtype
        rest = () if declared is None or declared.shape is None else declared.shape
        return np.zeros((0, *(s if isinstance(s, int) else 0 for s in rest)), dtype)
    if is_host(values):
        return np.stack(values, axis)
    return ag.stack([tensor_of(v) for v in values], axis)


@importer("Scan", since=9)
def _scan(
    *values: Any,
    body: Body,
    num_scan_inputs: int,
    scan_input_axes: Any = None,
    scan_input_directions: Any = None,
    scan_output_axes: Any = None,
    scan_output_directions: Any = None,
    node: Call,
) -> Any:
    n = len(values) - num_scan_inputs
    carried, scanned = list(values[:n]), [tensor_of(v) for v in values[n:]]
    axes = list(scan_input_axes or (0,) * num_scan_inputs)
    backwards = list(scan_input_directions or (0,) * num_scan_inputs)
    length = scanned[0].shape[axes[0]]
    scans = node.outputs - n
    out_axes = list(scan_output_axes or (0,) * scans)
    turned = list(scan_output_directions or (0,) * scans)

    def one_round(i: Any, state: Sequence[Any]) -> tuple[Any, list[Any]]:
        places = [length - 1 - i if back else i for back in backwards]
        parts = [row_of(x, a, at) for x, a, at in zip(scanned, axes, places, strict=True)]
        return np.array(True), body(*state, *parts)

    if tracing() and (isinstance(length, Dim) or length > FEW):
        try:
            found = recorded(
                one_round, lambda i, _: i < length, ag.tensor(True), carried, scans, length
            )
        except ArgandError:  # its rounds differ: their sizes, say
            pass
        else:
            made = [x.flip(0) if back else x for x, back in zip(found[n:], turned, strict=True)]
            stacked = [x.movedim(0, axis) for x, axis in zip(made, out_axes, strict=True)]
            return (*found[:n], *stacked)
    rows = []
    for i in range(length):
        results = one_round(i, carried)[1]
        carried = results[:n]
        rows.append(results[n:])
    outputs = [
        _stacked([r[k] for r in (rows[::-1] if turned[k] else rows)], body, n + k, out_axes[k])
        for k in range(scans)
    ]
    return (*carried, *outputs)


def row_of(x: Any, axis: int, place: Any) -> Any:
    """The part of a tensor at a place along an axis; the place may be a tensor."""
    if isinstance(place, Tensor):
        return x.index_select(axis, place.reshape(1)).squeeze(axis)
    return x.select(axis, place)


@importer("Scan", since=8)
def _scan_of_batches(
    lengths: Host | None = None,
    *values: Any,
    body: Body,
    num_scan_inputs: int,
    directions: Any = None,
    node: Call,
) -> Any:
    """In opset 8 each example of a batch is scanned on its own."""
    n = len(values) - num_scan_inputs
    tensors = [tensor_of(v) for v in values]
    found = []
    for b in range(tensors[0].shape[0]):
        parts = [t[b] for t in tensors]
        if lengths is not None:
            parts[n:] = [p.narrow(0, 0, int(lengths[b])) for p in parts[n:]]
        found.append(
            _scan(
                *parts,
                body=body,
                num_scan_inputs=num_scan_inputs,
                scan_input_directions=directions,
                node=node,
            )
        )
    return tuple(ag.stack([tensor_of(v) for v in column]) for column in zip(*found, strict=True))


# -- sequences -------------------------------------------------------------------------------------


@importer("SequenceConstruct")
def _sequence_construct(*values: Any) -> Any:
    return list(values)


@importer("SequenceEmpty")
def _sequence_empty(*, dtype: int = 1) -> Any:
    return []


@importer("SequenceLength")
def _sequence_length(sequence: Any) -> Any:
    return np.array(len(sequence), np.int64)


@importer("SequenceAt")
def _sequence_at(sequence: Any, position: Host) -> Any:
    return sequence[int_list(position)[0]]


@importer("SequenceErase")
def _sequence_erase(sequence: Any, position: Host | None = None) -> Any:
    at = -1 if position is None else int_list(position)[0]
    made = list(sequence)
    del made[at]
    return made


@importer("SequenceInsert")
def _sequence_insert(sequence: Any, value: Any, position: Host | None = None) -> Any:
    at = len(sequence) if position is None else int_list(position)[0]
    made = list(sequence)
    made.insert(at, value)
    return made


@importer("ConcatFromSequence")
def _concat_from_sequence(sequence: Any, *, axis: int, new_axis: int = 0) -> Any:
    values = [tensor_of(v) for v in sequence]
    return ag.stack(values, axis) if new_axis else ag.cat(values, axis)


@importer("SplitToSequence")
def _split_to_sequence(
    x: Tensor, split: Host | None = None, *, axis: int = 0, keepdims: int = 1
) -> Any:
    if split is None:
        parts = ag.split(x, 1, axis)
        return list(parts) if keepdims else [p.squeeze(axis) for p in parts]
    return list(ag.split(x, int_list(split) if split.ndim else int_list(split)[0], axis))


@importer("SequenceMap")
def _sequence_map(sequence: Any, *others: Any, body: Body, node: Call) -> Any:
    columns: list[list[Any]] = [[] for _ in range(node.outputs)]
    for i, value in enumerate(sequence):
        rest = [o[i] if isinstance(o, list) else o for o in others]
        for column, found in zip(columns, body(value, *rest), strict=True):
            column.append(found)
    return tuple(columns)


# -- optional values -------------------------------------------------------------------------------


@importer("Optional")
def _optional(value: Any = None, *, type: Any = None) -> Any:
    return value


@importer("OptionalHasElement")
def _optional_has_element(value: Any = None) -> Any:
    return np.array(value is not None)


@importer("OptionalGetElement")
def _optional_get_element(value: Any) -> Any:
    if value is None:
        raise ValueError("OptionalGetElement: the optional value is empty")
    return value
