"""What a function's bytecode reads by name: globals, closures, attributes of known objects.

An attribute that is read off a name (``self.cfg.scale``) is a *chain*, which leads to one object.
An attribute of anything else (a call's result, a local variable) is *loose*: it may belong to any
object in reach. String constants that are identifiers count as loose: `getattr` may take them.
"""

from __future__ import annotations

import dataclasses
import dis
import functools
from types import CodeType
from typing import Any

_GLOBAL = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"))
_CLOSURE = frozenset(("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"))
_LOCAL = frozenset(("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW", "LOAD_FAST_AND_CLEAR"))
_TWO_LOCALS = frozenset(("LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW"))
_STORE_AND_LOAD = frozenset(("STORE_FAST_LOAD_FAST",))
_ASKING = frozenset(("getattr", "hasattr", "setattr", "delattr"))
_CALLS = frozenset(("PRECALL", "CALL"))
_NO_VALUE = frozenset(("CACHE", "EXTENDED_ARG", "NOP", "KW_NAMES"))
LOCAL, CLOSURE, GLOBAL, IMPORT = "local", "closure", "global", "import"
Chain = tuple[str, str, tuple[str, ...]]
_SUPER = frozenset(("LOAD_SUPER_ATTR", "LOAD_SUPER_METHOD"))
_ATTRIBUTE = _SUPER | {"LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "DELETE_ATTR"}


@dataclasses.dataclass(frozen=True, slots=True)
class CodeReads:
    """The names that a code object, and the functions defined inside it, read or write."""

    globals: frozenset[str]
    # (LOCAL, CLOSURE, GLOBAL or IMPORT; the name; attributes one after another): each as far as it
    # goes. The name of an import is the module's, with a dot before it for each level up.
    chains: frozenset[Chain]
    loose: frozenset[str]
    asked: frozenset[str]  # names that `getattr` and `hasattr` may ask for, present or not
    computed: bool = False  # whether `getattr` and others ask for a name that is computed
    identity: bool = False  # whether `is` compares anything but with a constant


@functools.lru_cache(maxsize=4096)
def code_reads(code: CodeType) -> CodeReads:
    """What a code object reads, nested functions and comprehensions included.

    >>> reads = code_reads((lambda self: self.cfg.scale * gain).__code__)
    >>> reads.globals, ("local", "self", ("cfg", "scale")) in reads.chains
    (frozenset({'gain'}), True)
    """
    found: set[str] = set()
    chains: set[Chain] = set()
    loose: set[str] = set()
    asked: set[str] = set()
    identity, before = False, ""
    asks = not _ASKING.isdisjoint(code.co_names)
    computed = asks and _asks_for_computed_names(code)
    base: tuple[str, str] | None = None
    chain: tuple[str, ...] = ()
    imported = _imported_names(code)
    for step in dis.get_instructions(code):
        name = step.opname
        if name in ("CACHE", "EXTENDED_ARG", "PUSH_NULL", "NOP"):
            continue
        identity |= name == "IS_OP" and before != "LOAD_CONST"
        before = name
        if name in _ATTRIBUTE:
            if base is None or name in _SUPER:
                loose.add(step.argval)
            else:
                chain = (*chain, step.argval)
                if name.startswith("LOAD"):
                    continue
        if base is not None:
            chains.add((*base, chain))
        base, chain = _name_loaded(name, step.argval), ()
        if base is not None and base[1] in imported and base[0] != GLOBAL:
            base, chain = imported[base[1]]
        if name in _GLOBAL:
            found.add(step.argval)
    if base is not None:
        chains.add((*base, chain))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = code_reads(constant)
            found |= inner.globals
            loose |= inner.loose
            asked |= inner.asked
            computed |= inner.computed
            identity |= inner.identity
            for kind, start, attributes in inner.chains:
                if kind == LOCAL:
                    loose.update(attributes)
                elif kind == CLOSURE and start in imported:
                    base, chain = imported[start]
                    chains.add((*base, (*chain, *attributes)))
                else:
                    chains.add((kind, start, attributes))
        elif isinstance(constant, str) and constant.isidentifier():
            (asked if asks else loose).add(constant)
    names = (frozenset(found), frozenset(chains), frozenset(loose), frozenset(asked))
    return CodeReads(*names, computed, identity)


def _imported_names(code: CodeType) -> dict[str, tuple[tuple[str, str], tuple[str, ...]]]:
    """The local variables that `import` statements in a function make, with the chains that they
    mean."""
    found: dict[str, tuple[tuple[str, str], tuple[str, ...]]] = {}
    constants: list[Any] = [0, None]  # the level of the next import, and what it takes
    module = ""
    chain: tuple[str, ...] = ()
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_CONST", "LOAD_SMALL_INT"):
            constants = [constants[1], step.argval]
        elif step.opname == "IMPORT_NAME":
            level, names = constants
            whole = "." * level + step.argval
            module, chain = whole if names or level else whole.partition(".")[0], ()
        elif step.opname == "IMPORT_FROM":
            chain = (*chain, step.argval) if constants[1] is None else (step.argval,)
        elif step.opname in ("STORE_FAST", "STORE_DEREF", *_STORE_AND_LOAD) and module:
            name = step.argval[0] if step.opname in _STORE_AND_LOAD else step.argval
            found[name] = (IMPORT, module), chain
            if constants[1] is None or not chain:
                module = ""
        elif step.opname not in ("SWAP", "POP_TOP", *_NO_VALUE):
            module = ""
    return found


def _asks_for_computed_names(code: CodeType) -> bool:
    """Whether the second argument of some `getattr`, say, is anything but a constant: followed by
    the depth of the stack, since any expression may be there."""
    depth, computed = 0, False
    waiting: list[Any] = []  # of each call not made yet: the depth, what wrote the argument last
    for step in dis.get_instructions(code):
        if waiting and step.opname in _CALLS and depth == waiting[-1][0] + (step.arg or 0):
            computed |= waiting.pop()[1] != "LOAD_CONST"
        depth += dis.stack_effect(step.opcode, step.arg, jump=False)
        if waiting and depth == waiting[-1][0] + 2 and step.opname not in _NO_VALUE:
            waiting[-1][1] = step.opname
        if step.opname == "LOAD_GLOBAL" and step.argval in _ASKING:
            waiting.append([depth, ""])
    return computed or bool(waiting)


def _name_loaded(operation: str, argument: Any) -> tuple[str, str] | None:
    """The name whose value an instruction leaves on top of the stack, and what kind of name."""
    if operation in _TWO_LOCALS or operation in _STORE_AND_LOAD:
        return (LOCAL, argument[1]) if isinstance(argument, tuple) else None
    if operation in _LOCAL:
        return LOCAL, argument
    if operation in _CLOSURE:
        return CLOSURE, argument
    return (GLOBAL, argument) if operation in ("LOAD_GLOBAL", "LOAD_NAME") else None
