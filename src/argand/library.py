"""`argand.library`: functions registered under ``torch.ops.<namespace>.<name>``.

A custom op is Python: a function, perhaps with a gradient of its own. It runs as that function,
eagerly and where a compiled function is traced.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import argand
from argand.base.errors import ArgandError, did_you_mean
from argand.ir.op import type_of
from argand.ir.overrides import dispatch, overriding
from argand.ops.kept import keeps, kept_of, symbolics
from argand.transform.custom import Function


class NoOpError(ArgandError, AttributeError, RuntimeError):
    """There is no op of that name in `torch.ops`."""


class CustomOpDef:
    """A registered op: call it as the function that it was made of."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._qualname, self.function = name, function
        self.__name__ = name.rpartition("::")[2]
        self.__doc__ = function.__doc__
        self.__signature__ = inspect.signature(function)
        self._call: Callable[..., Any] = function
        self.default = self  # the only overload

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        taken = overriding(args, kwargs)
        if taken:
            return dispatch(self, taken, args, kwargs)
        rule = symbolics.get(self._qualname) if keeps() else None
        found = self._call(*args, **kwargs)
        return found if rule is None else _symbolic(self._qualname, rule, found, args, kwargs)

    def __repr__(self) -> str:
        return f"<op {self._qualname}>"

    def register_fake(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself: shapes are found by running the op."""
        return fn

    register_vmap = register_torch_dispatch = register_fake

    def register_kernel(self, device_types: Any, fn: Any = None) -> Any:
        """The function that runs on these devices; those of the CPU count."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            kinds = [device_types] if isinstance(device_types, str) else device_types
            if kinds is None or "cpu" in kinds:
                self._call = function
            return function

        return register if fn is None else register(fn)

    def register_autograd(
        self, backward: Callable[..., Any], *, setup_context: Callable[..., Any] | None = None
    ) -> None:
        """The gradient: ``backward(ctx, *grads)``, after ``setup_context(ctx, inputs, output)``."""
        forward, signature = self._call, self.__signature__

        class Registered(Function):
            @staticmethod
            def forward(ctx: Any, *inputs: Any) -> Any:
                output = forward(*inputs)
                if setup_context is not None:
                    setup_context(ctx, inputs, output)
                return output

            @staticmethod
            def backward(ctx: Any, *grads: Any) -> Any:
                return backward(ctx, *grads)

        def call(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return Registered.apply(*bound.args, *bound.kwargs.values())

        self._call = call


def _symbolic(name: str, rule: Any, found: Any, args: Any, kwargs: Any) -> Any:
    """A call that is one node of a program for another format: `rule` gets the values of tensors,
    and everything else as it is. What the function itself has computed is dropped."""
    given = [*args, *kwargs.values()]
    is_tensor = [hasattr(x, "_tape") for x in given]
    tensors = [x for x, there in zip(given, is_tensor, strict=True) if there]

    def translate(g: Any, *values: Any) -> Any:
        left = iter(values)
        filled = [next(left) if t else x for x, t in zip(given, is_tensor, strict=True)]
        named = zip(kwargs, filled[len(args) :], strict=True)
        return rule(g, *filled[: len(args)], **dict(named))

    results = found if isinstance(found, tuple | list) else (found,)
    made = kept_of(name.replace("::", "."), translate, tensors, [type_of(x) for x in results])
    return tuple(made) if isinstance(found, tuple | list) else made[0]


class OpNamespace:
    """The ops of a namespace: ``torch.ops.<namespace>``."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        whole = f"{self._name}::{name}"
        raise NoOpError(
            f"torch.ops.{self._name}.{name} is not there{did_you_mean(name, vars(self))}; an op is "
            f"registered by  @torch.library.custom_op({whole!r}, mutates_args=())"
        )


class _AtenOp(CustomOpDef):
    """A function of tensors under the name of PyTorch's op; its overloads are the function too."""

    def __getattr__(self, name: str) -> CustomOpDef:
        if name.startswith("_"):
            raise AttributeError(name)
        made = vars(self)[name] = CustomOpDef(f"{self._qualname}.{name}", self.function)
        return made


def _sliced(self: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    return self[(slice(None),) * (dim % self.ndim) + (slice(start, end, step),)]


def _to_copy(self: Any, *, dtype: Any = None, device: Any = None, **options: Any) -> Any:
    return self.to(device=device, dtype=dtype, copy=True)


def _indexed(self: Any, indices: Any) -> Any:
    return self[tuple(slice(None) if i is None else i for i in indices)]


_OF_ATEN_ALONE: dict[str, Callable[..., Any]] = {
    "alias": lambda self: self[...],
    "index": _indexed,
    "slice": _sliced,
    "_to_copy": _to_copy,
    "sym_size": lambda self, dim: self.shape[dim],
}


class _Aten(OpNamespace):
    """``torch.ops.aten``: PyTorch's ops, as the functions and methods of the same name.

    What PyTorch itself keeps private, tables of ops name too: it is there, and raises when called.
    """

    def __getattr__(self, name: str) -> Any:
        if name in _OF_ATEN_ALONE or (name.startswith("_") and not name.startswith("__")):
            function = _OF_ATEN_ALONE.get(name) or _absent(
                f"aten.{name}", "PyTorch keeps it private"
            )
            made = vars(self)[name] = _AtenOp(f"aten::{name}", function)
            return made
        places = [(argand, name), (argand.nn.functional, name), (argand.Tensor, name)]
        module, _, rest = name.partition("_")
        if module in ("fft", "linalg", "special"):
            places.insert(0, (getattr(argand, module), rest))
        for where, short in places:
            found = None if name.startswith("_") else vars(where).get(short)
            if callable(found) and not isinstance(found, type):
                made = vars(self)[name] = _AtenOp(f"aten::{name}", found)
                return made
        return super().__getattr__(name)


def _while_loop(cond_fn: Any, body_fn: Any, carried: Any, read: Any = ()) -> Any:
    def goes_on(*values: Any) -> Any:
        found = cond_fn(*values, *read)
        return found[0] if isinstance(found, tuple | list) else found

    return argand.while_loop(goes_on, lambda *values: body_fn(*values, *read), tuple(carried))


class _HigherOrder(OpNamespace):
    """``torch.ops.higher_order``: ops that take functions."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        for title, function in (("cond", argand.cond), ("while_loop", _while_loop)):
            vars(self)[title] = CustomOpDef(f"higher_order::{title}", function)


class _AbsentOps(OpNamespace):
    """The ops of a library that was left out: they can be named, and say so when they are called;
    but for what is asked while the library is imported."""

    cuda_version = is_align_available = staticmethod(lambda: None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _absent(f"{self._name}.{name}")


class Ops:
    """`torch.ops`: a namespace is made when it is asked for."""

    loaded_libraries: frozenset[str] = frozenset()

    def __getattr__(self, name: str) -> OpNamespace:
        if name.startswith("__"):
            raise AttributeError(name)
        kind = _NAMESPACES.get(name, OpNamespace)
        made = vars(self)[name] = kind(name)
        if name in _OWN:
            vars(made).update(_OWN[name]())
        return made

    def load_library(self, path: str) -> None:
        """Raises OSError: libraries of ops are linked against PyTorch's C++ library. Those of
        torchvision and torchaudio are left out: torchvision's ops are Argand's own, and most of
        torchaudio needs none; an op that isn't there says so when it is called."""
        if {"torchvision", "torchaudio"} & set(os.path.normpath(path).split(os.sep)):
            if os.path.split(path)[0].endswith("torchvision") and "image" in os.path.basename(path):
                vars(self.image).update(_of_images())
            return
        raise OSError(
            f"{path}: a library of ops is linked against PyTorch's C++ library, which isn't here; "
            "write the op in Python with torch.library.custom_op"
        )


_NAMESPACES = {
    "aten": _Aten,
    "higher_order": _HigherOrder,
    "torchaudio": _AbsentOps,
    "_torchaudio": _AbsentOps,
}


def _absent(name: str, why: str = "it is of a library in C++") -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        raise NoOpError(f"torch.ops.{name} is not in Argand: {why}")

    return call


class _OwnOp(CustomOpDef):
    """An op of a library that Argand has instead: its gradient and its kernels are its own."""

    def register_autograd(self, backward: Any, *, setup_context: Any = None) -> None:
        """Nothing: it has a gradient."""

    def register_kernel(self, device_types: Any, fn: Any = None) -> Any:
        """Nothing: it has a kernel."""
        return (lambda function: function) if fn is None else fn


def _of_torchvision() -> dict[str, _OwnOp]:
    from argand.vision.ops import registered as own  # vision is large

    functions: dict[str, Any] = {
        name: _absent(f"torchvision.{name}") for name in own.ABSENT.split()
    }
    functions.update(own.FUNCTIONS)
    return {name: _OwnOp(f"torchvision::{name}", call) for name, call in functions.items()}


def _of_profiler() -> dict[str, _OwnOp]:
    from argand.profiler import record_function  # a program asks for it seldom

    def leave(handle: Any) -> None:
        handle.__exit__(None, None, None)

    functions: dict[str, Any] = {
        "_record_function_enter": lambda name, args=None: record_function(name, args).__enter__(),
        "_record_function_exit": leave,
    }
    return {name: _OwnOp(f"profiler::{name}", call) for name, call in functions.items()}


_OWN = {"torchvision": _of_torchvision, "profiler": _of_profiler}


def _of_images() -> dict[str, _OwnOp]:
    from argand.vision import io as own  # vision is large

    return {name: _OwnOp(f"image::{name}", call) for name, call in own.FUNCTIONS.items()}


ops = Ops()


def _offer(name: str, function: Callable[..., Any]) -> CustomOpDef:
    space, _, short = name.partition("::")
    if not short:
        raise ValueError(f"an op is named 'namespace::name', got {name!r}")
    made = CustomOpDef(name, function)
    vars(getattr(ops, space))[short.partition(".")[0]] = made
    return made


def custom_op(
    name: str, fn: Any = None, /, *, mutates_args: Any, device_types: Any = None, **options: Any
) -> Any:
    """Register a function as the op ``torch.ops.<namespace>.<name>``; a decorator without `fn`.

    >>> from argand.library import custom_op, ops
    >>> @custom_op("doc::twice", mutates_args=())
    ... def twice(x: ag.Tensor) -> ag.Tensor:
    ...     return x * 2
    >>> ops.doc.twice(ag.ones(1))
    tensor([2.])
    """
    return (lambda f: _offer(name, f)) if fn is None else _offer(name, fn)


triton_op = custom_op


def _find(op: Any) -> CustomOpDef | None:
    if isinstance(op, CustomOpDef):
        return op
    space, _, short = str(op).partition("::")
    found = vars(getattr(ops, space)).get(short)
    return found if isinstance(found, CustomOpDef) else None


def register_fake(op: Any, func: Any = None, /, **options: Any) -> Any:
    """The function itself: shapes are found by running the op; a decorator without `func`.

    >>> from argand.library import register_fake
    >>> register_fake("doc::twice", len) is len
    True
    """
    return (lambda f: f) if func is None else func


impl_abstract = register_vmap = register_torch_dispatch = register_fake


def register_kernel(op: Any, device_types: Any, func: Any = None, /, **options: Any) -> Any:
    """The function that an op runs on the CPU."""
    found = _find(op)
    if found is None:
        raise NoOpError(f"there is no op {op}: register it by torch.library.custom_op first")
    return found.register_kernel(device_types, func)


def register_autograd(
    op: Any, backward: Callable[..., Any], /, *, setup_context: Any = None, lib: Any = None
) -> None:
    """The gradient of an op: ``backward(ctx, *grads)``, after
    ``setup_context(ctx, inputs, output)``."""
    found = _find(op)
    if found is None:
        raise NoOpError(f"there is no op {op}: register it by torch.library.custom_op first")
    found.register_autograd(backward, setup_context=setup_context)


def define(qualname: str, schema: Any = "", *, lib: Any = None, **options: Any) -> None:
    """Say that there will be an op; `impl` gives its function."""


def impl(qualname: str, types: Any, func: Any = None, *, lib: Any = None) -> Any:
    """Give an op its function, for the CPU or all devices; a decorator without `func`.

    >>> from argand.library import impl, ops
    >>> registered = impl("doc::thrice", "CPU", lambda x: x * 3)
    >>> ops.doc.thrice(ag.ones(1))
    tensor([3.])
    """
    kinds = [types] if isinstance(types, str) else list(types)
    here = any(kind.lower() in ("cpu", "default", "compositeimplicitautograd") for kind in kinds)

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        if here:
            _offer(qualname, function)
        return function

    return register if func is None else register(func)


class Library:
    """The ops of a namespace, defined one by one; as `torch.library.Library`.

    >>> from argand.library import Library, ops
    >>> lib = Library("doc", "DEF")
    >>> lib.define("half(Tensor x) -> Tensor")
    'half'
    >>> lib.impl("half", lambda x: x / 2)
    >>> ops.doc.half(ag.ones(1))
    tensor([0.5000])
    """

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Say that there will be an op; its name."""
        return schema.partition("(")[0].strip()

    def impl(self, op_name: Any, fn: Any, dispatch_key: str = "", **options: Any) -> None:
        """Give an op its function."""
        impl(f"{self.ns}::{op_name}", dispatch_key or self.dispatch_key or "CPU", fn)


def infer_schema(prototype_function: Any, /, *, mutates_args: Any, op_name: Any = None) -> str:
    """The signature of a function, as text."""
    return f"{op_name or ''}{inspect.signature(prototype_function)}"


def opcheck(*args: Any, **options: Any) -> dict[str, str]:
    """Nothing is to be checked: an op is the function that was registered."""
    return {}


__all__ = [
    "CustomOpDef",
    "Library",
    "custom_op",
    "define",
    "impl",
    "impl_abstract",
    "infer_schema",
    "opcheck",
    "ops",
    "register_autograd",
    "register_fake",
    "register_kernel",
    "register_torch_dispatch",
    "register_vmap",
    "triton_op",
]
