"""Running call plans: the native function behind every public call of eager code.

It describes the arguments in words (types, dtypes, sizes, strides, whether gradients are wanted;
numbers and flags by value), looks the words up, and runs the steps of the plan that is found:
allocate results, call kernels, make tensors, views and gradient nodes. `tensor/plans.py` makes the
plans, `runtime/planformat.py` says how they are stored; `native` compiles the functions here.
"""

# mypy: disable-error-code="name-defined, no-any-return"
# ruff: noqa: F821  # names of objects and C functions that the code is linked to

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from argand.codegen.llvm.native import load, load32, stack, store

# -- describing a call -----------------------------------------------------------------------------

# A context is the words' address and number, the operands' and their number, the grad mode (-1: not
# asked yet).


def put(context: int, word: int) -> int:
    """Append a word."""
    count = load(context, 8)
    store(load(context), count * 8, word)
    store(context, 8, count + 1)
    return 1


def describe(context: int, x: int) -> int:
    """Append what a plan must know of an argument; 0 if it can have no plan."""
    if load(context, 8) > MOST_WORDS - 24:
        return 0
    kind = load(x, OB_TYPE)
    if is_tensor_type(kind):
        return describe_tensor(context, x, kind)
    if x in (none, true, false, ellipsis):
        return put(context, x)
    put(context, kind)
    if kind == int_type:
        overflow = stack(1)
        put(context, PyLong_AsLongLongAndOverflow(x, overflow))
        return load32(overflow) == 0
    if kind == float_type:
        return put(context, load(x, FLOAT_VALUE))
    if kind in (tuple_type, size_type):
        return describe_items(context, x + TUPLE_ITEMS, load(x, OB_SIZE))
    if kind == list_type:
        return describe_items(context, load(x, LIST_ITEMS), load(x, OB_SIZE))
    if kind == slice_type:
        return describe_items(context, x + SLICE_START, 3)
    if kind in (str_type, dtype_type):
        return put(context, x)
    return 0


def describe_items(context: int, items: int, count: int) -> int:
    """Describe some arguments that are stored together."""
    put(context, count)
    i = 0
    while i < count:
        if not describe(context, load(items, i * 8)):
            return 0
        i += 1
    return 1


def is_tensor_type(kind: int) -> int:
    """Whether a class is Tensor or one that behaves as it does."""
    if kind == tensor_type:
        return 1
    count = load(state, TYPES)
    i = 1
    while i <= count:
        if load(state, TYPES + i * 8) == kind:
            return 1
        i += 1
    return 0


def describe_tensor(context: int, x: int, kind: int) -> int:
    """Describe a tensor, and note it as an operand."""
    array = load(x, TENSOR_ARRAY)
    view = load(x, TENSOR_VIEW)
    count = load(context, 24)
    i = 0
    while i < count:
        if load(load(context, 16), i * 8) == x:
            put(context, state)
            return put(context, i)
        i += 1
    if array == 0 or view == 0 or count >= MOST_OPERANDS:
        return 0
    if load(array, OB_TYPE) != array_type:
        return 0
    rank = load32(array, ARRAY_RANK)
    flags = load32(array, ARRAY_FLAGS)
    if rank > 8 or (flags & ALIGNED) == 0:
        return 0
    if view != none and is_stale(view):
        return 0
    wanted = 0
    if load(x, TENSOR_NODE) != none:
        wanted = grad_mode(context)
        if wanted < 0:
            return 0
    store(load(context, 16), count * 8, x)
    store(context, 24, count + 1)
    put(context, kind)
    put(context, load(array, ARRAY_DTYPE))
    put(context, rank | (wanted << 8) | (flags & WRITEABLE))
    sizes = load(array, ARRAY_SIZES)
    strides = load(array, ARRAY_STRIDES)
    i = 0
    while i < rank:
        put(context, load(sizes, i * 8))
        put(context, load(strides, i * 8))
        i += 1
    return 1


def is_stale(view: int) -> int:
    """Whether a view's node is older than the last in-place write to its base."""
    base = load(view, VIEW_BASE)
    if base == none:
        return 0
    return load(view, VIEW_GENERATION) != generation_of(base)


def generation_of(x: int) -> int:
    """How often a tensor's node was replaced by an in-place operation."""
    cold = load(x, TENSOR_COLD)
    if cold == none:
        return zero
    return load(cold, COLD_GENERATION)


def version_of(x: int) -> int:
    """How often a tensor's memory was written, as backward counts it."""
    view = load(x, TENSOR_VIEW)
    cold = none
    if view != none:
        x = load(view, VIEW_ROOT)
        cold = load(view, VIEW_COUNTER)
    if cold == none:
        cold = load(x, TENSOR_COLD)
    if cold == none:
        return zero
    return load(cold, COLD_VERSION)


def grad_mode(context: int) -> int:
    """Whether gradients are recorded in this thread; -1 after an error."""
    known = load(context, 32)
    if known >= 0:
        return known
    enabled = PyObject_GetAttr(mode, enabled_name)
    if enabled == 0:
        PyErr_Clear()
        return -1
    Py_DecRef(enabled)
    store(context, 32, enabled == true)
    return enabled == true


# -- the call --------------------------------------------------------------------------------------


def argand_call(function: int, args: int, count: int, names: int) -> int:
    """The function that Python calls: run the plan of a call, or the Python function."""
    words = stack(MOST_WORDS)
    operands = stack(MOST_OPERANDS)
    context = stack(5)
    given = count
    if names != 0:
        given = count + load(names, OB_SIZE)
    if load(gate) != 0:
        return PyObject_Vectorcall(function, args, count, names)
    store(context, 0, words)
    store(context, 8, 0)
    store(context, 16, operands)
    store(context, 24, 0)
    store(context, 32, -1)
    put(context, function)
    i = 0
    while i < given:
        if i >= count:
            put(context, load(names, TUPLE_ITEMS + (i - count) * 8))
        if not describe(context, load(args, i * 8)):
            return PyObject_Vectorcall(function, args, count, names)
        i += 1
    size = load(context, 8)
    number = hashed(words, size)
    place = load(state, TABLE) + (number & load(state, MASK)) * (WAYS * 16)
    free = 0
    i = 0
    while i < WAYS:
        plan = load(place, 8)
        if load(place) == number:
            if plan == SEEN:
                return recorded(function, args, count, names, words, size)
            if plan == NEVER:
                return PyObject_Vectorcall(function, args, count, names)
            if same(plan, words, size):
                left = load(plan, LEFT)
                if left != 0:
                    store(plan, LEFT, left - 1)
                    if left == 1:
                        return recorded(function, args, count, names, words, size)
                found = run(plan, operands, load(context, 24))
                if found == 0:
                    return PyObject_Vectorcall(function, args, count, names)
                if found == -1:
                    return 0
                return found
        if plan == SEEN or (plan == NEVER and free == 0):
            free = place
        place += 16
        i += 1
    if free == 0:
        return recorded(function, args, count, names, words, size)
    store(free, 0, number)
    store(free, 8, SEEN)
    return PyObject_Vectorcall(function, args, count, names)


def hashed(words: int, size: int) -> int:
    """A number for some words; as in tensor/plans.py."""
    number = size
    i = 0
    while i < size:
        number = (number ^ load(words, i * 8)) * 0x9E3779B97F4A7C1
        number = number ^ (number >> 31)
        i += 1
    return number


def same(plan: int, words: int, size: int) -> int:
    """Whether a plan is for these words."""
    if load(plan, WORDS) != size:
        return 0
    known = load(plan, WORDS_AT)
    i = 0
    while i < size:
        if load(known, i * 8) != load(words, i * 8):
            return 0
        i += 1
    return 1


def recorded(function: int, args: int, count: int, names: int, words: int, size: int) -> int:
    """Run the Python function so that a plan is made."""
    given = count
    if names != 0:
        given = count + load(names, OB_SIZE)
    if given > 20:
        return PyObject_Vectorcall(function, args, count, names)
    more = stack(24)
    text = PyBytes_FromStringAndSize(words, size * 8)
    if text == 0:
        return 0
    store(more, 0, text)
    store(more, 8, function)
    i = 0
    while i < given:
        store(more, 16 + i * 8, load(args, i * 8))
        i += 1
    found = PyObject_Vectorcall(load(state, RECORD), more, count + 2, names)
    Py_DecRef(text)
    return found


FUNCTIONS: Final[tuple[Callable[..., Any], ...]] = (
    put,
    describe,
    describe_items,
    is_tensor_type,
    describe_tensor,
    is_stale,
    generation_of,
    version_of,
    grad_mode,
    hashed,
    same,
    recorded,
    argand_call,
)
