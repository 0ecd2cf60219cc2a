"""Module: a tree of parameters, buffers and submodules with a forward function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

from argand.base import epoch
from argand.base.dtype import as_dtype
from argand.base.errors import did_you_mean
from argand.base.late import resolve
from argand.base.misuse import FAILURES, explain
from argand.base.stateful import ModuleState
from argand.base.userstack import UserCall, register_call, register_module_call
from argand.ir.op import ops
from argand.nn.hooks import Hooks, register
from argand.nn.parameter import Buffer, Parameter
from argand.nn.state import key_problems, load, shape_problems
from argand.tensor.autograd import RemovableHandle
from argand.tensor.core import Tensor
from argand.tensor.inplace import assign
from argand.transform.mode import no_grad

_REGISTRIES = ("_parameters", "_buffers", "_modules")
_BOOKKEEPING = frozenset((*_REGISTRIES, "_transient", "_special"))
_ABSENT = object()


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` did not find in the module or in the dictionary."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base of all layers and models, as `torch.nn.Module`.

    A subclass calls ``super().__init__()``, assigns Parameters, Modules and buffers as attributes,
    and defines `forward`.

    >>> import argand as ag
    >>> class Scale(Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = Parameter(ag.ones(1))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> list(Scale().state_dict())
    ['factor']
    """

    training: bool = True
    _special: Hooks | None = None
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _transient: set[str]

    def __init__(self) -> None:
        self.__dict__.update(
            training=True, _parameters={}, _buffers={}, _modules={}, _transient=set()
        )

    def __argand_state__(self) -> ModuleState | None:
        """What compiled functions see of the module; None before `__init__`."""
        space = self.__dict__
        if "_parameters" not in space:
            return None
        special = self._special
        hooks = [] if special is None else special.functions()
        return ModuleState(
            space, _BOOKKEEPING, self._parameters, self._buffers, self._modules, hooks
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._special is None:
                return self.forward(*args, **kwargs)
            return self._special.call(self, args, kwargs)
        except FAILURES as error:
            explain(error)
            raise

    # -- attributes ----------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        if "_parameters" not in state:
            if isinstance(value, Parameter | Module):
                raise AttributeError(
                    f"{type(self).__name__}: call super().__init__() before assigning {name!r}"
                )
        elif isinstance(value, Parameter):
            self._place("_parameters", name, value)
            return
        elif isinstance(value, Module):
            self._place("_modules", name, value)
            return
        elif isinstance(value, Buffer):
            self._place("_buffers", name, value)
            (self._transient.discard if value.persistent else self._transient.add)(name)
            return
        else:
            for registry in _REGISTRIES:
                if name in state[registry]:
                    _check_replacement(registry, name, value)
                    state[registry][name] = value
                    epoch.bump()
                    return
        before = state.get(name, _ABSENT)
        object.__setattr__(self, name, value)
        if before is not value:
            epoch.bump()

    def _place(self, registry: str, name: str, value: Any) -> None:
        state = self.__dict__
        state.pop(name, None)
        for other in _REGISTRIES:
            if other != registry:
                state[other].pop(name, None)
        state[registry][name] = value
        epoch.bump()

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        if "_parameters" in state:
            for registry in _REGISTRIES:
                found = state[registry].get(name, _ABSENT)
                if found is not _ABSENT:
                    return found
        known = [n for n in dir(self) if not n.startswith("_")]
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}{did_you_mean(name, known)}"
        )

    def __delattr__(self, name: str) -> None:
        for registry in _REGISTRIES:
            if name in self.__dict__.get(registry, ()):
                del self.__dict__[registry][name]
                self._transient.discard(name)
                epoch.bump()
                return
        object.__delattr__(self, name)
        epoch.bump()

    def __dir__(self) -> list[str]:
        names = {*object.__dir__(self)}
        for registry in _REGISTRIES:
            names |= set(self.__dict__.get(registry, ()))
        return sorted(names)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name; None reserves the name."""
        _check_name(self, name)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"register_parameter takes a Parameter, got {type(param).__name__}")
        self._place("_parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but not trained; `persistent` puts it in `state_dict`."""
        _check_name(self, name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"register_buffer takes a Tensor, got {type(tensor).__name__}")
        self._place("_buffers", name, tensor)
        (self._transient.discard if persistent else self._transient.add)(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under a name."""
        _check_name(self, name)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"add_module takes a Module, got {type(module).__name__}")
        self._place("_modules", name, module)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under a name."""
        self.register_module(name, module)

    # -- walking the tree ----------------------------------------------------------------------

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module (named `prefix`) and all below it, each once, with dotted names."""
        memo = set() if memo is None else memo
        if remove_duplicate:
            if self in memo:
                return
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                below = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, below, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct submodules with their names, each once."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The direct submodules, each once."""
        for _, module in self.named_children():
            yield module

    def _named(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for path, module in modules:
            for name, tensor in module.__dict__[registry].items():
                if tensor is None or (remove_duplicate and id(tensor) in seen):
                    continue
                seen.add(id(tensor))
                yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with dotted names, each once."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once; what an optimizer takes."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers with dotted names, each once."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted path; AttributeError that suggests the nearest."""
        module: Module = self
        for name in filter(None, target.split(".")):
            found = module._modules.get(name)
            if found is None:
                near = did_you_mean(target, [n for n, _ in self.named_modules()])
                raise AttributeError(f"{type(self).__name__} has no module {target!r}{near}")
            module = found
        return module

    def get_parameter(self, target: str) -> Any:
        """The parameter of a dotted path."""
        return self._get("_parameters", target, "parameter")

    def get_buffer(self, target: str) -> Any:
        """The buffer of a dotted path."""
        return self._get("_buffers", target, "buffer")

    def _get(self, registry: str, target: str, kind: str) -> Any:
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path).__dict__[registry].get(name)
        if found is None:
            near = did_you_mean(target, [n for n, _ in self._named(registry, "", True, True)])
            raise AttributeError(f"{type(self).__name__} has no {kind} {target!r}{near}")
        return found

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module below, then on this one; returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # -- mode, dtype, gradients ----------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Training mode (dropout on, batch statistics) for this module and all below."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode must be a bool, got {mode!r}")
        for module in self.modules():
            if module.training != mode:
                module.training = mode
        return self

    def eval(self) -> Self:
        """Evaluation mode; the same as ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Want gradients for all parameters, or freeze them."""
        for parameter in self.parameters():
            if parameter.requires_grad != requires_grad:
                parameter.requires_grad_(requires_grad)
                epoch.bump()
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                with no_grad():
                    gradient = parameter.grad.detach()
                    assign(gradient, ops.full(tuple(gradient.shape), 0, gradient.dtype))
                    parameter.grad = gradient

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert the floating-point parameters and buffers to a dtype; devices other than the CPU
        are an error. ``to(dtype)``, ``to(device)``, ``to(device, dtype)``, ``to(tensor)``."""
        dtype = kwargs.pop("dtype", None)
        device = kwargs.pop("device", None)
        for name in ("non_blocking", "copy", "memory_format"):
            kwargs.pop(name, None)
        if kwargs:
            raise TypeError(f"to: unexpected argument {next(iter(kwargs))!r}")
        for given in args:
            if isinstance(given, Tensor):
                dtype = given.dtype
            elif _is_device(given):
                device = given
            elif given is not None and not isinstance(given, bool):
                dtype = given
        if device is not None:
            _check_device(device)
        return self if dtype is None else self._convert(dtype)

    def _convert(self, dtype: Any) -> Self:
        wanted = as_dtype(dtype)
        if not wanted.is_inexact:
            raise TypeError(f"a module can be converted to floating-point dtypes, not {wanted!r}")

        def converted(t: Tensor) -> Tensor:
            if not t.dtype.is_inexact or t.dtype is wanted:
                return t
            with no_grad():
                new: Tensor = ops.cast(t, wanted)
            return new

        return self._apply(converted)

    def _apply(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Replace the memory of every parameter, its gradient and every buffer by `fn` of it."""
        for parameter in self.parameters():
            gradient = parameter.grad
            new = fn(parameter)
            if new is not parameter:
                parameter.grad = None
                parameter.data = new.detach()
                if gradient is not None:
                    parameter.grad = fn(gradient)
        for module in self.modules():
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = fn(buffer)
        epoch.bump()
        return self

    def float(self) -> Self:
        """Convert to float32."""
        return self._convert("float32")

    def double(self) -> Self:
        """Convert to float64."""
        return self._convert("float64")

    def half(self) -> Self:
        """Convert to float16."""
        return self._convert("float16")

    def bfloat16(self) -> Self:
        """Convert to bfloat16."""
        return self._convert("bfloat16")

    def type(self, dst_type: Any) -> Self:
        """Convert to a floating-point dtype."""
        return self._convert(dst_type)

    def cpu(self) -> Self:
        """The module itself: it is on the CPU."""
        return self

    def cuda(self, device: Any = None) -> Self:
        """An error: there is no CUDA device."""
        _check_device("cuda")
        return self

    # -- state ---------------------------------------------------------------------------------

    def state_dict(
        self,
        *,
        destination: dict[str, Any] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Any]:
        """The parameters and persistent buffers by dotted name, sharing the module's memory."""
        found: dict[str, Any] = {} if destination is None else destination
        for name, tensor in self._state(prefix):
            found[name] = tensor if keep_vars else tensor.detach()
        return found

    def _state(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self._parameters.items():
            if parameter is not None:
                yield prefix + name, parameter
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._transient:
                yield prefix + name, buffer
        for name, module in self._modules.items():
            if module is not None:
                yield from module._state(f"{prefix}{name}.")

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy the tensors of `state_dict` into this module.

        With `strict`, missing and unexpected names are a RuntimeError; shapes that don't fit always
        are. Nothing is written when there is an error. `assign` takes the tensors themselves.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"expected a state dict, got {type(state_dict).__name__}")
        own = dict(self._state())
        missing = [n for n in own if n not in state_dict]
        unexpected = [n for n in state_dict if n not in own]
        problems = shape_problems(own, state_dict)
        if strict:
            problems = key_problems(missing, unexpected, own) + problems
        if problems:
            listed = "\n\t".join(problems)
            raise RuntimeError(
                f"error(s) in loading state_dict for {type(self).__name__}:\n\t{listed}"
            )
        with no_grad():
            for name, target in own.items():
                if name in state_dict:
                    load(target, state_dict[name], assign)
        if assign:
            epoch.bump()
        return IncompatibleKeys(missing, unexpected)

    # -- hooks ---------------------------------------------------------------------------------

    def _hooks(self) -> Hooks:
        if self._special is None:
            self._special = Hooks()
        return self._special

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before `forward`; what it returns replaces the arguments."""
        return register(self._hooks().before, hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after `forward`; what it returns is the output."""
        return register(self._hooks().after, hook, prepend, with_kwargs)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when backward has passed the module.

        Both are tuples with a gradient, or None, for each positional argument and each output; what
        the hook returns replaces `grad_input`.
        """
        return register(self._hooks().gradients, hook, prepend)

    # -- Keras's ease, and compilation -----------------------------------------------------------

    def compile(self, *args: Any, **kwargs: Any) -> Any:
        """With an optimizer or a loss: make ready for `fit`, `evaluate` and `predict`, as Keras.
        Without: compile `forward`, as PyTorch."""
        if args or "optimizer" in kwargs or "loss" in kwargs or "metrics" in kwargs:
            return resolve("fit.model").compile(self, *args, **kwargs)
        self._hooks().compiled = resolve("compile.compile")(self.forward, **kwargs)
        return None

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Train on data; see `argand.fit`."""
        return resolve("fit.model").fit(self, *args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """The loss and the metrics on data; see `argand.fit`."""
        return resolve("fit.model").evaluate(self, *args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs for data, in evaluation mode; see `argand.fit`."""
        return resolve("fit.model").predict(self, *args, **kwargs)

    def summary(self, *args: Any, **kwargs: Any) -> Any:
        """Print a table of the layers, their output shapes and numbers of parameters."""
        return resolve("fit.model").summary(self, *args, **kwargs)

    @property
    def stop_training(self) -> bool:
        """Whether `fit` ends after this step; callbacks set it."""
        return bool(self.__dict__.get("_stop_training", False))

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        self.__dict__["_stop_training"] = bool(value)

    # -- text ----------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What a layer shows between its parentheses."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr().splitlines()
        children = [
            f"({name}): " + repr(module).replace("\n", "\n  ")
            for name, module in self._modules.items()
        ]
        head = type(self).__name__
        if not children and len(extra) < 2:
            return f"{head}({''.join(extra)})"
        return head + "(\n  " + "\n  ".join([*extra, *children]) + "\n)"


def _check_name(module: Module, name: str) -> None:
    if "_parameters" not in module.__dict__:
        raise AttributeError(f"{type(module).__name__}: call super().__init__() first")
    if not isinstance(name, str):
        raise TypeError(f"a name must be a str, got {type(name).__name__}")
    if not name or "." in name:
        raise KeyError(f"a name must not be empty or contain '.', got {name!r}")
    registered = any(name in module.__dict__[r] for r in _REGISTRIES)
    if not registered and hasattr(module, name):
        raise KeyError(f"attribute {name!r} already exists")


def _check_replacement(registry: str, name: str, value: Any) -> None:
    """A registered name keeps its kind: only None, or a tensor for a buffer, may follow."""
    if value is None or (registry == "_buffers" and isinstance(value, Tensor)):
        return
    kind = {"_parameters": "Parameter", "_buffers": "Tensor", "_modules": "Module"}[registry]
    raise TypeError(
        f"cannot assign {type(value).__name__} as {name!r}: it is registered as a {kind} "
        f"(a {kind} or None expected)"
    )


def _is_device(given: Any) -> bool:
    if isinstance(given, str):
        return given.split(":")[0] in ("cpu", "cuda", "mps", "xpu", "meta")
    return type(given).__name__ == "device"


def _check_device(device: Any) -> None:
    kind = str(getattr(device, "type", device)).split(":")[0]
    if kind != "cpu":
        raise RuntimeError(f"there is no device {kind!r}: Argand computes on the CPU")


def _path_between(outer: Module, inner: Module) -> str:
    for name, module in outer.named_modules():
        if module is inner:
            return name
    return type(inner).__name__


def _call_of(local: Mapping[str, Any]) -> UserCall:
    return UserCall(local["self"], type(local["self"]).__name__, local["args"], local["kwargs"])


register_call(Module.__call__, _call_of)
register_module_call(Module.__call__.__code__, _path_between)
