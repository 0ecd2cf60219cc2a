"""`argand.jit.trace`: the program of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from argand.base.errors import TraceError
from argand.base.notices import notice
from argand.base.tree import LEAF_SPEC
from argand.export.structure import encoded
from argand.jit.checking import compare
from argand.jit.methods import Method, check_traceable, traced
from argand.jit.modules import ScriptFunction, ScriptModule, TopLevelTracedModule, twin
from argand.nn.module import Module


def trace(
    func: Any,
    example_inputs: Any = None,
    optimize: Any = None,
    check_trace: bool = True,
    check_inputs: Any = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    _force_outplace: bool = False,
    _module_class: Any = None,
    _compilation_unit: Any = None,
    example_kwarg_inputs: Mapping[str, Any] | None = None,
    _store_inputs: bool = True,
) -> Any:
    """The program of a call of a module or a function, as a module or a function.

    The sizes of the example may be others in calls, where the Python doesn't tie them to numbers;
    a call that the program doesn't fit is traced anew. Python's branches are as in the example, the
    mode (`train`, `eval`) as it is now. What Python reads of a tensor (`if x.sum() > 0`, `int(x)`)
    is a constant, with a TracerWarning; `script` keeps the branch.

    Args:
        func: a module, a function or a method of a module.
        example_inputs: a tensor, or a tuple of arguments: tensors in lists, tuples, dictionaries.
        check_trace: compare the results with those of the Python, and warn where they differ.
        check_inputs: more arguments (tuples) to compare the results for.
        check_tolerance: the relative difference that counts as equal.
        strict: refuse lists and dictionaries as results.
        example_kwarg_inputs: arguments by name, in place of `example_inputs`.

    Raises TraceError where no program can be made.

    >>> traced = ag.jit.trace(nn.Linear(2, 3), ag.ones(1, 2))
    >>> traced(ag.ones(5, 2)).shape
    argand.Size([5, 3])
    """
    if isinstance(func, ScriptModule | ScriptFunction):
        notice(
            "The input to trace is already a ScriptModule, tracing it is a no-op. Returning the "
            "object as is."
        )
        return func
    args, kwargs = _example(example_inputs, example_kwarg_inputs)
    checks = [_example(x, None) for x in check_inputs or ()]
    if example_kwarg_inputs is not None:
        checks = [((), dict(x)) for x in check_inputs or ()]
    options = _Options(check_trace, checks, check_tolerance, strict)
    if isinstance(func, Module):
        return _traced_module(func, {"forward": (args, kwargs)}, options)
    if not callable(func):
        raise TypeError(f"trace takes a module or a function, got {type(func).__name__}")
    name = getattr(func, "__name__", type(func).__name__)
    name = "_lambda" if name == "<lambda>" else name
    return ScriptFunction(options.method("forward", func, args, kwargs), name)


def trace_module(
    mod: Any,
    inputs: Mapping[str, Any],
    optimize: Any = None,
    check_trace: bool = True,
    check_inputs: Sequence[Mapping[str, Any]] | None = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    _force_outplace: bool = False,
    _module_class: Any = None,
    _compilation_unit: Any = None,
    example_inputs_is_kwarg: bool = False,
    _store_inputs: bool = True,
) -> Any:
    """The programs of several methods of a module: `inputs` has the example of each by its name.

    >>> class Coder(nn.Module):
    ...     def encode(self, x):
    ...         return x * 2
    ...     def decode(self, x):
    ...         return x / 2
    >>> traced = ag.jit.trace_module(Coder(), {"encode": ag.ones(1), "decode": ag.ones(1)})
    >>> traced.decode(traced.encode(ag.ones(3)))
    tensor([1., 1., 1.])
    """
    if not isinstance(mod, Module):
        raise AttributeError("expected torch.nn.Module as the first argument")
    if not isinstance(inputs, dict):
        raise AttributeError("expected a dictionary of (method_name, input) pairs")
    by_name = example_inputs_is_kwarg
    given = {n: _example(None if by_name else x, x if by_name else None) for n, x in inputs.items()}
    made: Any = None
    for name, example in given.items():
        checks = [_example(x[name], None) for x in check_inputs or () if name in x]
        options = _Options(check_trace, checks, check_tolerance, strict)
        made = _traced_module(mod, {name: example}, options, made)
    return made


def _example(inputs: Any, named: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if named is not None:
        if not isinstance(named, dict):
            raise RuntimeError("example_kwarg_inputs should be a dict")
        if inputs is not None:
            raise RuntimeError("example_inputs and example_kwarg_inputs can't both be given")
        return (), dict(named)
    if inputs is None:
        raise RuntimeError("trace needs example_inputs, or example_kwarg_inputs")
    if isinstance(inputs, list | tuple):
        return tuple(inputs), {}
    return (inputs,), {}


def _traced_module(
    module: Module, given: Mapping[str, Any], options: _Options, made: Any = None
) -> Any:
    if made is None:
        made = TopLevelTracedModule.around(twin(module), follows=False)
    inner = made._inner
    for name, (args, kwargs) in given.items():
        function = inner if name == "forward" else getattr(inner, name)
        made.__dict__["_methods"][name] = options.method(name, function, args, kwargs)
    return made


class _Options:
    """What is checked of a trace."""

    def __init__(self, check: bool, checks: Sequence[Any], tolerance: float, strict: bool) -> None:
        self.check = check
        self.checks = checks
        self.tolerance = tolerance
        self.strict = strict

    def method(
        self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Method:
        """The traced function."""
        check_traceable((args, kwargs))
        made = Method(name, function)
        made.program = traced(function, made.key, args, kwargs)
        self._check_results(made)
        if self.check:
            for given in ((args, kwargs), *self.checks):
                compare(made, function, given, self.tolerance)
        return made

    def _check_results(self, made: Method) -> None:
        signature = made.signature
        kinds = _containers(signature.returned)
        _, kept = encoded(signature.returned)  # of an object the attributes, of a mapping the items
        if any(signature.results[i].kind == "value" for i in kept):
            raise TraceError(
                "Only tensors, lists, tuples of tensors, or dictionary of tensors can be output "
                "from traced functions"
            )
        for kind, other in ((dict, "NamedTuple"), (list, "tuple")):
            if self.strict and kind in kinds:
                raise TraceError(
                    f"Encountering a {kind.__name__} at the output of the tracer might cause the "
                    "trace to be incorrect, this is only valid if the container structure does not "
                    "change based on the module's inputs. Consider using a constant container "
                    f"instead (e.g. for `{kind.__name__}`, use a `{other}` instead). If you "
                    "absolutely need this and know the side effects, pass strict=False to trace() "
                    "to allow this behavior."
                )


def _containers(structure: Any) -> set[Any]:
    if structure is LEAF_SPEC:
        return set()
    kind, _, parts = structure
    found = {dict if issubclass(kind, dict) else kind}
    for part in parts:
        found |= _containers(part)
    return found


__all__ = ["trace", "trace_module"]
