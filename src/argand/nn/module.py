"""Module: a tree of parameters, buffers and submodules with a forward function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from argand.base.late import resolve
from argand.base.misuse import FAILURES, explain
from argand.base.notices import notice
from argand.base.stateful import ModuleState
from argand.base.userstack import UserCall, register_call, register_module_call
from argand.nn.hooks import Hooks, HookTable
from argand.nn.saved import IncompatibleKeys as IncompatibleKeys
from argand.nn.saved import Saved
from argand.nn.tree import Offered
from argand.transform.hooks import RemovableHandle

_REGISTRIES = ("_parameters", "_buffers", "_modules")
_BOOKKEEPING = frozenset((*_REGISTRIES, "_transient", "_special", "_state_hooks"))


class Module(Saved):
    """Base of all layers and models, as `torch.nn.Module`.

    A subclass calls ``super().__init__()``, assigns Parameters, Modules and buffers as attributes,
    and defines `forward`.

    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = nn.Parameter(ag.ones(1))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> list(Scale().state_dict())
    ['factor']
    """

    training: bool = True
    dump_patches: bool = False  # of PyTorch's older files
    call_super_init: bool = False
    _special: Hooks | None = None

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

    def share_memory(self) -> Self:
        """Move parameters and buffers to memory that processes share; returns the module.

        A process that is given the module trains the same parameters; see `Tensor.share_memory_`.
        """
        for tensor in (*self.parameters(), *self.buffers()):
            tensor.share_memory_()
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._special is None:
                return self.forward(*args, **kwargs)
            return self._special.call(self, args, kwargs)
        except FAILURES as error:
            explain(error)
            raise

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        """The call itself, for classes with a `__call__` of their own."""
        return Module.__call__(self, *args, **kwargs)

    # -- mode ---------------------------------------------------------------------------------

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

    # -- hooks ---------------------------------------------------------------------------------

    @property
    def _forward_pre_hooks(self) -> HookTable:
        return _hooks_of(self).before

    @property
    def _forward_hooks(self) -> HookTable:
        return _hooks_of(self).after

    @property
    def _backward_hooks(self) -> HookTable:
        return _hooks_of(self).gradients

    @property
    def _backward_pre_hooks(self) -> HookTable:
        return _hooks_of(self).gradients_before

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before `forward`; what it returns replaces the arguments."""
        return _added(self, self._forward_pre_hooks, hook, prepend, with_kwargs)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after `forward`; what it returns is the output. With
        `always_call` it is called after an error too, with None for the output."""
        handle = _added(self, self._forward_hooks, hook, prepend, with_kwargs)
        if always_call:
            _hooks_of(self).always.add(handle.key)
        return handle

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` before backward passes the module; what it returns
        replaces `grad_output`."""
        return self._backward_pre_hooks.add(hook, prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when backward has passed the module.

        Both are tuples with a gradient, or None, for each positional argument and each output; what
        the hook returns replaces `grad_input`.
        """
        return self._backward_hooks.add(hook, prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """The older name of `register_full_backward_hook`."""
        notice(
            "register_backward_hook is the older name of register_full_backward_hook", FutureWarning
        )
        return self.register_full_backward_hook(hook)

    # -- Keras's ease, and compilation -----------------------------------------------------------

    def compile(self, *args: Any, **kwargs: Any) -> Any:
        """With an optimizer or a loss: make ready for `fit`, `evaluate` and `predict`, as Keras.
        Without: compile `forward`, as PyTorch."""
        if args or "optimizer" in kwargs or "loss" in kwargs or "metrics" in kwargs:
            return resolve("fit.model").compile(self, *args, **kwargs)
        _hooks_of(self).compiled = resolve("compile.compile")(self.forward, **kwargs)
        return None

    @Offered
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Train on data; see `argand.fit`."""
        return resolve("fit.model").fit(self, *args, **kwargs)

    @Offered
    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """The loss and the metrics on data; see `argand.fit`."""
        return resolve("fit.model").evaluate(self, *args, **kwargs)

    @Offered
    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs for data, in evaluation mode; see `argand.fit`."""
        return resolve("fit.model").predict(self, *args, **kwargs)

    @Offered
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

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What a layer shows between its parentheses."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr().splitlines()
        children = [
            f"({name}): " + repr(module).replace("\n", "\n  ")
            for name, module in self._modules.items()
        ]
        head = self._get_name()
        if not children and len(extra) < 2:
            return f"{head}({''.join(extra)})"
        return head + "(\n  " + "\n  ".join([*extra, *children]) + "\n)"


def _hooks_of(module: Module) -> Hooks:
    own = module.__dict__.get("_special")
    if own is None:
        own = module._special = Hooks()
    return own


def _added(
    module: Module, table: HookTable, hook: Any, prepend: bool, with_kwargs: bool
) -> RemovableHandle:
    handle = table.add(hook, prepend)
    if with_kwargs:
        _hooks_of(module).with_kwargs.add(handle.key)
    return handle


def _path_between(outer: Module, inner: Module) -> str:
    for name, module in outer.named_modules():
        if module is inner:
            return name
    return type(inner).__name__


def _call_of(local: Mapping[str, Any]) -> UserCall:
    return UserCall(local["self"], type(local["self"]).__name__, local["args"], local["kwargs"])


register_call(Module.__call__, _call_of)
register_module_call(Module.__call__.__code__, _path_between)
# Libraries evaluate what objects of subclasses are annotated with, where our names mean nothing.
Module.__annotations__ = dict.fromkeys(("training", "dump_patches", "call_super_init"), bool)
