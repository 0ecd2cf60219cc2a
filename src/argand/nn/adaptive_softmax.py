"""Softmax over many classes, the rare ones in clusters with smaller projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from argand.base.errors import ArgumentError, IndexRangeError, ShapeError
from argand.ir import bind as crossroads
from argand.ir.op import describe, ops
from argand.nn.containers import ModuleList, Sequential
from argand.nn.linear import Linear
from argand.nn.module import Module


class AdaptiveOutput(NamedTuple):
    """The log-probability of each target, and the mean loss."""

    output: Any
    loss: Any


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-probabilities of many classes, sorted by frequency (Grave et al., 2017): the first
    `cutoffs[0]` in the head, each later cluster behind one entry of the head, from a projection
    that is `div_value` times smaller than that of the one before.

    >>> layer = nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10])
    >>> layer(ag.ones(2, 8), ag.tensor([0, 19])).output.shape
    argand.Size([2])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cuts = list(cutoffs)
        rising = cuts == sorted(set(cuts)) and cuts and cuts[0] > 0 and cuts[-1] <= n_classes - 1
        if not rising or any(int(c) != c for c in cuts):
            raise ArgumentError(
                "AdaptiveLogSoftmaxWithLoss: cutoffs must be a rising sequence of whole numbers "
                f"from 1 to {n_classes - 1}, got {cuts}"
            )
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs, self.div_value, self.head_bias = [*cuts, n_classes], div_value, head_bias
        self.shortlist_size, self.n_clusters = cuts[0], len(cuts)
        self.head_size = self.shortlist_size + self.n_clusters
        options = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, head_bias, **options)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            projected = Linear(in_features, hidden, False, **options)
            self.tail.append(Sequential(projected, Linear(hidden, size, False, **options)))

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        for layer in (self.head, *(part for pair in self.tail for part in pair)):
            layer.reset_parameters()

    def _parts(self, x: Any) -> list[Any]:
        """The log-probabilities of the head and of each cluster."""
        return [ops.log_softmax(layer(x), -1) for layer in (self.head, *self.tail)]

    def forward(self, input: Any, target: Any) -> AdaptiveOutput:
        """The log-probability of each target, and the negative of their mean."""
        single = input.ndim == 1
        if target.ndim != input.ndim - 1 or (not single and input.shape[0] != target.shape[0]):
            raise ShapeError(
                f"AdaptiveLogSoftmaxWithLoss: {describe(input, target)}: expected (N, in_features) "
                "and (N,), or (in_features,) and ()"
            )
        x = ops.reshape(input, (1, *input.shape)) if single else input
        labels = ops.cast(ops.reshape(target, (-1,)), "int64")
        if not crossroads.tracing() and labels.shape[0]:
            low, high = ops.amin(labels).item(), ops.amax(labels).item()
            if low < 0 or high >= self.n_classes:
                raise IndexRangeError(
                    f"AdaptiveLogSoftmaxWithLoss: targets must be in [0, {self.n_classes}), got "
                    f"values from {low} to {high}"
                )
        head, *tails = self._parts(x)
        output = _picked(head, labels, self.shortlist_size)
        for i, part in enumerate(tails):
            low, high = self.cutoffs[i], self.cutoffs[i + 1]
            entry = ops.full(tuple(labels.shape), self.shortlist_size + i, "int64")
            found = ops.add(
                _picked(head, entry, self.head_size),
                _picked(part, ops.sub(labels, low), high - low),
            )
            output = ops.where(ops.ge(labels, low), found, output)
        loss = ops.neg(ops.mean(output))
        return AdaptiveOutput(ops.reshape(output, ()) if single else output, loss)

    def log_prob(self, input: Any) -> Any:
        """The log-probabilities (N, n_classes) of all classes."""
        head, *tails = self._parts(input)
        rows, size = head.shape[0], self.shortlist_size
        parts = [ops.slice(head, (0, 0), (rows, size), (1, 1))]
        for i, part in enumerate(tails):
            entry = ops.slice(head, (0, size + i), (rows, size + i + 1), (1, 1))
            parts.append(ops.add(part, entry))
        return ops.cat(*parts, dim=1)

    def predict(self, input: Any) -> Any:
        """The most probable class of each row."""
        return ops.argmax(self.log_prob(input), 1)


def _picked(logs: Any, index: Any, size: int) -> Any:
    """logs[i, index[i]], any element where the index is outside."""
    column = ops.reshape(ops.clamp(index, 0, size - 1), (index.shape[0], 1))
    return ops.reshape(ops.gather(logs, 1, column), tuple(index.shape))
