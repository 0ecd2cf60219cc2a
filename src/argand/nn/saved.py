"""State dicts of modules: PyTorch's keys, and the methods that a module may override."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from argand.base import epoch
from argand.base.errors import did_you_mean
from argand.base.layout import strided
from argand.base.shape import shape_text
from argand.ir.op import ops
from argand.nn.converted import Converted
from argand.nn.hooks import HookTable
from argand.tensor.core import Tensor
from argand.tensor.inplace import assign
from argand.transform.hooks import RemovableHandle
from argand.transform.mode import no_grad

EXTRA = "_extra_state"


class _Keys(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


class IncompatibleKeys(_Keys):
    """What `load_state_dict` did not find in the module or in the dictionary."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    def __str__(self) -> str:
        return repr(self)


class StateHooks:
    """Functions called around saving and loading a module's own tensors."""

    def __init__(self) -> None:
        self.saving, self.saved = HookTable(), HookTable()
        self.loading, self.loaded = HookTable(), HookTable()
        self.without_module: set[int] = set()  # of those in `loading`


class Metadata(dict[str, Any]):
    """What `_load_from_state_dict` is told of a module, and what it is to copy in the end."""

    def __init__(self, known: Mapping[str, Any], pending: list[tuple[Any, Any]], assign: bool):
        super().__init__(known)
        self["assign_to_params_buffers"] = assign
        self.pending = pending


class Saved(Converted):
    """A tree that gives and takes state dicts."""

    _version: int = 1
    _state_hooks: StateHooks | None = None

    # -- giving --------------------------------------------------------------------------------

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> Any:
        """The parameters and persistent buffers by dotted name, sharing the module's memory."""
        for name, given in zip(("destination", "prefix", "keep_vars"), args, strict=False):
            destination = given if name == "destination" else destination
            prefix = given if name == "prefix" else prefix
            keep_vars = given if name == "keep_vars" else keep_vars
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local
        hooks = self._state_hooks
        for hook in list(hooks.saving.values()) if hooks else ():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        for hook in list(hooks.saved.values()) if hooks else ():
            changed = hook(self, destination, prefix, local)
            destination = destination if changed is None else changed
        return destination

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Put the module's own tensors into a state dict; a subclass may put others."""
        for name, tensor in self._own_tensors():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if self._has_extra("get_extra_state"):
            destination[prefix + EXTRA] = self.get_extra_state()

    def _own_tensors(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self._parameters.items():
            if parameter is not None:
                yield name, parameter
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._transient:
                yield name, buffer

    def _has_extra(self, method: str) -> bool:
        return getattr(type(self), method) is not getattr(Saved, method)

    def get_extra_state(self) -> Any:
        """What else a state dict holds, under `_extra_state`; a subclass that has some defines this
        and `set_extra_state`."""
        raise RuntimeError(f"{type(self).__name__} does not define get_extra_state")

    def set_extra_state(self, state: Any) -> None:
        """Take what `get_extra_state` gave."""
        raise RuntimeError(f"{type(self).__name__} does not define set_extra_state")

    # -- taking --------------------------------------------------------------------------------

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy the tensors of `state_dict` into this module.

        With `strict`, missing and unexpected names are a RuntimeError; shapes that don't fit always
        are. Nothing is written when there is an error. `assign` takes the tensors themselves.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"expected a state dict, got {type(state_dict).__name__}")
        loading = _Loading(state_dict, strict, assign)
        loading.module(self, OrderedDict(state_dict), "")
        problems = list(loading.problems)
        if strict:
            problems = key_problems(loading, self._known_names()) + problems
        if problems:
            listed = "\n\t".join(problems)
            raise RuntimeError(
                f"error(s) in loading state_dict for {type(self).__name__}:\n\t{listed}"
            )
        with no_grad():
            for write, given in loading.pending:
                write(given)
        if assign:
            epoch.bump()
        return IncompatibleKeys(loading.missing, loading.unexpected)

    def _known_names(self) -> list[str]:
        return [name for name, _ in (*self.named_parameters(), *self.named_buffers())]

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Take the module's own tensors out of a state dict; a subclass may change that first."""
        hooks = self._state_hooks
        told = (local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        for key, hook in list(hooks.loading.items()) if hooks else ():
            first = () if hooks and key in hooks.without_module else (self,)
            hook(*first, state_dict, prefix, *told)
        pending: list[tuple[Any, Any]] = []
        take = bool(local_metadata.get("assign_to_params_buffers", False))
        own = dict(self._own_tensors())
        for name, target in own.items():
            if prefix + name in state_dict:
                given = state_dict[prefix + name]
                problem = fit_problem(prefix + name, target, given)
                if problem:
                    error_msgs.append(problem)
                else:
                    pending.append((writer(target, take), given))
            elif strict:
                missing_keys.append(prefix + name)
        extra = self._has_extra("set_extra_state")
        if extra and prefix + EXTRA in state_dict:
            pending.append((self.set_extra_state, state_dict[prefix + EXTRA]))
        elif extra and strict:
            missing_keys.append(prefix + EXTRA)
        if strict:
            known = {*own, *self._modules, *((EXTRA,) if extra else ())}
            unexpected_keys += [key for key in state_dict if _is_unknown(key, prefix, known, own)]
        if isinstance(local_metadata, Metadata):
            local_metadata.pending.extend(pending)
            return
        with no_grad():
            for write, given in pending:
                write(given)

    # -- hooks ---------------------------------------------------------------------------------

    def _hooks_of_state(self) -> StateHooks:
        if self._state_hooks is None:
            self.__dict__["_state_hooks"] = StateHooks()
        return self._state_hooks  # type: ignore[return-value]  # made above

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before `state_dict` takes the tensors."""
        return self._hooks_of_state().saving.add(hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after `state_dict` took the
        tensors; it may change the dictionary."""
        return self._hooks_of_state().saved.add(hook)

    _register_state_dict_hook = register_state_dict_post_hook

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)`` before the module takes its tensors."""
        return self._hooks_of_state().loading.add(hook)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        hooks = self._hooks_of_state()
        handle = hooks.loading.add(hook)
        if not with_module:
            hooks.without_module.add(handle.key)
        return handle

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after the module took its tensors; it may change
        the lists."""
        return self._hooks_of_state().loaded.add(hook)


def _is_unknown(key: str, prefix: str, known: set[str], own: Mapping[str, Any]) -> bool:
    """Whether a key is below a module and means nothing to it."""
    if not key.startswith(prefix):
        return False
    first, dot, _ = key[len(prefix) :].partition(".")
    return first not in known or (bool(dot) and first in own)


class _Loading:
    """One call of `load_state_dict`: what was found, and what is to be copied in the end."""

    def __init__(self, state: Any, strict: bool, assign: bool) -> None:
        self.metadata = getattr(state, "_metadata", None) or {}
        self.strict, self.assign = strict, assign
        self.missing: list[str] = []
        self.unexpected: list[str] = []
        self.problems: list[str] = []
        self.pending: list[tuple[Any, Any]] = []

    def module(self, module: Saved, state: Any, prefix: str) -> None:
        """Let a module and those below it take their tensors."""
        local = Metadata(self.metadata.get(prefix[:-1], {}), self.pending, self.assign)
        module._load_from_state_dict(
            state, prefix, local, True, self.missing, self.unexpected, self.problems
        )
        for name, child in module._modules.items():
            if child is not None:
                below = f"{prefix}{name}."
                own = OrderedDict((k, v) for k, v in state.items() if k.startswith(below))
                self.module(child, own, below)
        hooks = module._state_hooks
        for hook in list(hooks.loaded.values()) if hooks else ():
            hook(module, IncompatibleKeys(self.missing, self.unexpected))


def fit_problem(name: str, target: Tensor, given: Any) -> str:
    """A line for a tensor of a state dict that does not fit the module's; nothing if it does."""
    shape = getattr(given, "shape", None)
    if shape is None:
        return f"{name}: expected a tensor, got {type(given).__name__}"
    if tuple(shape) == tuple(target.shape):
        return ""
    return (
        f"size mismatch for {name}: shape {shape_text(shape)} in the state dict, "
        f"{shape_text(target.shape)} in the module"
    )


def key_problems(loading: _Loading, own: list[str]) -> list[str]:
    """A line for the unexpected names, and one for the missing ones."""
    problems = []
    if loading.unexpected:
        listed = ", ".join(f"{n!r}{did_you_mean(n, own)}" for n in loading.unexpected)
        problems.append(f"unexpected key(s) in state_dict: {listed}")
    if loading.missing:
        listed = ", ".join(map(repr, loading.missing))
        problems.append(f"missing key(s) in state_dict: {listed}")
    return problems


def writer(target: Tensor, take: bool) -> Callable[[Any], None]:
    """What copies a tensor into a module's, or lets the module's take over its memory."""

    def write(given: Any) -> None:
        source = given if isinstance(given, Tensor) else ops.contiguous(given)
        source = source.detach()
        if take:
            target.data = source
            return
        if source.dtype is not target.dtype:
            source = ops.cast(source, target.dtype)
        if target.layout is not strided or source.layout is not strided:
            target.copy_(source)  # a sparse tensor takes the places of the other, too
            return
        assign(target, source, "load_state_dict")

    return write
