"""Optimizer: parameter groups, state, and one update rule for each parameter."""

from __future__ import annotations

import difflib
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from argand.base import epoch
from argand.base.errors import ArgumentError, TraceError
from argand.base.misuse import explained
from argand.base.notices import notice
from argand.base.stateful import OptimizerState
from argand.ir import bind as crossroads
from argand.ir.bind import eagerly, tracing
from argand.ir.op import ops
from argand.optim.group import ParamGroup
from argand.optim.hooks import (
    Hooks,
    hooked,
    register,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from argand.optim.rules import number_dtype
from argand.optim.saved import restore, saved_groups, saved_states
from argand.optim.state import RealParts, State, States
from argand.tensor.core import Tensor, wrap
from argand.tensor.eager import check_writable
from argand.tensor.inplace import assign
from argand.transform.hooks import RemovableHandle
from argand.transform.mode import enable_grad, no_grad

__all__ = [
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]


class _Required:
    """Stands for the default of an option that every group has to give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


class Optimizer:
    """Base of all optimizers, as `torch.optim.Optimizer`.

    A subclass passes its defaults to `__init__` and defines `update(p, g, state, group)`, which is
    called under `no_grad` for every parameter that has a gradient and writes the parameter and its
    state in place. Written with tensor operations, it is traced into a compiled step as it stands.

    With `counts`, every parameter's state has the number of its steps, ``step``. Parameters of a
    group that have always been updated together share that tensor.

    >>> class SignDescent(optim.Optimizer):
    ...     def __init__(self, params, lr=0.1):
    ...         super().__init__(params, {"lr": lr})
    ...     def update(self, p, g, state, group):
    ...         p.sub_(g.sign() * group["lr"])
    >>> w = nn.Parameter(ag.tensor([1.0]))
    >>> w.grad = ag.tensor([5.0])
    >>> SignDescent([w]).step()
    >>> w.detach()
    tensor([0.9000])
    """

    counts: bool = False
    unsaved: tuple[str, ...] = ()  # keys of the state that state_dict leaves out

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in vars(cls):
            cls.step = hooked(explained(cls.step))  # type: ignore[method-assign]  # wrapped on purpose

    def __init__(self, params: Any, defaults: Mapping[str, Any]) -> None:
        self.defaults: dict[str, Any] = dict(defaults)
        self.state: defaultdict[Any, Any] = States(State)
        self.param_groups: list[ParamGroup] = []
        self.hooks = Hooks()
        self.stepping = False
        self._derived: dict[tuple[int, int], Any] = {}  # within one step
        self._trace: tuple[Any, set[int]] | None = None
        groups = _groups_of(params)
        if not groups or (len(groups) == 1 and not groups[0]["params"]):
            raise ValueError("optimizer got an empty parameter list")
        for group in groups:
            self.add_param_group(group)

    def __argand_state__(self) -> OptimizerState | None:
        """What compiled functions see of the optimizer; None before `__init__`."""
        groups = vars(self).get("param_groups")
        if groups is None:
            return None
        return OptimizerState(self.state, [group.__argand_state__() for group in groups])

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters with hyper-parameters of their own: ``{"params": ..., "lr": ...}``."""
        if not isinstance(param_group, Mapping):
            raise TypeError(f"a parameter group is a dict, got {type(param_group).__name__}")
        group = dict(param_group)
        given = group["params"]
        group["params"] = [given] if isinstance(given, Tensor) else _named_or_not(given, group)
        for p in group["params"]:
            _check_parameter(p, bool(self.defaults.get("differentiable")))
        self._check_options(group)
        taken = {id(p) for g in self.param_groups for p in g["params"]}
        here = [id(p) for p in group["params"]]
        if taken & set(here):
            raise ValueError("some parameters appear in more than one parameter group")
        if len(set(here)) != len(here):
            notice("a parameter is several times in a group: each step updates it as often")
        self.param_groups.append(ParamGroup({**group, **self._options(group)}))
        epoch.bump()

    def _options(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a group, those that it doesn't give by default."""
        options = {k: group.get(k, v) for k, v in self.defaults.items()}
        missing = [k for k, v in options.items() if v is required]
        if missing:
            raise ValueError(f"a parameter group must give {missing[0]!r}")
        return options

    def _check_options(self, group: Mapping[str, Any]) -> None:
        """Refuse an option that is another one misspelled; others are the user's own."""
        for key in group:
            near = difflib.get_close_matches(key, list(self.defaults), n=1, cutoff=0.85)
            if near and key not in {*self.defaults, "params", "param_names"}:
                raise ArgumentError(
                    f"{type(self).__name__} has no option {key!r}; did you mean {near[0]}?"
                )
        named = [("param_names" in g) for g in (*self.param_groups, group)]
        if any(named) and not all(named):
            raise ValueError("either all parameter groups have names or none")

    # -- the step --------------------------------------------------------------------------------

    @hooked
    @explained
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns what `closure` returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._derived.clear()
        recorded = bool(self.defaults.get("differentiable"))
        with enable_grad() if recorded else no_grad():
            for group in self.param_groups:
                pairs = [(p, g) for p in group["params"] if (g := p.grad) is not None]
                for turn in _turns(pairs):
                    self._turn(turn, group, recorded)
        return loss

    def _turn(self, pairs: list[tuple[Any, Any]], group: ParamGroup, recorded: bool) -> None:
        """Update parameters of a group, each of them once."""
        if self.counts:
            with no_grad():
                self._count(group, [p for p, _ in pairs])
        for p, g in pairs:
            if recorded:
                check_writable(p)
            self._update(p, ops.neg(g) if group.option("maximize") else g, group)
        self._derived.clear()

    def _update(self, p: Any, g: Any, group: ParamGroup) -> None:
        """Update one parameter; a complex one by its real and imaginary parts."""
        self.update(seen(p), seen(g), self.parts(p), group)

    def parts(self, p: Any) -> Any:
        """The state of a parameter as `update` takes it."""
        return RealParts(self.state[p]) if p.dtype.is_complex else self.state[p]

    def _count(self, group: ParamGroup, moving: list[Any]) -> None:
        """Advance the step of the parameters that are updated now."""
        chosen = set(map(id, moving))
        clocks: dict[int, tuple[Any, list[Any]]] = {}
        for p in group["params"]:
            step = self.state[p].get("step") if p in self.state else None
            if step is not None or id(p) in chosen:
                clocks.setdefault(id(step), (step, []))[1].append(p)
        for step, members in clocks.values():
            going = [p for p in members if id(p) in chosen]
            if going and (step is None or len(going) < len(members)):
                step = self._part(step, going)
            if going:
                assign(step, ops.add(step, 1))
                self._note(step)

    def _part(self, step: Any, going: list[Any]) -> Any:
        """A step of their own for parameters that are new, or leave others behind."""
        if step is not None and tracing() and id(step) in self._traced_steps():
            raise TraceError(
                "a compiled function steps an optimizer twice, for different parameters; step it "
                "once eagerly for the smaller set first, or use an optimizer for each set"
            )
        with eagerly():  # real memory, with the count from before this call
            count = 0.0 if step is None else step._array
            own = wrap(np.array(count, number_dtype()))
        if step is not None:
            epoch.bump()
        for p in going:
            self.state[p]["step"] = own
        return own

    def _note(self, step: Any) -> None:
        """Remember, while tracing, that this trace advanced a step."""
        if tracing():
            self._traced_steps().add(id(step))

    def _traced_steps(self) -> set[int]:
        """The steps that the present trace advanced, by id."""
        tracer = crossroads.current()
        if self._trace is None or self._trace[0]() is not tracer:
            self._trace = (weakref.ref(tracer), set())
        return self._trace[1]

    def derived(self, state: Any, group: ParamGroup, make: Any) -> Any:
        """``make(group, t)`` for step t, once for all parameters that share the step.

        Outside a trace t is a number, inside a 0-d float64 tensor, like the hyper-parameters.
        """
        step = state["step"]
        key = (id(group), id(step))
        if key not in self._derived:
            t = ops.cast(step, "float64") if tracing() else float(step._array)
            self._derived[key] = make(group, t)
        return self._derived[key]

    def update(self, p: Any, g: Any, state: Any, group: ParamGroup) -> None:
        """Update one parameter from its gradient."""
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None  # unread, so that a compiled step needn't care what it was
                elif p.grad is not None:
                    with no_grad():
                        p.grad = ops.full(tuple(p.shape), 0, p.dtype)

    # -- saving ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The state by parameter number and the groups with numbers for parameters.

        Its keys are PyTorch's, and `load_state_dict` takes what PyTorch saved. Its tensors are
        those of the optimizer, but for the number of steps, of which each parameter gets a copy.
        """
        for hook in list(self.hooks.before_saving.values()):
            hook(self)
        numbers: dict[int, int] = {}
        groups, first = [], 0
        for group in self.param_groups:
            packed = {k: v for k, v in group.items() if k != "params"}
            numbers |= {id(p): i for i, p in enumerate(group["params"], first)}
            packed["params"] = [numbers[id(p)] for p in group["params"]]
            first += len(group["params"])
            groups.append(packed)
        states = (
            (p, self.state[p]) for g in self.param_groups for p in g["params"] if p in self.state
        )
        state = {
            numbers[id(p)]: {k: _own(k, v) for k, v in s.items() if k not in self.unsaved}
            for p, s in states
            if s
        }
        saved = {"state": state, "param_groups": groups}
        for hook in list(self.hooks.after_saving.values()):
            changed = hook(self, saved)
            saved = saved if changed is None else changed
        return saved

    @explained
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned, copied into this optimizer's memory.

        Nothing is changed when there is an error.
        """
        for hook in list(self.hooks.before_loading.values()):
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        groups, saved = self.param_groups, saved_groups(state_dict, self.param_groups)
        by_number = {
            int(n): p
            for group, other in zip(groups, saved, strict=True)
            for n, p in zip(other["params"], group["params"], strict=True)
        }
        states = saved_states(state_dict, by_number, self.state_shape)
        for group, other in zip(groups, saved, strict=True):
            group.update({k: v for k, v in other.items() if k != "params"})
        self._restore(states)
        epoch.bump()
        for hook in list(self.hooks.after_loading.values()):
            hook(self)

    def _restore(self, states: list[tuple[Any, Any]]) -> None:
        """Make the state of every parameter the saved one, empty where none was saved."""
        steps = {}
        for p, values in states:
            if self.counts and "step" in values:
                steps[p] = float(values["step"])
            kept = {k: v for k, v in self.state[p].items() if k == "step" and p in steps}
            restore(self.state[p], {**kept, **self.resumed(values, p)}, p)
        loaded = {id(p) for p, _ in states}
        for p in [p for p in self.state if id(p) not in loaded]:
            del self.state[p]
        for group in self.param_groups:
            own = dict.fromkeys(group["params"])
            self._set_steps([(p, steps[p]) for p in own if p in steps])

    def resumed(self, values: Mapping[str, Any], p: Any) -> dict[str, Any]:
        """The state to take over from what was saved of a parameter, but for a step that counts."""
        return {k: v for k, v in values.items() if k != "step" or not self.counts}

    def state_shape(self, key: str, p: Any) -> tuple[int, ...] | None:
        """The shape that the state `key` of a parameter has unless it is 0-d; None for any, as
        with a `step` of its own."""
        return tuple(p.shape) if type(self).step is Optimizer.step else None

    def _set_steps(self, counts: list[tuple[Any, float]]) -> None:
        """Give parameters of a group their steps; equal ones share a tensor."""
        clocks: dict[int, tuple[Any, set[float]]] = {}
        for p, count in counts:
            now = self.state[p].get("step")
            clocks.setdefault(id(now), (now, set()))[1].add(count)
        fresh: dict[float, Tensor] = {}
        for p, count in counts:
            now = self.state[p].get("step")
            if now is not None and len(clocks[id(now)][1]) == 1:
                now.numpy_array()[...] = count
                now._wrote()
                continue
            if count not in fresh:
                fresh[count] = wrap(np.array(count, number_dtype()))
            self.state[p]["step"] = fresh[count]

    # -- hooks -----------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Any) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return new ones."""
        return register(self.hooks.before_step, hook)

    def register_step_post_hook(self, hook: Any) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return register(self.hooks.after_step, hook)

    def register_state_dict_pre_hook(self, hook: Any, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` before `state_dict`."""
        return register(self.hooks.before_saving, hook, prepend)

    def register_state_dict_post_hook(self, hook: Any, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` after `state_dict`; it may return another one."""
        return register(self.hooks.after_saving, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Any, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before loading; it may return another one."""
        return register(self.hooks.before_loading, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Any, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` after loading."""
        return register(self.hooks.after_loading, hook, prepend)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {v}" for k, v in sorted(group.items()) if k != "params"]
        return "\n".join([*lines, ")"])


def seen(t: Any) -> Any:
    """A tensor as `update` takes it: a complex one by its real and imaginary parts."""
    return ops.view_as_real(t) if t.dtype.is_complex else t


def _turns(pairs: list[tuple[Any, Any]]) -> list[list[tuple[Any, Any]]]:
    """Parameters and gradients, those that come again in turns of their own."""
    if len({id(p) for p, _ in pairs}) == len(pairs):
        return [pairs]
    turns: list[list[tuple[Any, Any]]] = []
    seen_before: Counter[int] = Counter()
    for p, g in pairs:
        number = seen_before[id(p)]
        seen_before[id(p)] += 1
        turns[number:] = turns[number:] or [[]]
        turns[number].append((p, g))
    return turns


def _groups_of(params: Any) -> list[dict[str, Any]]:
    if isinstance(params, Tensor):
        raise TypeError("an optimizer takes an iterable of parameters, got one Tensor; use [p]")
    listed = list(params)
    if listed and isinstance(listed[0], Mapping):
        return [dict(g) for g in listed]
    return [{"params": listed}]


def _named_or_not(given: Iterable[Any], group: dict[str, Any]) -> list[Any]:
    """The parameters of a list that may hold (name, parameter) pairs."""
    if isinstance(given, set):
        raise TypeError("parameters in a set have another order in every run; give a list")
    listed = list(given)
    named = [isinstance(p, tuple) and len(p) == 2 for p in listed]
    if any(named) and not all(named):
        raise ValueError("either all parameters have names or none; some of these have none")
    if listed and named[0]:
        group["param_names"] = [n for n, _ in listed]
        return [p for _, p in listed]
    return listed


def _own(key: str, value: Any) -> Any:
    """A state as it is saved. Parameters share the count of their steps, which PyTorch advances in
    place for each of them: one tensor for all would be advanced several times."""
    return value.detach().clone() if key == "step" and isinstance(value, Tensor) else value


def _check_parameter(p: Any, differentiable: bool) -> None:
    if not isinstance(p, Tensor):
        raise TypeError(f"an optimizer can only optimize Tensors, got {type(p).__name__}")
    if not (p.is_leaf or differentiable):
        raise ValueError("can't optimize a tensor that is the result of an operation")
