"""`argand.jit.script`: Python that runs as it is, and becomes a program when it is saved."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from argand.base.tree import tree_map
from argand.ir import bind as crossroads
from argand.jit.control import converted
from argand.jit.methods import Method, remembered
from argand.jit.modules import RecursiveScriptModule, ScriptFunction, ScriptModule, twin
from argand.nn.module import Module


class ScriptWarning(Warning):
    """A warning about what is scripted: PyTorch's class, never given here.

    >>> issubclass(ag.jit.ScriptWarning, Warning)
    True
    """


class Attribute(NamedTuple):
    """A value with its type, for attributes of scripted modules.

    >>> ag.jit.Attribute(3, int).value
    3
    """

    value: Any
    type: Any


def script(
    obj: Any,
    optimize: Any = None,
    _frames_up: int = 0,
    _rcb: Any = None,
    example_inputs: Any = None,
) -> Any:
    """A module, or a function, with its control flow: calls run its Python, `is_scripting` is True
    there, and `save` makes it a program.

    The program is traced when it is first asked for, with the dtypes and the numbers of dimensions
    that the last call had, or `example_inputs`; sizes, ints, floats and bools may vary. For that
    the function's own source, and that of what it calls, is rewritten: `if`, `while`, `for`,
    `break`, `continue` and `return` under a condition on a traced tensor become `cond` and
    `while_loop`, so a file takes the branch of each call. What a variable holds behind a branch
    must be of one kind in both, and keep it from round to round: TraceError names it. Branches on
    other values are Python's, as they were for the example. The module has the tensors of the
    original, its mode and attributes are its own;
    methods marked with `export` are kept in the file. A class is given back as it is.

    Args:
        obj: a module, a function, or a class.
        example_inputs: a list of tuples of arguments; of a module a dictionary of such lists by
            its methods.

    >>> @ag.jit.script
    ... def f(x, n: int):
    ...     for _ in range(n):
    ...         x = x * 2
    ...     return x
    >>> f(ag.tensor(1.0), 3)
    tensor(8.)
    """
    if isinstance(obj, ScriptModule | ScriptFunction | type):
        return obj
    if hasattr(obj, "__prepare_scriptable__"):
        obj = obj.__prepare_scriptable__()
    if isinstance(obj, Module):
        return _scripted_module(obj, example_inputs)
    if isinstance(obj, dict | list):
        return obj
    if not callable(obj) or not hasattr(obj, "__name__"):
        raise TypeError(f"script takes a module, a function or a class, got {type(obj).__name__}")
    method = Method("forward", obj, is_script=True)
    _give_examples(method, example_inputs)
    return ScriptFunction(method, obj.__name__)


def _scripted_module(module: Module, examples: Any) -> Any:
    inner = twin(module)
    made = RecursiveScriptModule.around(inner, follows=True)
    methods: dict[str, Callable[..., Any]] = {"forward": inner}
    for name, method in inspect.getmembers(type(module), inspect.isfunction):
        if getattr(method, "__argand_exported__", False):
            methods[name] = getattr(inner, name)
    if type(module).forward is Module.forward:
        del methods["forward"]  # a module of methods, as ModuleList is
    for name, function in methods.items():
        found = made.__dict__["_methods"][name] = Method(name, function, is_script=True)
        if isinstance(examples, Mapping):
            named = {getattr(f, "__name__", "forward"): given for f, given in examples.items()}
            own = {"forward": examples.get(module), **named}
            _give_examples(found, own.get(name))
        elif name == "forward":
            _give_examples(found, examples)
    return made


def _give_examples(method: Method, examples: Any) -> None:
    for args in examples or ():
        method.example = tree_map(remembered, (tuple(args), {}))


def script_if_tracing(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose branches and loops on tensors stay branches and loops inside a trace.

    >>> @ag.jit.script_if_tracing
    ... def f(x):
    ...     return -x if x.sum() < 0 else x
    >>> ag.jit.trace(lambda x: f(x) + 1, ag.ones(1))(ag.tensor([-3.0]))
    tensor([4.])
    """

    @functools.wraps(fn)
    def traced(*args: Any, **kwargs: Any) -> Any:
        return (converted(fn) if crossroads.tracing() else fn)(*args, **kwargs)

    return traced


__all__ = ["Attribute", "ScriptWarning", "script", "script_if_tracing"]
