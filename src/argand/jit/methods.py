"""One function of a traced or scripted module: its programs, and its Python where that is there."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from argand.base.dim import DimHint
from argand.base.errors import CallError, DTypeError, ShapeError, TraceError
from argand.base.scripting import reading_example, running, running_as
from argand.base.tree import flatten, tree_map
from argand.export import DEFAULT, ExportedProgram
from argand.ir import bind as crossroads
from argand.jit.control import converted, scripted_forwards
from argand.nn.module import Module
from argand.tensor.core import Tensor
from argand.tensor.creation import full, zeros

_UNFIT = (CallError, ShapeError, DTypeError)


class TracerWarning(Warning):
    """What was traced does not always do what the Python does.

    >>> issubclass(ag.jit.TracerWarning, Warning)
    True
    """


class TracingCheckError(Exception):
    """A trace differs from another one of the same function: PyTorch's class, never raised here.

    >>> issubclass(ag.jit.TracingCheckError, Exception)
    True
    """


class Method:
    """A function as a program for each kind of call: traced, or kept as Python until one is asked
    for.

    `function` is the Python, None in what was loaded. Where `is_script`, calls run it.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any] | None,
        program: ExportedProgram | None = None,
        *,
        is_script: bool = False,
    ) -> None:
        self.name = name
        self.function = function
        self.is_script = is_script
        self.program = program
        self.constant = False  # whether the tensors are no parameters of what has the method
        self.others: list[ExportedProgram] = []  # for calls that the first doesn't fit
        self.example: Any = None  # (args, kwargs) as the last call had them, without their values

    @property
    def key(self) -> str:
        """The name of its signature."""
        return DEFAULT if self.name == "forward" else self.name

    @property
    def signature(self) -> Any:
        """The signature of its program, which is traced now where it is not there."""
        return self.whole().signatures[self.key]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.is_script:
            return self._scripted(args, kwargs)
        assert self.program is not None
        for program in (self.program, *self.others):
            signature = program.signatures[self.key]
            if _fits(program, signature, args, kwargs):
                return signature(*args, **kwargs)
        if self.function is None:
            return self.program.signatures[self.key](*args, **kwargs)  # says what is wrong
        self.others.append(traced(self.function, self.key, args, kwargs))
        return self.others[-1].signatures[self.key](*args, **kwargs)

    def _scripted(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        assert self.function is not None
        self.example = tree_map(remembered, (args, kwargs))
        with running_as(traces=running.traces, scripts=True):
            if not crossroads.tracing():
                return self.function(*args, **kwargs)
            with _staged(self.function) as function:
                return function(*args, **kwargs)

    def whole(self) -> ExportedProgram:
        """Its program; traced with the sizes and dtypes of the last call where it is Python."""
        if self.program is None:
            assert self.function is not None
            if self.example is None:
                raise RuntimeError(
                    f"{self.name} has not been called, so the dtypes and the numbers of dimensions "
                    "of its arguments are not known: call it once before it is saved, or give "
                    "torch.jit.script(..., example_inputs=[(...)])"
                )
            given = tree_map(_example, self.example)
            try:
                self.program = self._scripted_program(tree_map(_as_number, given))
            except Exception:  # a size, a dimension: what is to be a Python number
                self.program = self._scripted_program(given)
        return self.program

    def _scripted_program(self, given: Any) -> ExportedProgram:
        assert self.function is not None
        args, kwargs = given
        return traced(self.function, self.key, args, kwargs, scripts=True)

    def add_to(self, program: ExportedProgram) -> None:
        """Make it a signature of another program."""
        own = self.whole()
        signature: Any = own.signatures[self.key]
        known = {id(t): name for name, t in program.state.items()}
        for name in signature.state_names:
            if isinstance(name, str) and id(own.state[name]) not in known:
                program.add_state(name, own.state[name], self._role(own.role(name)))
        program.signatures[self.key] = signature
        program.examples |= {k: v for k, v in own.examples.items() if k == self.key}

    def _role(self, role: str) -> str:
        return "constant" if self.constant and role in ("parameter", "buffer") else role

    def forget(self) -> None:
        """Drop the programs of what is Python."""
        if self.is_script:
            self.program = None


def traced(
    function: Callable[..., Any],
    key: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    scripts: bool = False,
) -> ExportedProgram:
    """The program of a call. As many sizes of its tensors vary as the function leaves free."""
    given = (*args, *kwargs.values())
    tried: list[Any] = []
    found: ExportedProgram | None = None
    error: Exception | None = None
    said: Any = None
    for dims, least in _ATTEMPTS:
        specs = tuple([_varying(x, dims, least) for x in given])
        if specs in tried:
            continue
        tried.append(specs)
        program = ExportedProgram()
        try:
            with (
                _reads(scripts, args, kwargs) as reads,
                running_as(traces=not scripts, scripts=scripts),
                _prepared(function, scripts) as f,
            ):
                program.add_signature(
                    key, f, tuple(args), kwargs, dynamic_shapes=specs, drops_effects=True
                )
        except Exception as e:  # the Python, or an op, can't do with such sizes
            error = e
            continue
        if _fits(program, program.signatures[key], args, kwargs):
            found, said = program, reads
            if program.range_constraints:
                break
    for read, at in said or ():
        _warn_of_read(read, at)
    if found is None and error is not None:
        raise error
    if found is None:
        raise TraceError(f"{key}: the program does not fit the arguments that it was traced with")
    return found


def _reads(scripts: bool, args: Any, kwargs: Any) -> Any:
    """What a trace reads of its example; a script reads nothing."""
    leaves = flatten((tuple(args), dict(kwargs)))[0]
    return nullcontext({}) if scripts else reading_example(leaves)


def _warn_of_read(kind: str, at: Any) -> None:
    file, line = ("<unknown>", 1) if at is None else (at.file, at.line)
    message = (
        f"Converting a tensor to a {kind} might cause the trace to be incorrect. We can't record "
        "the data flow of Python values, so this value will be treated as a constant in the "
        "future. This means that the trace might not generalize to other inputs!"
    )
    warnings.warn_explicit(message, TracerWarning, file, line)


def _prepared(function: Callable[..., Any], scripts: bool) -> Any:
    return _staged(function) if scripts else nullcontext(function)


@contextmanager
def _staged(function: Any) -> Iterator[Callable[..., Any]]:
    """The function with control flow that stays in the program, and so the modules that it is."""
    owner = function if isinstance(function, Module) else getattr(function, "__self__", None)
    with scripted_forwards(owner) if isinstance(owner, Module) else nullcontext():
        yield function if isinstance(function, Module) else converted(function)


# Which of the sizes may vary, from all to none: how many dimensions, and from which size on. A size
# of 1 may be one that is broadcast.
_ATTEMPTS = ((99, 0), (99, 2), (1, 0), (1, 2), (0, 0))


def _varying(value: Any, dims: int, least: int) -> Any:
    if isinstance(value, Tensor):
        return {d: DimHint.AUTO for d, n in enumerate(value.shape[:dims]) if n >= least}
    if isinstance(value, dict):
        return {k: _varying(v, dims, least) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_varying(v, dims, least) for v in value]
    return None


def _fits(
    program: ExportedProgram, signature: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> bool:
    for name, value in zip(signature.state_names, signature.program.state, strict=True):
        if isinstance(name, str) and program.state[name].dtype is not value.dtype:
            return False  # the module was made one of another dtype
    try:
        signature.check(*args, **kwargs)
    except _UNFIT:
        return False
    return True


def remembered(leaf: Any) -> Any:
    """What is kept of a leaf of the arguments: not the elements of a large tensor."""
    return _Kind(leaf) if isinstance(leaf, Tensor) else leaf


class _Kind:
    """What is kept of a tensor: of a large one not its elements."""

    def __init__(self, tensor: Tensor) -> None:
        self.shape, self.dtype = tuple(tensor.shape), tensor.dtype
        small = tensor._array is not None and tensor.nbytes <= _KEPT
        self.elements = tensor.detach().clone() if small else None

    def example(self) -> Tensor:
        """A tensor of the kind."""
        return zeros(self.shape, dtype=self.dtype) if self.elements is None else self.elements


_KEPT = 1 << 16  # bytes of an argument that a file's sample may be made of


def _example(leaf: Any) -> Any:
    return leaf.example() if isinstance(leaf, _Kind) else leaf


def _as_number(leaf: Any) -> Any:
    """An int or a bool as what a program computes with: a tensor that stands for a number."""
    if not isinstance(leaf, int):
        return leaf
    found = full((), leaf, dtype="bool" if isinstance(leaf, bool) else "int64")
    found.weak = True
    return found


def check_traceable(given: Any) -> None:
    """Refuse arguments that PyTorch's tracer refuses: anything but tensors."""
    for leaf in flatten(given)[0]:
        if not isinstance(leaf, Tensor):
            raise TraceError(
                f"Type {type(leaf).__name__!r} cannot be traced. Only Tensors and (possibly "
                "nested) Lists, Dicts, and Tuples of Tensors can be traced; keep other values in "
                "attributes of the module, or bind them (functools.partial)"
            )


__all__ = [
    "Method",
    "TracerWarning",
    "TracingCheckError",
    "check_traceable",
    "remembered",
    "traced",
]
