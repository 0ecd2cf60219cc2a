"""What rewritten code calls instead of a function: the same function, rewritten."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import sys
import tokenize
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from argand.base.errors import PACKAGE
from argand.jit.control import staged
from argand.jit.control.rewriting import rewritten
from argand.jit.control.syntax import RUNTIME
from argand.nn.module import Module

_known: weakref.WeakKeyDictionary[CodeType, CodeType | None] = weakref.WeakKeyDictionary()
_LEFT = frozenset(sys.stdlib_module_names) - {"__main__"} | {"numpy"}
"""Packages whose functions run as they are."""


def converted(function: Any) -> Any:
    """A function, or a method, whose control flow on traced tensors stays in the program; the same
    object where there is nothing to convert."""
    if isinstance(function, MethodType):
        inner = converted(function.__func__)
        same = inner is function.__func__
        return function if same else MethodType(inner, function.__self__)
    if isinstance(function, functools.partial):
        return functools.partial(converted(function.func), *function.args, **function.keywords)
    if not isinstance(function, FunctionType):
        return function
    code = _code_of(function)
    return function if code is None else _function_on(code, function)


def _code_of(function: FunctionType) -> CodeType | None:
    """The rewritten code of a function; None where it stays as it is."""
    code = function.__code__
    if code not in _known:
        _known[code] = _rewritten_code(function)
    return _known[code]


def _rewritten_code(function: FunctionType) -> CodeType | None:
    code = function.__code__
    package = (function.__module__ or "").partition(".")[0]
    if code.co_filename.startswith(PACKAGE) or package in _LEFT or code.co_name == "<lambda>":
        return None
    if RUNTIME in code.co_freevars:
        return None  # it stands in a function that was rewritten
    if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        return None
    try:
        lines = linecache.getlines(code.co_filename, function.__globals__)
        first = code.co_firstlineno
        text = "".join(inspect.getblock(lines[first - 1 :]))
        tree = ast.parse("if 1:\n" + text if text[:1].isspace() else text)
    except (SyntaxError, tokenize.TokenError):
        return None
    if not tree.body:
        return None  # typed at a prompt, or made by a program
    wrapped = isinstance(tree.body[0], ast.If)
    definition: Any = tree.body[0].body[0] if wrapped else tree.body[0]  # type: ignore[attr-defined]
    if not isinstance(definition, ast.FunctionDef):
        return None
    ast.increment_lineno(tree, first - 1 - wrapped)
    owner = function.__qualname__.rpartition(".")[0].rpartition(".")[2]
    return _compiled(definition, code, "" if owner == "<locals>" else owner)


def _compiled(definition: ast.FunctionDef, code: CodeType, owner: str) -> CodeType | None:
    """The code of a definition, as it stands in the scopes of the original."""
    definition.decorator_list, definition.returns = [], None
    arguments = definition.args
    arguments.defaults = []
    arguments.kw_defaults = [None] * len(arguments.kwonlyargs)
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    definition = rewritten(definition, owner)
    around = ast.parse(f"def {RUNTIME}_scope({', '.join([RUNTIME, *code.co_freevars])}): pass")
    around.body[0].body = [definition]  # type: ignore[attr-defined]  # a definition
    module = compile(ast.fix_missing_locations(around), code.co_filename, "exec", dont_inherit=True)
    scope = next(c for c in module.co_consts if isinstance(c, CodeType))
    found = next(c for c in scope.co_consts if isinstance(c, CodeType))
    found = found.replace(co_qualname=code.co_qualname)
    _known[found] = None  # is not rewritten again
    return found


def _function_on(code: CodeType, function: FunctionType) -> FunctionType:
    """The code as a function with the globals, cells and defaults of another."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    cells[RUNTIME] = CellType(staged)
    closure = tuple([cells[n] for n in code.co_freevars])
    made = FunctionType(code, function.__globals__, function.__name__, None, closure)
    made.__defaults__, made.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
    made.__dict__.update(function.__dict__)
    made.__annotations__, made.__doc__ = function.__annotations__, function.__doc__
    made.__module__, made.__qualname__ = function.__module__, function.__qualname__
    return made


def callee(function: Any) -> Any:
    """What is called where the code names `function`."""
    if isinstance(function, Module):
        return functools.partial(_called_module, function)
    special = staged.special(function)
    return converted(function) if special is None else special


def _called_module(module: Module, *args: Any, **kwargs: Any) -> Any:
    with scripted_forwards(module):
        return module(*args, **kwargs)


@contextmanager
def scripted_forwards(module: Module) -> Iterator[None]:
    """A block in which the modules of a tree have their `forward` rewritten."""
    changed: list[dict[str, Any]] = []
    try:
        for part in module.modules():
            if "forward" in vars(part):
                continue  # it is rewritten already, or the user's own
            found = converted(part.forward)
            if _is_new(found, part):
                vars(part)["forward"] = found
                changed.append(vars(part))
        yield
    finally:
        for namespace in changed:
            del namespace["forward"]


def _is_new(found: Any, part: Module) -> bool:
    original: Callable[..., Any] = type(part).forward
    return isinstance(found, MethodType) and found.__func__ is not original


staged.callee = callee

__all__ = ["converted", "scripted_forwards"]
