"""Optimizer: parameter groups, state, and one update rule for each parameter."""

from __future__ import annotations

import math
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from argand.base import epoch
from argand.base.domains import check_numbers
from argand.base.errors import ArgumentError, TraceError, did_you_mean
from argand.base.misuse import explained
from argand.base.stateful import OptimizerState
from argand.ir import bind as crossroads
from argand.ir.bind import eagerly, tracing
from argand.ir.op import ops
from argand.optim.group import ParamGroup
from argand.optim.saved import array_of, saved_groups, saved_states
from argand.optim.state import State, States
from argand.tensor.core import Tensor, wrap
from argand.tensor.inplace import assign
from argand.transform.mode import enable_grad, no_grad


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

    def __init__(self, params: Any, defaults: Mapping[str, Any]) -> None:
        self.defaults: dict[str, Any] = dict(defaults)
        self.state: defaultdict[Any, Any] = States(State)
        self.param_groups: list[ParamGroup] = []
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
        group = dict(param_group)
        given = group["params"]
        group["params"] = [given] if isinstance(given, Tensor) else _named_or_not(given, group)
        for p in group["params"]:
            _check_parameter(p)
        unknown = [k for k in group if k not in {*self.defaults, "params", "param_names"}]
        if unknown:
            near = did_you_mean(unknown[0], self.defaults)
            raise ArgumentError(f"{type(self).__name__} has no option {unknown[0]!r}{near}")
        taken = {id(p) for g in self.param_groups for p in g["params"]}
        here = [id(p) for p in group["params"]]
        if taken & set(here) or len(set(here)) != len(here):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(
            ParamGroup({**group, **{k: group.get(k, v) for k, v in self.defaults.items()}})
        )
        epoch.bump()

    # -- the step --------------------------------------------------------------------------------

    @explained
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns what `closure` returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._derived.clear()
        with no_grad():
            for group in self.param_groups:
                pairs = [(p, g) for p in group["params"] if (g := p.grad) is not None]
                if self.counts:
                    self._count(group, [p for p, _ in pairs])
                for p, g in pairs:
                    g = ops.neg(g) if group.option("maximize") else g
                    self.update(p, g, self.state[p], group)
        self._derived.clear()
        return loss

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
            own = wrap(np.array(count, np.float32))
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

    def derived(self, state: dict[str, Any], group: ParamGroup, make: Any) -> Any:
        """``make(group, t)`` for step t, once for all parameters that share the step.

        Outside a trace t is a number, inside a 0-d float64 tensor, like the hyper-parameters.
        """
        step = state["step"]
        key = (id(group), id(step))
        if key not in self._derived:
            t = ops.cast(step, "float64") if tracing() else float(step._array)
            self._derived[key] = make(group, t)
        return self._derived[key]

    def update(self, p: Any, g: Any, state: dict[str, Any], group: ParamGroup) -> None:
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
        """The state by parameter number and the groups with numbers for parameters."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            packed = {k: v for k, v in group.items() if k != "params"}
            packed["params"] = [numbers.setdefault(id(p), len(numbers)) for p in group["params"]]
            groups.append(packed)
        state = {numbers[id(p)]: dict(s) for p, s in self.state.items() if id(p) in numbers}
        return {"state": state, "param_groups": groups}

    @explained
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned, copied into this optimizer's memory.

        Nothing is changed when there is an error.
        """
        groups, saved = self.param_groups, saved_groups(state_dict, self.param_groups)
        by_number = {
            int(n): p
            for group, other in zip(groups, saved, strict=True)
            for n, p in zip(other["params"], group["params"], strict=True)
        }
        states = saved_states(state_dict, by_number)
        for group, other in zip(groups, saved, strict=True):
            group.update({k: v for k, v in other.items() if k != "params"})
        steps = {}
        for p, values in states:
            _restore(self.state[p], {k: v for k, v in values.items() if k != "step"}, p)
            if "step" in values:
                steps[p] = float(values["step"])
        for group in groups:
            self._set_steps([(p, steps[p]) for p in group["params"] if p in steps])
        epoch.bump()

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
                fresh[count] = wrap(np.array(count, np.float32))
            self.state[p]["step"] = fresh[count]

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {v}" for k, v in sorted(group.items()) if k != "params"]
        return "\n".join([*lines, ")"])


def _groups_of(params: Any) -> list[dict[str, Any]]:
    if isinstance(params, Tensor):
        raise TypeError("an optimizer takes an iterable of parameters, got one Tensor; use [p]")
    listed = list(params)
    if listed and isinstance(listed[0], Mapping):
        return [dict(g) for g in listed]
    return [{"params": listed}]


def _named_or_not(given: Iterable[Any], group: dict[str, Any]) -> list[Any]:
    """The parameters of a list that may hold (name, parameter) pairs."""
    listed = list(given)
    if listed and all(isinstance(p, tuple) and len(p) == 2 for p in listed):
        group["param_names"] = [n for n, _ in listed]
        return [p for _, p in listed]
    return listed


def _check_parameter(p: Any) -> None:
    if not isinstance(p, Tensor):
        raise TypeError(f"an optimizer can only optimize Tensors, got {type(p).__name__}")
    if not p.is_leaf:
        raise ValueError("can't optimize a tensor that is the result of an operation")


def _restore(state: dict[str, Any], values: Mapping[str, Any], p: Any) -> None:
    for key, value in values.items():
        array = array_of(value)
        if array is None:
            state[key] = value
            continue
        dtype = p.dtype.numpy if array.dtype.kind == "f" else array.dtype
        now = state.get(key)
        if isinstance(now, Tensor) and tuple(now.shape) == array.shape:
            now.numpy_array()[...] = array
            now._wrote()
        else:
            state[key] = wrap(np.array(array, dtype))


# -- what update rules share ---------------------------------------------------------------------


def fresh(state: dict[str, Any], key: str, like: Any, value: float = 0.0) -> Any:
    """The state tensor `key` in the shape of `like`; made as real memory, also inside a trace."""
    found = state.get(key)
    if found is None:
        with eagerly():
            shape = tuple(int(s) for s in like.shape)
            found = state[key] = wrap(np.full(shape, value, like.dtype.numpy))
    return found


def root(x: Any) -> Any:
    """The square root of a number or a 0-d tensor."""
    return math.sqrt(x) if isinstance(x, float) else ops.sqrt(x)


def decayed(p: Any, g: Any, group: ParamGroup) -> Any:
    """The gradient with the weight decay's added: g + weight_decay * p."""
    if not group.option("weight_decay"):
        return g
    return ops.add(g, ops.mul(p, group["weight_decay"]))


def check_betas(betas: Any) -> None:
    """Refuse factors of running means outside [0, 1)."""
    check_numbers("[0, 1)", **{f"betas[{i}]": beta for i, beta in enumerate(betas)})
