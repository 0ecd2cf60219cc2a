"""RNN, GRU and LSTM: a step for each element of a sequence, in one direction or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from argand.base.dim import Dim
from argand.base.errors import ArgumentError
from argand.ir.bind import tracing
from argand.onnx.importers.control import recorded, row_of
from argand.onnx.registry import Call, importer
from argand.onnx.values import F, ag
from argand.ops.kept import keeps, kept
from argand.tensor.core import Tensor

Activation = Callable[[Any], Any]


_PLAIN: dict[str, Activation] = {
    "relu": F.relu,
    "tanh": ag.tanh,
    "sigmoid": ag.sigmoid,
    "softsign": F.softsign,
    "softplus": F.softplus,
}


def _activation(name: str, alpha: float | None, beta: float | None) -> Activation:
    """An activation by its name, with its constants."""

    def given(value: float | None, default: float) -> float:
        return default if value is None else value

    match name.lower():
        case known if known in _PLAIN:
            return _PLAIN[known]
        case "affine":
            return lambda x: x * given(alpha, 1.0) + given(beta, 0.0)
        case "leakyrelu":
            return lambda x: F.leaky_relu(x, given(alpha, 0.01))
        case "thresholdedrelu":
            return lambda x: ag.where(x > given(alpha, 1.0), x, ag.zeros_like(x))
        case "scaledtanh":
            return lambda x: given(alpha, 1.0) * ag.tanh(x * given(beta, 1.0))
        case "hardsigmoid":
            return lambda x: ag.clamp(x * given(alpha, 0.2) + given(beta, 0.5), 0, 1)
        case "elu":
            return lambda x: F.elu(x, given(alpha, 1.0))
    raise ArgumentError(f"activation {name!r} is unknown")


_WITH_ALPHA = {"affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu"}
_WITH_BETA = {"affine", "scaledtanh", "hardsigmoid"}


def _activations(
    names: Sequence[str], alphas: Sequence[float] | None, betas: Sequence[float] | None
) -> list[Activation]:
    """The activations; constants are given in the order of those that take one."""
    alpha, beta = iter(alphas or ()), iter(betas or ())
    return [
        _activation(
            n,
            next(alpha, None) if n.lower() in _WITH_ALPHA else None,
            next(beta, None) if n.lower() in _WITH_BETA else None,
        )
        for n in names
    ]


Cell = Callable[[Any, tuple[Any, ...]], tuple[Any, ...]]
"""From the inputs' part of a step and the state to the new state, the output first."""


def _steps(
    x: Any, cell: Cell, state: tuple[Any, ...], lengths: Any, reverse: bool
) -> tuple[Any, tuple[Any, ...]]:
    """All outputs, (length, batch, size), and the last state of (length, batch, ...) inputs."""
    count = x.shape[0]

    def step(t: Any, state: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
        new = cell(row_of(x, 0, t), tuple(state))
        row = new[0]
        if lengths is not None:
            there = (lengths > t).reshape(-1, 1)
            row = ag.where(there, row, ag.zeros_like(row))
            new = tuple(ag.where(there, a, b) for a, b in zip(new, state, strict=True))
        return row, new

    if tracing() and isinstance(count, Dim):
        return _recorded(step, state, count, reverse)
    rows: list[Any] = [None] * count
    for t in reversed(range(count)) if reverse else range(count):
        rows[t], state = step(t, state)
    return ag.stack(rows), state


def _recorded(
    step: Callable[[Any, Sequence[Any]], tuple[Any, tuple[Any, ...]]],
    state: tuple[Any, ...],
    count: Any,
    reverse: bool,
) -> tuple[Any, tuple[Any, ...]]:
    """The steps as a loop of the program, which has as many as a call needs."""

    def one_round(i: Any, state: Sequence[Any]) -> tuple[Any, list[Any]]:
        row, new = step(count - 1 - i if reverse else i, state)
        return np.array(True), [*new, row]

    found = recorded(one_round, lambda i, _: i < count, ag.tensor(True), state, 1, count)
    rows = found[-1].flip(0) if reverse else found[-1]
    return rows, found[:-1]


class _Layer:
    """What the three ops share: directions, layouts, where states begin."""

    def __init__(self, node: Call, operands: Sequence[Any], direction: str, layout: int) -> None:
        x, _, r, _, lengths, *_ = self.operands = operands
        self.node, self.layout = node, layout
        self.x = x.transpose(0, 1) if layout else x
        self.lengths = None if lengths is None else lengths.to(ag.int64)
        if direction not in ("forward", "reverse", "bidirectional"):
            raise ArgumentError(f"direction {direction!r} is unknown")
        self.reversed = {"forward": [False], "reverse": [True]}.get(direction, [False, True])
        self.hidden = r.shape[-1]

    def _start(self, given: Any, i: int) -> Any:
        """The state that a direction begins with."""
        if given is None:
            return ag.zeros(self.x.shape[1], self.hidden, dtype=self.x.dtype)
        return given[:, i] if self.layout else given[i]

    def run(self, of: Callable[[int], tuple[Any, Cell]], initial: Sequence[Any]) -> tuple[Any, ...]:
        """The outputs of the op: of all steps, and the last states. `of` gives the inputs and the
        cell of a direction."""
        if keeps():
            return self._kept(len(initial))
        outputs, lasts = [], []
        for i, reverse in enumerate(self.reversed):
            x, cell = of(i)
            start = tuple(self._start(given, i) for given in initial)
            rows, last = _steps(x, cell, start, self.lengths, reverse)
            outputs.append(rows)
            lasts.append(last)
        whole = ag.stack(outputs, 1)
        states = [ag.stack(s) for s in zip(*lasts, strict=True)]
        if self.layout:
            whole = whole.permute(2, 0, 1, 3)
            states = [s.transpose(0, 1) for s in states]
        return (whole, *states)[: self.node.outputs]

    def _kept(self, states: int) -> tuple[Any, ...]:
        """The op as the operator that it is, in a program for ONNX."""
        node = self.node.node

        def rule(g: Any, *operands: Any, **attributes: Any) -> Any:
            return g.op(node.op, *operands, outputs=1 + states, **attributes)

        length, batch, _ = self.x.shape
        ways = len(self.reversed)
        whole, state = (length, ways, batch), (ways, batch)
        if self.layout:
            whole, state = (batch, length, ways), (batch, ways)
        types = [(*shape, self.hidden) for shape in (whole, *[state] * states)]
        attributes = {k: tuple(v) if isinstance(v, list) else v for k, v in node.attributes.items()}
        return kept(node.op.lower(), rule, self.operands, types, **attributes)[: self.node.outputs]


def _projected(x: Any, w: Any, b: Any) -> Any:
    """What the inputs of all steps add to the gates."""
    made = ag.matmul(x, w.T)
    return made if b is None else made + b


def _clipped(x: Any, clip: float | None) -> Any:
    return x if clip is None else ag.clamp(x, -clip, clip)


@importer("RNN")
def _rnn(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None,
    *,
    activation_alpha: Any = None,
    activation_beta: Any = None,
    activations: Any = ("Tanh", "Tanh"),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int = 0,
    layout: int = 0,
    node: Call,
) -> Any:
    layer = _Layer(node, (x, w, r, b, sequence_lens, initial_h), direction, layout)
    functions = _activations(activations, activation_alpha, activation_beta)
    size = layer.hidden

    def of(i: int) -> tuple[Any, Cell]:
        bias = None if b is None else b[i, :size] + b[i, size:]

        def cell(gates: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
            total = gates + ag.matmul(state[0], r[i].T)
            return (functions[i](_clipped(total, clip)),)

        return _projected(layer.x, w[i], bias), cell

    return layer.run(of, (initial_h,))


@importer("GRU")
def _gru(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None,
    *,
    activation_alpha: Any = None,
    activation_beta: Any = None,
    activations: Any = ("Sigmoid", "Tanh", "Sigmoid", "Tanh"),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int = 0,
    layout: int = 0,
    linear_before_reset: int = 0,
    node: Call,
) -> Any:
    layer = _Layer(node, (x, w, r, b, sequence_lens, initial_h), direction, layout)
    functions = _activations(activations, activation_alpha, activation_beta)
    size = layer.hidden

    def of(i: int) -> tuple[Any, Cell]:
        f, g = functions[2 * i : 2 * i + 2]
        own: Any = None if b is None else b[i, : 3 * size]
        of_state: Any = ag.zeros(3 * size, dtype=x.dtype) if b is None else b[i, 3 * size :]
        r_gates, r_hidden = r[i, : 2 * size], r[i, 2 * size :]

        def cell(inputs: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
            h = state[0]
            gates = inputs[:, : 2 * size] + ag.matmul(h, r_gates.T) + of_state[: 2 * size]
            gates = f(_clipped(gates, clip))
            update, reset = gates[:, :size], gates[:, size:]
            bias = of_state[2 * size :]
            if linear_before_reset:
                past = reset * (ag.matmul(h, r_hidden.T) + bias)
            else:
                past = ag.matmul(reset * h, r_hidden.T) + bias
            new = g(_clipped(inputs[:, 2 * size :] + past, clip))
            return ((1 - update) * new + update * h,)

        return _projected(layer.x, w[i], own), cell

    return layer.run(of, (initial_h,))


@importer("LSTM")
def lstm(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None,
    initial_c: Tensor | None = None,
    p: Tensor | None = None,
    *,
    activation_alpha: Any = None,
    activation_beta: Any = None,
    activations: Any = ("Sigmoid", "Tanh", "Tanh", "Sigmoid", "Tanh", "Tanh"),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int = 0,
    input_forget: int = 0,
    layout: int = 0,
    node: Call,
) -> Any:
    """The outputs and the last states of a layer in one direction or both."""
    operands = (x, w, r, b, sequence_lens, initial_h, initial_c, p)
    layer = _Layer(node, operands, direction, layout)
    functions = _activations(activations, activation_alpha, activation_beta)
    size = layer.hidden

    def of(i: int) -> tuple[Any, Cell]:
        f, g, h = functions[3 * i : 3 * i + 3]
        bias = None if b is None else b[i, : 4 * size] + b[i, 4 * size :]
        peep: Any = None if p is None else p[i].reshape(3, size)

        def cell(inputs: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
            past, c = state
            gates = inputs + ag.matmul(past, r[i].T)
            enter, leave, forget, new = (gates[:, k * size : (k + 1) * size] for k in range(4))
            if peep is not None:
                enter, forget = enter + peep[0] * c, forget + peep[2] * c
            enter = f(_clipped(enter, clip))
            kept = 1 - enter if input_forget else f(_clipped(forget, clip))
            c = kept * c + enter * g(_clipped(new, clip))
            if peep is not None:
                leave = leave + peep[1] * c
            return f(_clipped(leave, clip)) * h(c), c

        return _projected(layer.x, w[i], bias), cell

    return layer.run(of, (initial_h, initial_c))
