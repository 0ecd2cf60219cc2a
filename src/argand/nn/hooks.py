"""Functions called around a module's `forward`, and with the gradients of its backward."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from argand.base import epoch
from argand.tensor.core import Tensor
from argand.transform.custom import Function
from argand.transform.hooks import RemovableHandle
from argand.transform.mode import mode


class HookTable(dict[int, Any]):
    """Hooks by their numbers; a change of them is one of the model."""

    def __setitem__(self, key: int, hook: Any) -> None:
        super().__setitem__(key, hook)
        epoch.bump()

    def __delitem__(self, key: int) -> None:
        super().__delitem__(key)
        epoch.bump()

    def clear(self) -> None:
        """Take all away."""
        super().clear()
        epoch.bump()

    def add(self, hook: Any, prepend: bool = False) -> RemovableHandle:
        """Add a hook after the others, or before them."""
        handle = RemovableHandle(self)
        before = dict(self) if prepend else {}
        if prepend:
            self.clear()
        self[handle.key] = hook
        self.update(before)
        return handle


class Hooks:
    """What few modules have: functions called around `forward`, and a compiled forward.

    `with_kwargs` has the numbers of the hooks that take keyword arguments too, `always` of those
    that are called after an error as well.
    """

    def __init__(self) -> None:
        self.before, self.after = HookTable(), HookTable()
        self.gradients, self.gradients_before = HookTable(), HookTable()
        self.with_kwargs: set[int] = set()
        self.always: set[int] = set()
        self.compiled: Any = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Hooks:
        made = Hooks()  # a compiled forward is of the module that it was made for
        for mine, other in zip(made._tables(), self._tables(), strict=True):
            mine.update(copy.deepcopy(dict(other), memo))  # a method is one of the copy
        made.with_kwargs, made.always = set(self.with_kwargs), set(self.always)
        return made

    def _tables(self) -> tuple[HookTable, ...]:
        return self.before, self.after, self.gradients, self.gradients_before

    def functions(self) -> list[Any]:
        """All that is called around the module's `forward`, or instead of it."""
        owners = (self,) if self is of_all_modules else (of_all_modules, self)
        found = [hook for own in owners for table in own._tables() for hook in table.values()]
        return found if self.compiled is None else [*found, self.compiled]

    def call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call `forward` with everything that is registered."""
        always, after = self.always | of_all_modules.always, of_all_modules.after | self.after
        if not always:
            return self._call(module, args, kwargs, [])
        called: list[int] = []
        try:
            return self._call(module, args, kwargs, called)
        except Exception:
            for key in always.intersection(after).difference(called):
                given = (args, kwargs, None) if self._takes_kwargs(key) else (args, None)
                after[key](module, *given)
            raise

    def _takes_kwargs(self, key: int) -> bool:
        return key in self.with_kwargs or key in of_all_modules.with_kwargs

    def _call(
        self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], called: list[int]
    ) -> Any:
        for key, hook in (of_all_modules.before | self.before).items():
            with_kwargs = self._takes_kwargs(key)
            changed = hook(module, args, kwargs) if with_kwargs else hook(module, args)
            if changed is not None and with_kwargs:
                args, kwargs = changed
            elif changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        gradients = of_all_modules.gradients | self.gradients
        gradients_before = of_all_modules.gradients_before | self.gradients_before
        watched = mode.enabled and (gradients or gradients_before)
        watch = _Watch(module, gradients, gradients_before) if watched else None
        if watch is not None:
            args = watch.inputs(args)
        result = (self.compiled or module.forward)(*args, **kwargs)
        for key, hook in (of_all_modules.after | self.after).items():
            called.append(key)
            more = (args, kwargs, result) if self._takes_kwargs(key) else (args, result)
            changed = hook(module, *more)
            result = result if changed is None else changed
        return result if watch is None else watch.outputs(result)


of_all_modules = Hooks()
"""What is called around every module's `forward`, before its own."""


class _Gate(Function):
    """Tensors as they are; their gradients go together through a function."""

    @staticmethod
    def forward(ctx: Any, through: Callable[..., Any], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.through = through
        ctx.set_materialize_grads(False)
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        return (None, *ctx.through(grads))


class _Watch:
    """One call of a module whose gradients somebody wants to see: a gate before, a gate after."""

    def __init__(self, module: Any, hooks: dict[int, Any], before: dict[int, Any]) -> None:
        self.module, self.hooks, self.before = module, hooks, before
        self.waiting = False  # for the gradients of the inputs
        self.arity = 0
        self.given: tuple[Any, ...] = ()

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments behind the first gate."""
        self.arity = len(args)
        self.waiting = any(isinstance(a, Tensor) and a.requires_grad for a in args)
        return _gated(args, self._received) if self.waiting else args

    def outputs(self, result: Any) -> Any:
        """The results behind the second gate."""
        if isinstance(result, Tensor):
            return _gated((result,), self._gave)[0]
        if isinstance(result, tuple | list) and not hasattr(result, "_fields"):
            return type(result)(_gated(result, self._gave))
        return result

    def _gave(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in list(self.before.values()):
            changed = hook(self.module, grads)
            if changed is not None:
                grads = changed if isinstance(changed, tuple) else (changed,)
        self.given = grads
        if not self.waiting:
            self._tell((None,) * self.arity)
        return grads

    def _received(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        return self._tell(grads)

    def _tell(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in list(self.hooks.values()):
            changed = hook(self.module, grads, self.given)
            if changed is not None:
                grads = changed if isinstance(changed, tuple) else (changed,)
        return grads


def _gated(values: Sequence[Any], through: Callable[..., Any]) -> tuple[Any, ...]:
    """The tensors among `values` behind a gate; `through` sees a gradient (or None) for each
    value."""
    places = [i for i, v in enumerate(values) if isinstance(v, Tensor)]

    def spread(grads: tuple[Any, ...]) -> tuple[Any, ...]:
        known = dict(zip(places, grads, strict=True))
        found = through(tuple(known.get(i) for i in range(len(values))))
        return tuple(found[i] for i in places)

    passed = dict(zip(places, _Gate.apply(spread, *(values[i] for i in places)), strict=True))
    return tuple(passed.get(i, v) for i, v in enumerate(values))
