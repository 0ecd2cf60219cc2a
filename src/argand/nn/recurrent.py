"""Recurrent layers: RNN, LSTM and GRU, with PyTorch's parameters, gates and order of outputs."""

from __future__ import annotations

from typing import Any

from argand.base.dim import Dim, is_less
from argand.base.domains import check_counts, check_numbers
from argand.base.errors import ArgumentError, CallError, ShapeError
from argand.ir import bind as crossroads
from argand.ir.op import describe, ops
from argand.nn import functional as F
from argand.nn import init
from argand.nn.functional import single
from argand.nn.module import Module
from argand.nn.parameter import Parameter
from argand.nn.utils.rnn import PackedSequence, packed, pad_packed_sequence
from argand.tensor.creation import empty

# A cell's step from the input's part of the gates, the state and the hidden weights.


def _rnn_step(gates: Any, state: tuple[Any, ...], w: Any, b: Any, act: Any) -> tuple[Any, ...]:
    return (act(ops.add(gates, F.linear(state[0], w, b))),)


def _lstm_step(gates: Any, state: tuple[Any, ...], w: Any, b: Any, act: Any) -> tuple[Any, ...]:
    h, c = state
    i, f, g, o = _split(ops.add(gates, F.linear(h, w, b)), 4)
    kept = ops.mul(ops.sigmoid(f), c)
    c = ops.add(kept, ops.mul(ops.sigmoid(i), ops.tanh(g)))
    return ops.mul(ops.sigmoid(o), ops.tanh(c)), c


def _gru_step(gates: Any, state: tuple[Any, ...], w: Any, b: Any, act: Any) -> tuple[Any, ...]:
    (h,) = state
    from_x, from_h = _split(gates, 3), _split(F.linear(h, w, b), 3)
    r = ops.sigmoid(ops.add(from_x[0], from_h[0]))
    z = ops.sigmoid(ops.add(from_x[1], from_h[1]))
    n = ops.tanh(ops.add(from_x[2], ops.mul(r, from_h[2])))
    return (ops.add(n, ops.mul(z, ops.sub(h, n))),)


def _split(x: Any, count: int) -> list[Any]:
    """The last dimension in equal parts."""
    size, lead = x.shape[-1] // count, tuple(x.shape[:-1])
    zeros = (0,) * len(lead)
    return [ops.slice(x, (*zeros, i * size), (*lead, (i + 1) * size)) for i in range(count)]


_KINDS = {"RNN": (_rnn_step, 1, 1), "LSTM": (_lstm_step, 4, 2), "GRU": (_gru_step, 3, 1)}
_ACTIVATIONS = {"tanh": ops.tanh, "relu": ops.relu}


def _activation(name: str) -> Any:
    if name not in _ACTIVATIONS:
        raise ArgumentError(f"nonlinearity must be 'tanh' or 'relu', got {name!r}")
    return _ACTIVATIONS[name]


class RNNCellBase(Module):
    """One step of a recurrent layer: what `RNNCell`, `LSTMCell` and `GRUCell` share.

    >>> isinstance(nn.GRUCell(3, 5), nn.RNNCellBase)
    True
    """

    kind = ""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        self._states = 2 if self.kind == "LSTM" else 1
        _add_weights(self, "", num_chunks, input_size, hidden_size, bias, device, dtype)

    def reset_parameters(self) -> None:
        """Draw the parameters anew: uniform in +-1 / sqrt(hidden_size)."""
        _draw_anew(self, self.hidden_size)

    nonlinearity = "tanh"

    def _check_states(self, input: Any, hx: Any) -> None:
        for state in hx if isinstance(hx, tuple | list) else (hx,):
            if state is not None and state.ndim not in (1, 2):
                raise ShapeError(
                    f"{type(self).__name__}: {describe(input, state)}: expected states (N, "
                    f"{self.hidden_size}) or ({self.hidden_size},)"
                )

    def forward(self, input: Any, hx: Any = None) -> Any:
        """The next state from an input (N, input_size) and a state of zeros unless given."""
        x = input if input.ndim == 2 else ops.reshape(input, (1, *input.shape))
        self._check_states(input, hx)
        given = hx if isinstance(hx, tuple | list) or hx is None else (hx,)
        if given is None:
            zeros = ops.full((x.shape[0], self.hidden_size), 0, x.dtype)
            state: tuple[Any, ...] = (zeros,) * self._states
        else:
            state = tuple(h if h.ndim == 2 else ops.reshape(h, (1, *h.shape)) for h in given)
        step = _KINDS[self.kind][0]
        gates = F.linear(x, self.weight_ih, self.bias_ih if self.bias else None)
        act = _activation(self.nonlinearity)
        new = step(gates, state, self.weight_hh, self.bias_hh if self.bias else None, act)
        if input.ndim == 1:
            new = tuple(ops.reshape(h, (self.hidden_size,)) for h in new)
        return new if self._states > 1 else new[0]

    def extra_repr(self) -> str:
        bias = "" if self.bias else ", bias=False"
        other = self.nonlinearity != "tanh"
        kind = f", nonlinearity={self.nonlinearity}" if other else ""
        return f"{self.input_size}, {self.hidden_size}{bias}{kind}"


class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu as `nonlinearity`: one step of an `RNN`.

    x is (N, input_size) or (input_size), h (N, hidden_size) and 0 unless given.

    >>> nn.RNNCell(3, 5)(ag.ones(2, 3)).shape
    argand.Size([2, 5])
    """

    kind = "RNN"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        _activation(nonlinearity)
        self.nonlinearity = nonlinearity


class LSTMCell(RNNCellBase):
    """c' = sigmoid(f) * c + sigmoid(i) * tanh(g), h' = sigmoid(o) * tanh(c'): one step of an
    `LSTM`.

    The gates i, f, g, o are the four parts of W_ih x + b_ih + W_hh h + b_hh. Returns (h', c').

    >>> h, c = nn.LSTMCell(3, 5)(ag.ones(2, 3))
    >>> h.shape
    argand.Size([2, 5])
    """

    kind = "LSTM"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)


class GRUCell(RNNCellBase):
    """h' = (1 - z) * n + z * h: one step of a `GRU`, with the gates in the order r, z, n.

    r = sigmoid(W_ir x + W_hr h), z = sigmoid(W_iz x + W_hz h), n = tanh(W_in x + r * (W_hn h)),
    each product with its bias.

    >>> nn.GRUCell(3, 5)(ag.ones(2, 3)).shape
    argand.Size([2, 5])
    """

    kind = "GRU"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)


def _add_weights(
    module: Module,
    suffix: str,
    gates: int,
    inputs: int,
    hidden: int,
    bias: bool,
    device: Any,
    dtype: Any,
    projected: int = 0,
) -> None:
    """weight_ih, weight_hh, bias_ih, bias_hh and, for a projected state, weight_hr, uniform in
    +-1 / sqrt(hidden)."""
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (gates * hidden, inputs),
        "weight_hh": (gates * hidden, projected or hidden),
    }
    if bias:
        shapes |= {"bias_ih": (gates * hidden,), "bias_hh": (gates * hidden,)}
    if projected:
        shapes |= {"weight_hr": (projected, hidden)}
    for name, shape in shapes.items():
        made = Parameter(empty(shape, dtype=dtype, device=device))
        init.uniform_within_(made, hidden)
        setattr(module, name + suffix, made)


def _draw_anew(module: Module, hidden: int) -> None:
    for parameter in module.parameters():
        init.uniform_within_(parameter, hidden)


def lstm(x: Any, states: Any) -> tuple[Any, Any]:
    """What an LSTM computes on, by the name that autocast knows."""
    return x, states


class RNNBase(Module):
    """Layers of cells along a sequence (L, N, input_size), (N, L, ...) with `batch_first`: what
    `RNN`, `LSTM` and `GRU` share.

    >>> isinstance(nn.LSTM(3, 5), nn.RNNBase)
    True
    """

    kind = ""
    nonlinearity = "tanh"

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.kind, _, nonlinearity = mode.partition("_")
        if self.kind not in _KINDS:
            raise ArgumentError(f"mode must be RNN_TANH, RNN_RELU, LSTM or GRU, got {mode!r}")
        self.mode, self.nonlinearity = mode, nonlinearity.lower() or "tanh"
        for name, flag in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(flag, bool):
                raise CallError(f"{name} must be a bool, got {type(flag).__name__}")
        check_counts(1, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        check_counts(0, proj_size=proj_size)
        check_numbers("[0, 1]", dropout=dropout)
        if proj_size and (self.kind != "LSTM" or proj_size >= hidden_size):
            raise ArgumentError(
                f"{self.kind}: proj_size {proj_size} must be less than hidden_size {hidden_size}, "
                "and of an LSTM"
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.proj_size = bias, batch_first, proj_size
        self.dropout, self.bidirectional = float(dropout), bidirectional
        _, gates, self._states = _KINDS[self.kind]
        for layer in range(num_layers):
            width = input_size if layer == 0 else (proj_size or hidden_size) * self._directions
            for suffix in self._suffixes(layer):
                sizes = (gates, width, hidden_size)
                _add_weights(self, suffix, *sizes, bias, device, dtype, proj_size)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self._directions]

    def reset_parameters(self) -> None:
        """Draw the parameters anew: uniform in +-1 / sqrt(hidden_size)."""
        _draw_anew(self, self.hidden_size)

    @property
    def _all_weights(self) -> list[list[str]]:
        """The names of the parameters, those of each layer and direction in a list."""
        names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if self.bias else [])]
        names += ["weight_hr"] if self.proj_size else []
        suffixes = [s for layer in range(self.num_layers) for s in self._suffixes(layer)]
        return [[name + suffix for name in names] for suffix in suffixes]

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters, those of each layer and direction in a list."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Any]:
        return [getattr(self, name) for name in self._flat_weights_names]

    def flatten_parameters(self) -> None:
        """Nothing: the parameters need no rearrangement here."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """The outputs of all steps (the last layer's), and the last states of all layers."""
        if isinstance(input, PackedSequence):
            return self._on_packed(input, hx)
        unbatched = input.ndim == 2
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"{self.kind}: expected an input (L, N, {self.input_size}), got {describe(input)}"
            )
        x = ops.reshape(input, (input.shape[0], 1, input.shape[1])) if unbatched else input
        if self.batch_first and not unbatched:
            x = ops.permute(x, (1, 0, 2))
        x, ends = self._layers(*self._given(x, self._initial(x, hx, unbatched)), None)
        if unbatched:
            x = ops.reshape(x, (x.shape[0], x.shape[2]))
            ends = tuple(ops.reshape(e, (e.shape[0], e.shape[2])) for e in ends)
        elif self.batch_first:
            x = ops.permute(x, (1, 0, 2))
        return x, (ends if self._states > 1 else ends[0])

    def _on_packed(self, input: PackedSequence, hx: Any) -> tuple[Any, Any]:
        """As `forward`, over sequences of several lengths: the outputs are packed likewise."""
        x, lengths = pad_packed_sequence(input)
        if x.ndim != 3 or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{self.kind}: expected packed rows of {self.input_size}, got "
                f"{describe(input.data)}"
            )
        counts = ops.reshape(lengths, (lengths.shape[0], 1))
        y, ends = self._layers(*self._given(x, self._initial(x, hx, False)), counts)
        data = packed(y, input.batch_sizes.tolist(), input.sorted_indices)
        return input._replace(data=data), (ends if self._states > 1 else ends[0])

    def _given(self, x: Any, states: list[tuple[Any, ...]]) -> tuple[Any, Any]:
        """A batch and the states at its start, as the layers take them: autocast casts those of an
        LSTM."""
        if self.kind != "LSTM" or not crossroads.pushed:
            return x, states
        cast: tuple[Any, Any] = crossroads.called(lstm, lstm, (x, states), {})
        return cast

    def _layers(
        self, x: Any, states: list[tuple[Any, ...]], lengths: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        """All layers along a batch (L, N, ...), whose sequences may end earlier."""
        if is_less(x.shape[0], 1):
            raise ShapeError(f"{self.kind}: {describe(x)}: expected sequences of a step or more")
        last: list[tuple[Any, ...]] = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            runs = []
            for d, suffix in enumerate(self._suffixes(layer)):
                outputs, state = self._run(x, states[len(last)], suffix, d == 1, lengths)
                runs.append(outputs)
                last.append(state)
            x = runs[0] if len(runs) == 1 else ops.cat(*runs, dim=2)
        return x, tuple(_stacked([s[i] for s in last]) for i in range(self._states))

    def _initial(self, x: Any, hx: Any, unbatched: bool) -> list[tuple[Any, ...]]:
        """The state of each layer and direction at the start."""
        count = self.num_layers * self._directions
        if hx is None:
            sizes = self._state_sizes()
            return [tuple(ops.full((x.shape[1], n), 0, x.dtype) for n in sizes)] * count
        given = hx if isinstance(hx, tuple | list) else (hx,)
        if len(given) != self._states:
            raise ArgumentError(f"{self.kind}: expected {self._states} state tensors in hx")
        if unbatched:
            given = [ops.reshape(h, (h.shape[0], 1, h.shape[1])) for h in given]
        for h, size in zip(given, self._state_sizes(), strict=True):
            shape = (count, x.shape[1], size)
            if tuple(h.shape) != shape:
                raise ShapeError(f"{self.kind}: hx must have shape {shape}, got {describe(h)}")
        return [tuple(_at(h, i) for h in given) for i in range(count)]

    def _state_sizes(self) -> tuple[int, ...]:
        return (self.proj_size or self.hidden_size, self.hidden_size)[: self._states]

    def _run(
        self, x: Any, state: tuple[Any, ...], suffix: str, reverse: bool, lengths: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        """One layer in one direction: the input's part of all gates at once, then step by step."""
        named = {n: getattr(self, n + suffix) for n in ("weight_ih", "weight_hh")}
        biases = [getattr(self, n + suffix) if self.bias else None for n in ("bias_ih", "bias_hh")]
        if not self.proj_size and lengths is None:
            given = (*named.values(), *biases)
            kept = single.recurrent(self.kind, x, state, given, self.nonlinearity, reverse)
            if kept is not None:
                found: tuple[Any, tuple[Any, ...]] = kept
                return found
        gates = F.linear(x, named["weight_ih"], biases[0])
        step, act = _KINDS[self.kind][0], _activation(self.nonlinearity)

        def stepped(gates: Any, t: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
            new = step(gates, state, named["weight_hh"], biases[1], act)
            if self.proj_size:
                new = (F.linear(new[0], getattr(self, "weight_hr" + suffix)), *new[1:])
            if lengths is not None:
                on = ops.gt(lengths, t)
                new = tuple(ops.where(on, a, b) for a, b in zip(new, state, strict=True))
            return new

        length = x.shape[0]
        if isinstance(length, Dim):
            return _looped(stepped, gates, state, length, reverse)
        outputs: list[Any] = [None] * length
        for t in reversed(range(length)) if reverse else range(length):
            state = stepped(_at(gates, t), t, state)
            outputs[t] = state[0]
        return _stacked(outputs), state

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.proj_size:
            parts.append(f"proj_size={self.proj_size}")
        if self.num_layers != 1:
            parts.append(f"num_layers={self.num_layers}")
        if not self.bias:
            parts.append("bias=False")
        if self.batch_first:
            parts.append("batch_first=True")
        if self.dropout:
            parts.append(f"dropout={self.dropout}")
        if self.bidirectional:
            parts.append("bidirectional=True")
        return ", ".join(parts)


def _looped(
    step: Any, gates: Any, state: tuple[Any, ...], length: Dim, reverse: bool
) -> tuple[Any, tuple[Any, ...]]:
    """The outputs of all steps and the last state, by a loop of the program: of sequences whose
    length is known when it runs."""
    from argand.compile.control import while_loop  # compiling is loaded where it is used

    def body(done: Any, outputs: Any, *state: Any) -> tuple[Any, ...]:
        t = length - 1 - done if reverse else done
        new = step(ops.index(gates, t, dims=(0,)), t, state)
        outputs = ops.index_put(outputs, new[0], t, dims=(0,), accumulate=False)
        return done + 1, outputs, *new

    blank = ops.full((length, *state[0].shape), 0, state[0].dtype)
    start = (ops.full((), 0, "int64"), blank, *state)
    _, outputs, *last = while_loop(lambda done, *_: done < length, body, start)
    return outputs, tuple(last)


def _at(x: Any, i: int) -> Any:
    """x[i] of the first dimension."""
    rest = tuple(x.shape[1:])
    part = ops.slice(x, (i, *(0,) * len(rest)), (i + 1, *rest))
    return ops.reshape(part, rest)


def _stacked(parts: list[Any]) -> Any:
    return ops.cat(*(ops.reshape(p, (1, *p.shape)) for p in parts), dim=0)


class RNN(RNNBase):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), over the steps of a sequence and
    `num_layers` layers (Elman, 1990).

    x is (L, N, input_size), with `batch_first` (N, L, input_size), or unbatched (L, input_size).
    Returns the outputs of all steps (L, N, D * hidden_size), and the last states (D * num_layers,
    N, hidden_size); D is 2 if `bidirectional`, else 1.

    >>> y, h = nn.RNN(3, 5)(ag.ones(7, 2, 3))
    >>> y.shape, h.shape
    (argand.Size([7, 2, 5]), argand.Size([1, 2, 5]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        _activation(nonlinearity)
        super().__init__(
            f"RNN_{nonlinearity.upper()}",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997); see LSTMCell for the formula.

    The shapes are those of `RNN`. Returns the outputs of all steps, and the pair of last hidden and
    cell states.

    >>> y, (h, c) = nn.LSTM(3, 5, batch_first=True)(ag.ones(2, 7, 3))
    >>> y.shape, c.shape
    (argand.Size([2, 7, 5]), argand.Size([1, 2, 5]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)


class GRU(RNNBase):
    """Gated recurrent units (Cho et al., 2014); see GRUCell for the formula and RNN for the shapes.

    >>> y, h = nn.GRU(3, 5, num_layers=2)(ag.ones(7, 2, 3))
    >>> y.shape, h.shape
    (argand.Size([7, 2, 5]), argand.Size([2, 2, 5]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("GRU", *args, **kwargs)
