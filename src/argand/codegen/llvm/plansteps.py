"""The steps of call plans: allocate, run kernels, copy, make tensors, views and gradient nodes.

Native functions as in `plancode`, which calls them; `runtime/planformat.py` says how plans are
stored.
"""

# mypy: disable-error-code="name-defined, no-any-return"
# ruff: noqa: F821  # names of objects and C functions that the code is linked to

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from argand.codegen.llvm.native import call, load, load32, stack, store, store32

# `values` is the address of three words for each value: tensor, array and data.


def run(plan: int, operands: int, count: int) -> int:
    """The result of a plan for some operands; 0 when it can not be had, -1 after what is no error
    of the call's, such as an interrupt."""
    values = stack(3 * MOST_VALUES)
    if load(plan, RUNNING) != 0:  # another thread, or a finalizer, uses the scratch memory
        return 0
    store(plan, RUNNING, load(plan, RUNNING) + 1)
    store(values, 16, load(plan, SCRATCH))
    store(values, 40, 0)
    i = 0
    at = values + 24 * FIRST_OPERAND
    while i < count:
        x = load(operands, i * 8)
        array = load(x, TENSOR_ARRAY)
        store(at, 0, x)
        store(at, 8, array)
        store(at, 16, load(array, ARRAY_DATA))
        at += 24
        i += 1
    own = at
    end = values + 24 * load(plan, VALUES)
    while at < end:
        store(at, 0, 0)
        store(at, 8, 0)
        at += 24
    good = steps(plan, values)
    result = 0
    if good == 1:
        result = result_of(plan, values)
        if result == 0:  # the steps have run, writes too: the error is the call's
            result = -1
    elif good == -1 or (PyErr_Occurred() != 0 and PyErr_ExceptionMatches(exception_type) == 0):
        result = -1
    else:
        PyErr_Clear()
    while own < end:
        if load(own) != 0:
            Py_DecRef(load(own))
        elif load(own, 8) != 0:
            Py_DecRef(load(own, 8))
        own += 24
    store(plan, RUNNING, load(plan, RUNNING) - 1)
    return result


def result_of(plan: int, values: int) -> int:
    """A plan's result from the values."""
    kind = load(plan, RESULT)
    numbers = load(plan, RESULTS_AT)
    if kind == ONE:
        return held(load(values + 24 * load(numbers)))
    if kind == NOTHING:
        return held(none)
    count = load(plan, RESULTS)
    found = 0
    if kind == LIST:
        found = PyList_New(count)
    else:
        found = PyTuple_New(count)
    if found == 0:
        return 0
    items = found + TUPLE_ITEMS
    if kind == LIST:
        items = load(found, LIST_ITEMS)
    i = 0
    while i < count:
        x = none
        if load(numbers, i * 8) >= 0:
            x = load(values + 24 * load(numbers, i * 8))
        store(items, i * 8, held(x))
        i += 1
    if kind == MADE:
        given = stack(1)
        store(given, 0, found)
        made = PyObject_Vectorcall(load(plan, FACTORY), given, 1, 0)
        Py_DecRef(found)
        return made
    return found


def held(x: int) -> int:
    """The object, with a reference more."""
    Py_IncRef(x)
    return x


def steps(plan: int, values: int) -> int:
    """Run the steps of a plan; 0 when one fails before anything is written, -1 after that."""
    step = load(plan, STEPS_AT)
    left = load(plan, STEPS)
    while left > 0:
        kind = load(step)
        good = 0
        if kind == NEW:
            good = new_array(step, values)
        elif kind == KERNEL:
            good = run_kernel(step, values)
        elif kind == TENSOR:
            good = new_tensor(step, values)
        elif kind == VIEW:
            good = new_view(step, values)
        elif kind == NODE:
            good = new_node(step, values)
        elif kind == COPY:
            good = copy_part(step, values)
        elif kind == LOOK_UP:
            good = look_up(step, values)
        elif kind == MAY_WRITE:
            good = may_write(step, values)
        elif kind == WROTE:
            good = wrote(step, values)
        elif kind == TAKE_PLACE:
            good = take_place(step, values)
        else:
            good = run_python(step, values)
        if good != 1:
            return good
        step += load(step, 8)
        left -= 1
    return 1


# NEW, bytes, value, dtype, function that makes it or 0, rank, sizes


def new_array(step: int, values: int) -> int:
    """Allocate a result."""
    maker = load(step, 32)
    if maker != 0:
        array = PyObject_Vectorcall(maker, 0, 0, 0)
    else:
        dtype = held(load(step, 24))
        array = PyArray_NewFromDescr(array_type, dtype, load(step, 40), step + 48, 0, 0, 0, 0)
    if array == 0:
        return 0
    at = values + 24 * load(step, 16)
    store(at, 8, array)
    store(at, 16, load(array, ARRAY_DATA))
    return 1


# VIEW, bytes, value, source, bytes from its data, flags, dtype, rank, sizes, strides


def new_view(step: int, values: int) -> int:
    """Make an array on the memory of another."""
    source = values + 24 * load(step, 24)
    owner = load(source, 8)
    rank = load(step, 56)
    data = load(source, 16) + load(step, 32)
    dtype = held(load(step, 48))
    array = PyArray_NewFromDescr(
        array_type, dtype, rank, step + 64, step + 64 + rank * 8, data, load(step, 40), 0
    )
    if array == 0:
        return 0
    at = values + 24 * load(step, 16)
    store(at, 8, array)
    store(at, 16, data)
    return PyArray_SetBaseObject(array, held(owner)) == 0


# KERNEL, bytes, address, how many pointers, (value, bytes)..., how many words, words...


def run_kernel(step: int, values: int) -> int:
    """Run a kernel."""
    slots = stack(2 * MOST_VALUES)
    count = load(step, 24)
    at = step + 32
    i = 0
    while i < count:
        store(slots, i * 8, load(values + 24 * load(at), 16) + load(at, 8))
        at += 16
        i += 1
    end = i + load(at)
    while i < end:
        at += 8
        store(slots, i * 8, load(at))
        i += 1
    return call(load(step, 16), slots) == 0


# TENSOR, bytes, value, source or -1, move


def new_tensor(step: int, values: int) -> int:
    """Make a tensor, or a view, of an array."""
    at = values + 24 * load(step, 16)
    made = PyType_GenericAlloc(tensor_type, 0)
    if made == 0:
        return 0
    store(made, TENSOR_ARRAY, load(at, 8))
    store(made, TENSOR_NODE, held(none))
    store(made, TENSOR_COLD, held(none))
    store(at, 0, made)
    source = load(step, 24)
    if source < 0:
        store(made, TENSOR_VIEW, held(none))
        return 1
    view = PyType_GenericAlloc(view_type, 0)
    if view == 0:
        store(made, TENSOR_VIEW, held(none))
        return 0
    x = load(values + 24 * source)
    before = load(x, TENSOR_VIEW)
    root = x
    base = x
    apart = none
    if before != none:
        root = load(before, VIEW_ROOT)
        apart = load(before, VIEW_COUNTER)
        if load(before, VIEW_BASE) != none:
            base = load(before, VIEW_BASE)
    store(view, VIEW_ROOT, held(root))
    store(view, VIEW_PARENT, held(before))
    store(view, VIEW_MOVE, held(load(step, 32)))
    store(view, VIEW_BASE, held(base))
    store(view, VIEW_GENERATION, held(generation_of(base)))
    store(view, VIEW_COUNTER, held(apart))
    store(made, TENSOR_VIEW, view)
    return 1


# NODE, bytes, op, parameters, wants, outputs' values, (value, index)...,
#   edges, value or -1..., inputs, (value or -1, object)..., outputs, (value or -1, object)...


def new_node(step: int, values: int) -> int:
    """Make the gradient node of results."""
    node = PyType_GenericAlloc(node_type, 0)
    if node == 0:
        return 0
    store(node, NODE_OP, held(load(step, 16)))
    store(node, NODE_PARAMS, held(load(step, 24)))
    store(node, NODE_WANTS, held(load(step, 32)))
    store(node, NODE_HOOKS, held(none))
    sequence = PyIter_Next(counter)
    store(node, NODE_SEQUENCE, sequence)
    count = load(step, 40)
    at = step + 48
    i = 0
    while i < count:
        x = load(values + 24 * load(at))
        store(x, TENSOR_NODE, held(node))
        Py_DecRef(none)
        store(x, TENSOR_INDEX, held(load(at, 8)))
        at += 16
        i += 1
    Py_DecRef(node)
    count = load(at)
    edges = PyTuple_New(count)
    if edges == 0:
        return 0
    store(node, NODE_EDGES, edges)
    at += 8
    i = 0
    while i < count:
        edge = edge_of(values, load(at))
        if edge == 0:
            return 0
        store(edges, TUPLE_ITEMS + i * 8, edge)
        at += 8
        i += 1
    inputs = all_saved(at, values, 0)
    store(node, NODE_INPUTS, inputs)
    at += 8 + 16 * load(at)
    outputs = all_saved(at, values, 1)
    store(node, NODE_OUTPUTS, outputs)
    if inputs == 0 or outputs == 0:
        return 0
    return sequence != 0


def all_saved(at: int, values: int, outputs: int) -> int:
    """The operands, or the results, that a node saves, and what replaces those that it doesn't."""
    count = load(at)
    found = PyTuple_New(count)
    if found == 0:
        return 0
    at += 8
    i = 0
    while i < count:
        if load(at) < 0:
            kept = held(load(at, 8))
        elif outputs:
            kept = saved_output(load(values + 24 * load(at)))
        else:
            kept = saved(load(values + 24 * load(at)))
        if kept == 0:
            Py_DecRef(found)
            return 0
        store(found, TUPLE_ITEMS + i * 8, kept)
        at += 16
        i += 1
    return found


def edge_of(values: int, number: int) -> int:
    """Where the gradient of a value goes."""
    if number < 0:
        return held(no_edge)
    x = load(values + 24 * number)
    node = load(x, TENSOR_NODE)
    edge = PyTuple_New(2)
    if edge == 0:
        return 0
    if node == leaf:
        store(edge, TUPLE_ITEMS, held(x))
        store(edge, TUPLE_ITEMS + 8, held(zero))
    else:
        store(edge, TUPLE_ITEMS, held(node))
        store(edge, TUPLE_ITEMS + 8, held(load(x, TENSOR_INDEX)))
    return edge


def saved(x: int) -> int:
    """A tensor kept for backward."""
    made = PyType_GenericAlloc(saved_type, 0)
    if made == 0:
        return 0
    store(made, SAVED_TENSOR, held(x))
    store(made, SAVED_VERSION, held(version_of(x)))
    return made


def saved_output(x: int) -> int:
    """A result kept for backward."""
    made = PyType_GenericAlloc(saved_output_type, 0)
    if made == 0:
        return 0
    store(made, OUTPUT_ARRAY, held(load(x, TENSOR_ARRAY)))
    store(made, OUTPUT_KIND, held(load(x, OB_TYPE)))
    store(made, OUTPUT_LOST, held(none))
    store(made, OUTPUT_TENSOR, PyWeakref_NewRef(x, 0))
    store(made, OUTPUT_VALUE, held(none))
    store(made, OUTPUT_VERSION, held(version_of(x)))
    return made


# PYTHON, bytes, function, how many operands, values..., how many results, values...


def run_python(step: int, values: int) -> int:
    """Compute by a Python function of arrays."""
    given = stack(MOST_VALUES)
    count = load(step, 24)
    at = step + 32
    i = 0
    while i < count:
        store(given, i * 8, load(values + 24 * load(at), 8))
        at += 8
        i += 1
    found = PyObject_Vectorcall(load(step, 16), given, count, 0)
    if found == 0:
        return 0
    count = load(at)
    i = 0
    while i < count:
        at += 8
        array = held(load(found, TUPLE_ITEMS + i * 8))
        store(values + 24 * load(at), 8, array)
        store(values + 24 * load(at), 16, load(array, ARRAY_DATA))
        i += 1
    Py_DecRef(found)
    return 1


# COPY, bytes, (value, bytes) of the result, (value, bytes) of the source, bytes that are stored
# together, rank, sizes, strides of the result, strides of the source


def copy_part(step: int, values: int) -> int:
    """Copy elements to a part of a result."""
    out = data_of(values, step + 16)
    source = data_of(values, step + 32)
    copy(out, source, load(step, 48), load(step, 56), step + 64, load(step, 56) * 8)
    return 1


def data_of(values: int, place: int) -> int:
    """The address that a value and an offset mean."""
    return load(values + 24 * load(place), 16) + load(place, 8)


def copy(out: int, source: int, size: int, rank: int, sizes: int, apart: int) -> int:
    """Copy blocks of `size` bytes; sizes and strides are stored `apart` bytes behind another."""
    if rank == 0:
        memmove(out, source, size)
        return 0
    count = load(sizes)
    step = load(sizes, apart)
    stride = load(sizes, apart + apart)
    while count > 0:
        if rank > 1:
            copy(out, source, size, rank - 1, sizes + 8, apart)
        elif size == 4:
            store32(out, 0, load32(source))
        elif size == 8:
            store(out, 0, load(source))
        else:
            memmove(out, source, size)
        out += step
        source += stride
        count -= 1
    return 0


# MAY_WRITE, bytes, operand, whether the write is recorded, (value, bytes) where the elements to be
# written begin, and where they end, (value, bytes) where those to be read begin, and where they end


def may_write(step: int, values: int) -> int:
    """Whether nothing forbids to write an operand's memory: where the write is recorded, that it is
    a leaf or a view; a base that wants a gradient; elements that are both read and written."""
    x = load(values + 24 * load(step, 16))
    recorded = load(step, 24)
    if recorded and load(x, TENSOR_NODE) == leaf:
        return 0
    view = load(x, TENSOR_VIEW)
    if view != none:
        if recorded:
            return 0
        base = load(view, VIEW_BASE)
        if base != none and load(base, TENSOR_NODE) != none:
            context = stack(5)
            store(context, 32, -1)
            if grad_mode(context) != 0:
                return 0
    if data_of(values, step + 32) >= data_of(values, step + 80):
        return 1
    return data_of(values, step + 64) >= data_of(values, step + 48)


# WROTE, bytes, operand


def wrote(step: int, values: int) -> int:
    """Count a write to an operand's memory; -1 where that is interrupted."""
    x = load(values + 24 * load(step, 16))
    root = x
    apart = none
    view = load(x, TENSOR_VIEW)
    if view != none:
        root = load(view, VIEW_ROOT)
        apart = load(view, VIEW_COUNTER)
    cold = load(root, TENSOR_COLD)
    context = stack(5)
    store(context, 32, -1)
    if (
        apart == none
        and cold != none
        and load(root, TENSOR_NODE) in (none, leaf)
        and grad_mode(context) == 0
    ):
        before = load(cold, COLD_VERSION)
        after = PyNumber_Add(before, one)
        if after == 0:
            return -1
        store(cold, COLD_VERSION, after)
        Py_DecRef(before)
        return 1
    given = stack(1)
    store(given, 0, x)
    done = PyObject_Vectorcall(count_write, given, 1, 0)
    if done == 0:
        return -1
    Py_DecRef(done)
    return 1


# TAKE_PLACE, bytes, operand, value or -1


def take_place(step: int, values: int) -> int:
    """Give an operand that was written the node of a value, or none; -1 without memory."""
    x = load(values + 24 * load(step, 16))
    node = none
    index = zero
    if load(step, 24) >= 0:
        value = load(values + 24 * load(step, 24))
        node = load(value, TENSOR_NODE)
        index = load(value, TENSOR_INDEX)
    cold = load(x, TENSOR_COLD)
    before = load(cold, COLD_GENERATION)
    after = PyNumber_Add(before, one)
    if after == 0:
        return -1
    store(cold, COLD_GENERATION, after)
    Py_DecRef(before)
    before = load(x, TENSOR_NODE)
    store(x, TENSOR_NODE, held(node))
    Py_DecRef(before)
    before = load(x, TENSOR_INDEX)
    store(x, TENSOR_INDEX, held(index))
    if before != 0:
        Py_DecRef(before)
    return 1


# LOOK_UP, bytes, (value, bytes) of the result, of the table and of the index, how many tables, rows
# of a table, bytes of a row, how many indices, whether negative ones count from the end


def look_up(step: int, values: int) -> int:
    """Copy the rows that an index names; 0 where there is no such row."""
    out = data_of(values, step + 16)
    table = data_of(values, step + 32)
    index = data_of(values, step + 48)
    tables = load(step, 64)
    rows = load(step, 72)
    size = load(step, 80)
    count = load(step, 88)
    while tables > 0:
        i = 0
        while i < count:
            row = load(index, i * 8)
            if row < 0 and load(step, 96):
                row += rows
            if row < 0 or row >= rows:
                return 0
            memmove(out, table + row * size, size)
            out += size
            i += 1
        table += rows * size
        tables -= 1
    return 1


FUNCTIONS: Final[tuple[Callable[..., Any], ...]] = (
    run,
    result_of,
    held,
    steps,
    new_array,
    new_view,
    run_kernel,
    new_tensor,
    new_node,
    all_saved,
    edge_of,
    saved,
    saved_output,
    run_python,
    copy_part,
    data_of,
    copy,
    may_write,
    wrote,
    take_place,
    look_up,
)
