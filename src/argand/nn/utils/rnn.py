"""Sequences of several lengths in one tensor: `torch.nn.utils.rnn`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from argand.base.errors import ArgumentError, ShapeError
from argand.ir.op import describe, ops

__all__ = ["pad_sequence", "unpad_sequence"]


def pad_sequence(
    sequences: Sequence[Any],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:
    """Tensors (L_i, ...) of several lengths as one: (longest, N, ...), or (N, longest, ...) with
    `batch_first`; `padding_value` fills up at the `padding_side`.

    >>> pair = [ag.tensor([1, 2, 3]), ag.tensor([4])]
    >>> nn.utils.rnn.pad_sequence(pair, batch_first=True)
    tensor([[1, 2, 3],
            [4, 0, 0]])
    """
    listed = list(sequences)
    if not listed:
        raise ArgumentError("pad_sequence: there are no sequences")
    if padding_side not in ("left", "right"):
        raise ArgumentError(
            f"pad_sequence: padding_side must be 'left' or 'right', got {padding_side!r}"
        )
    tail = tuple(listed[0].shape[1:])
    if any(not x.ndim or tuple(x.shape[1:]) != tail for x in listed):
        raise ShapeError(
            f"pad_sequence: {describe(*listed)}: expected sequences (L, ...) that differ in L only"
        )
    longest = max(x.shape[0] for x in listed)
    rows = []
    for x in listed:
        missing = longest - x.shape[0]
        ends = (0, missing) if padding_side == "right" else (missing, 0)
        padded = ops.pad(x, (ends, *((0, 0),) * len(tail)), padding_value)
        rows.append(ops.reshape(padded, (1, longest, *tail)))
    batch = ops.cat(*rows, dim=0)
    return batch if batch_first else ops.permute(batch, (1, 0, *range(2, batch.ndim)))


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences (L_i, ...) that `pad_sequence` put together.

    >>> nn.utils.rnn.unpad_sequence(ag.tensor([[1, 2], [3, 0]]), [2, 1], batch_first=True)
    [tensor([1, 2]), tensor([3])]
    """
    x = padded_sequences
    batch = x if batch_first else ops.permute(x, (1, 0, *range(2, x.ndim)))
    counts = lengths.tolist() if hasattr(lengths, "tolist") else list(lengths)
    return [row[:count] for row, count in zip(batch, counts, strict=True)]
