"""L-BFGS: steps along an approximate Newton direction, made of the last gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.domains import check_counts, check_numbers
from argand.base.errors import ArgumentError, CallError, TraceError
from argand.ir.bind import tracing
from argand.ir.op import ops
from argand.optim.line_search import Point, strong_wolfe
from argand.optim.optimizer import Optimizer, seen
from argand.tensor.inplace import assign
from argand.transform.mode import enable_grad, no_grad


class LBFGS(Optimizer):
    """Steps along -H g, with H an estimate of the inverse Hessian by the last `history_size` steps.

    ``step(closure)`` makes up to `max_iter` iterations with up to `max_eval` calls of the closure
    (`max_iter` * 5 / 4), each of the length lr, or found by a line search with
    ``line_search_fn="strong_wolfe"``. It ends early where no gradient is larger than
    `tolerance_grad` or nothing changes by more than `tolerance_change`. All parameters form one
    group. What it does next depends on values, so it can't be compiled. Nocedal and Wright (2006),
    as `torch.optim.LBFGS`.

    >>> w = nn.Parameter(ag.tensor([3.0, -2.0]))
    >>> opt = optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     opt.zero_grad()
    ...     loss = ((w - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> _ = opt.step(closure)
    >>> w.detach()
    tensor([1.0000, 1.0000])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_numbers("[0, inf]", lr=lr)
        check_counts(0, max_iter=max_iter, history_size=history_size)
        if line_search_fn not in (None, "strong_wolfe"):
            raise ArgumentError(
                f"LBFGS: line_search_fn must be None or 'strong_wolfe', got {line_search_fn!r}"
            )
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS takes one group of parameters")

    def state_shape(self, key: str, p: Any) -> tuple[int, ...] | None:
        """The state is of all parameters together."""
        return None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make the iterations of one step; returns the first value of `closure`."""
        if tracing():
            raise TraceError(
                "LBFGS decides by values what it does next, and a compiled function doesn't know "
                "them; step it outside, and compile the closure"
            )
        if closure is None:
            raise CallError("LBFGS.step takes a closure that computes the loss and its gradients")
        with no_grad():
            return _Step(self, closure).run()


class _Step:
    """One call of `LBFGS.step`."""

    def __init__(self, optimizer: LBFGS, closure: Callable[[], Any]) -> None:
        self.group = optimizer.param_groups[0]
        self.params = self.group["params"]
        self.state = optimizer.state[self.params[0]]
        self.closure = closure
        self.calls = 0

    def run(self) -> Any:
        """The iterations."""
        state, group = self.state, self.group
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first = self._loss()
        loss, gradient = float(first), self._gradient()
        if _largest(gradient) <= group["tolerance_grad"]:
            state["func_evals"] += self.calls
            return first
        for i in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(gradient)
            step = group["lr"]
            if state["n_iter"] == 1:
                step = min(1.0, 1.0 / float(ops.sum(ops.abs(gradient)))) * step
            before = loss
            state["d"], state["t"] = direction, step
            state["prev_flat_grad"], state["prev_loss"] = gradient, before
            slope = _dot(gradient, direction)
            if slope > -group["tolerance_change"]:
                break
            start = Point(0.0, loss, gradient, slope)
            loss, gradient, step = self._moved(start, direction, step, last=i == group["max_iter"])
            state["t"] = step
            if self._finished(gradient, direction, step, loss - before):
                break
        state["func_evals"] += self.calls
        return first

    def _finished(self, gradient: Any, direction: Any, step: float, change: float) -> bool:
        group = self.group
        return bool(
            self.calls >= group["max_eval"]
            or _largest(gradient) <= group["tolerance_grad"]
            or _largest(direction) * abs(step) <= group["tolerance_change"]
            or abs(change) < group["tolerance_change"]
        )

    def _direction(self, gradient: Any) -> Any:
        """-H g, after the last step has become part of H."""
        state = self.state
        if state["n_iter"] == 1:
            state["old_dirs"], state["old_stps"], state["ro"] = [], [], []
            state["H_diag"] = 1
            return ops.neg(gradient)
        self._remember(gradient)
        changes, steps, factors = state["old_dirs"], state["old_stps"], state["ro"]
        q, shares = ops.neg(gradient), [0.0] * len(steps)
        for i in reversed(range(len(steps))):
            shares[i] = _dot(steps[i], q) * float(factors[i])
            q = ops.sub(q, ops.mul(changes[i], shares[i]))
        r = ops.mul(q, float(state["H_diag"]))
        for i in range(len(steps)):
            share = _dot(changes[i], r) * float(factors[i])
            r = ops.add(r, ops.mul(steps[i], shares[i] - share))
        return r

    def _remember(self, gradient: Any) -> None:
        """Take the last step into H, where the loss curves upwards along it."""
        state = self.state
        change = ops.sub(gradient, state["prev_flat_grad"])
        step = ops.mul(state["d"], float(state["t"]))
        curvature = _dot(change, step)
        if curvature <= 1e-10:
            return
        for key, value in (("old_dirs", change), ("old_stps", step), ("ro", 1.0 / curvature)):
            state[key] = [*state[key], value][-self.group["history_size"] :]
        state["H_diag"] = curvature / _dot(change, change)

    def _moved(
        self, start: Point, direction: Any, step: float, last: bool
    ) -> tuple[float, Any, float]:
        """Take a step; the loss and the gradient after it, and its length."""
        if self.group.option("line_search_fn") is None:
            self._add(direction, step)
            if last:
                return start.loss, start.gradient, step
            return float(self._loss()), self._gradient(), step
        kept = [ops.contiguous(p) for p in self.params]

        def at(length: float) -> Point:
            self._add(direction, length)
            loss, gradient = float(self._loss()), self._gradient()
            for p, value in zip(self.params, kept, strict=True):
                assign(p, value)
            return Point(length, loss, gradient, _dot(gradient, direction))

        most = self.group["max_eval"] - self.calls
        least = self.group["tolerance_change"]
        found, _ = strong_wolfe(at, start, step, _largest(direction), least, most)
        self._add(direction, found.step)
        return found.loss, found.gradient, found.step

    def _loss(self) -> Any:
        self.calls += 1
        with enable_grad():
            return self.closure()

    def _gradient(self) -> Any:
        """All gradients in one vector; zeros where there is none."""
        parts = (ops.full(p.shape, 0, p.dtype) if p.grad is None else p.grad for p in self.params)
        return ops.cat(*(ops.reshape(seen(g), (-1,)) for g in parts), dim=0)

    def _add(self, direction: Any, step: float) -> None:
        """Move all parameters."""
        at = 0
        for p in map(seen, self.params):
            part = direction[at : at + p.numel()].reshape(p.shape)
            assign(p, ops.add(p, ops.mul(part, step)))
            at += p.numel()


def _dot(a: Any, b: Any) -> float:
    return float(ops.sum(ops.mul(a, b)))


def _largest(x: Any) -> float:
    return float(ops.amax(ops.abs(x)))
