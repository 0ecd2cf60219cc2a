"""Sequences of several lengths in one tensor: `torch.nn.utils.rnn`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from argand.base.errors import ArgumentError, ShapeError
from argand.ir.op import describe, ops
from argand.tensor.creation import tensor
from argand.tensor.ordering import argsort

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """Sequences of several lengths without padding, step by step: the rows of the first steps, then
    those of the second ones, and so on, the longest sequence first.

    `batch_sizes` says how many sequences have each step; `sorted_indices` which of the batch is the
    longest, and so on, and `unsorted_indices` the other way round (None: they are in order).

    >>> nn.utils.rnn.pack_sequence([ag.tensor([1, 2]), ag.tensor([3])]).data
    tensor([1, 3, 2])
    """

    data: Any
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same sequences with their data converted."""
        return self._replace(data=self.data.to(*args, **kwargs))

    def float(self) -> PackedSequence:
        """The same sequences in float32."""
        return self.to("float32")

    def double(self) -> PackedSequence:
        """The same sequences in float64."""
        return self.to("float64")

    def half(self) -> PackedSequence:
        """The same sequences in float16."""
        return self.to("float16")

    def long(self) -> PackedSequence:
        """The same sequences in int64."""
        return self.to("int64")

    def int(self) -> PackedSequence:
        """The same sequences in int32."""
        return self.to("int32")

    def cpu(self) -> PackedSequence:
        """The sequences themselves: they are on the CPU."""
        return self

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a CUDA device: it never is."""
        return False


def invert_permutation(permutation: Any) -> Any:
    """The permutation that undoes another; None for None.

    >>> nn.utils.rnn.invert_permutation(ag.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    return None if permutation is None else argsort(permutation)


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The first `lengths[i]` steps of each sequence of a batch (L, N, ...), or (N, L, ...) with
    `batch_first`, as a PackedSequence. `enforce_sorted` demands that lengths don't rise.

    >>> batch = ag.tensor([[1, 2, 3], [4, 0, 0]])
    >>> nn.utils.rnn.pack_padded_sequence(batch, [3, 1], batch_first=True).batch_sizes
    tensor([2, 1, 1])
    """
    counts = [int(n) for n in (lengths.tolist() if hasattr(lengths, "tolist") else lengths)]
    x = ops.permute(input, (1, 0, *range(2, input.ndim))) if batch_first else input
    steps, batch = x.shape[:2]
    if len(counts) != batch or min(counts, default=0) < 1 or max(counts) > steps:
        raise ArgumentError(
            f"pack_padded_sequence: expected {batch} lengths from 1 to {steps}, got {counts}"
        )
    order = sorted(range(len(counts)), key=lambda i: -counts[i])
    indices: tuple[Any, ...] = ()
    if enforce_sorted:
        if counts != sorted(counts, reverse=True):
            raise ArgumentError(
                f"pack_padded_sequence: the lengths {counts} must not rise; pass "
                "enforce_sorted=False to have the sequences sorted"
            )
    else:
        inverse = sorted(range(len(order)), key=order.__getitem__)
        indices = (tensor(order, dtype="int64"), tensor(inverse, dtype="int64"))
    sizes = [sum(n > t for n in counts) for t in range(max(counts))]
    return PackedSequence(packed(x, sizes, *indices[:1]), tensor(sizes), *indices)


def packed(x: Any, sizes: Sequence[int], order: Any = None) -> Any:
    """The rows of a batch (L, N, ...) that the steps have, the sequences put in order first."""
    if order is not None:
        x = ops.index(x, order, dims=(1,))
    steps, batch = x.shape[:2]
    rows = [t * batch + i for t, size in enumerate(sizes) for i in range(size)]
    flat = ops.reshape(x, (steps * batch, *x.shape[2:]))
    return ops.index(flat, tensor(rows, dtype="int64"), dims=(0,))


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Any, Any]:
    """The batch (L, N, ...), or (N, L, ...) with `batch_first`, of packed sequences, and their
    lengths; `total_length` is L, the longest unless given.

    >>> pair = nn.utils.rnn.pack_sequence([ag.tensor([1, 2]), ag.tensor([3])])
    >>> nn.utils.rnn.pad_packed_sequence(pair, batch_first=True)
    (tensor([[1, 2],
            [3, 0]]), tensor([2, 1]))
    """
    sizes = sequence.batch_sizes.tolist()
    steps = len(sizes) if total_length is None else total_length
    if steps < len(sizes):
        raise ArgumentError(
            f"pad_packed_sequence: total_length {total_length} is less than the longest sequence, "
            f"{len(sizes)}"
        )
    batch = sizes[0]
    rows, start = [], 0
    for size in [*sizes, *(0,) * (steps - len(sizes))]:
        rows.append([start + i if i < size else -1 for i in range(batch)])
        start += size
    places = tensor(rows, dtype="int64")
    tail = tuple(sequence.data.shape[1:])
    found = ops.index(sequence.data, ops.clamp(places, min=0), dims=(0,))
    there = ops.reshape(ops.ge(places, 0), (steps, batch, *(1,) * len(tail)))
    x = ops.where(there, found, ops.full((), padding_value, sequence.data.dtype))
    lengths = tensor([sum(size > i for size in sizes) for i in range(batch)])
    if sequence.unsorted_indices is not None:
        x = ops.index(x, sequence.unsorted_indices, dims=(1,))
        lengths = ops.index(lengths, sequence.unsorted_indices, dims=(0,))
    return (ops.permute(x, (1, 0, *range(2, x.ndim))) if batch_first else x), lengths


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Tensors (L_i, ...) of several lengths as a PackedSequence.

    >>> nn.utils.rnn.pack_sequence([ag.tensor([3]), ag.tensor([1, 2])], enforce_sorted=False).data
    tensor([1, 3, 2])
    """
    lengths = [int(x.shape[0]) for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, False, enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences that `pack_sequence` put together.

    >>> nn.utils.rnn.unpack_sequence(nn.utils.rnn.pack_sequence([ag.tensor([1, 2])]))
    [tensor([1, 2])]
    """
    return unpad_sequence(*pad_packed_sequence(packed_sequences))


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
