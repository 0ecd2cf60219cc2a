"""Functions called around a module's `forward`, and with the gradients of its backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from argand.base import epoch
from argand.tensor.autograd import RemovableHandle
from argand.tensor.core import Tensor
from argand.transform.custom import Function
from argand.transform.mode import mode


class Hooks:
    """What few modules have: functions called around `forward`, and a compiled forward.

    Each function stands with whether it takes the keyword arguments too.
    """

    def __init__(self) -> None:
        self.before: dict[int, tuple[Any, bool]] = {}
        self.after: dict[int, tuple[Any, bool]] = {}
        self.gradients: dict[int, tuple[Any, bool]] = {}
        self.compiled: Any = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Hooks:
        made = Hooks()  # a compiled forward is of the module that it was made for
        made.before, made.after = dict(self.before), dict(self.after)
        made.gradients = dict(self.gradients)
        return made

    def functions(self) -> list[Any]:
        """All that is called around the module's `forward`, or instead of it."""
        every = (*self.before.values(), *self.after.values(), *self.gradients.values())
        found = [hook for hook, _ in every]
        return found if self.compiled is None else [*found, self.compiled]

    def call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call `forward` with everything that is registered."""
        for hook, with_kwargs in list(self.before.values()):
            changed = hook(module, args, kwargs) if with_kwargs else hook(module, args)
            if changed is not None and with_kwargs:
                args, kwargs = changed
            elif changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        watch = _Watch(module, self.gradients) if self.gradients and mode.enabled else None
        if watch is not None:
            args = watch.inputs(args)
        result = (self.compiled or module.forward)(*args, **kwargs)
        for hook, with_kwargs in list(self.after.values()):
            more = (args, kwargs, result) if with_kwargs else (args, result)
            changed = hook(module, *more)
            result = result if changed is None else changed
        return result if watch is None else watch.outputs(result)


def register(
    hooks: dict[int, tuple[Any, bool]], hook: Any, prepend: bool, with_kwargs: bool = False
) -> RemovableHandle:
    """Add a hook after the others, or before them."""
    handle = RemovableHandle(hooks)
    before = list(hooks.items()) if prepend else []
    if prepend:
        hooks.clear()
    hooks[handle.key] = (hook, with_kwargs)
    hooks.update(before)
    epoch.bump()
    return handle


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

    def __init__(self, module: Any, hooks: dict[int, tuple[Any, bool]]) -> None:
        self.module, self.hooks = module, hooks
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
        self.given = grads
        if not self.waiting:
            self._tell((None,) * self.arity)
        return grads

    def _received(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        return self._tell(grads)

    def _tell(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook, _ in list(self.hooks.values()):
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
