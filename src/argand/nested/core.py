"""NestedTensor: tensors that differ in one size, one after the other in memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np

from argand.base.errors import ArgandError
from argand.base.layout import jagged, layout, strided
from argand.ir.op import ops
from argand.tensor.composed import ComposedTensor, Meanings, own
from argand.tensor.core import Size, Tensor, wrap
from argand.tensor.joining import cat
from argand.tensor.padding import pad

_numbers = itertools.count(1)


class NestedError(ArgandError, NotImplementedError, RuntimeError):
    """Something was asked of a nested tensor that it doesn't do."""


class RaggedSize:
    """The size that differs from tensor to tensor, which is no number."""

    __slots__ = ("counts", "number")

    def __init__(self, counts: tuple[int, ...]) -> None:
        self.number = next(_numbers)
        self.counts = counts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RaggedSize) and other.counts == self.counts

    def __hash__(self) -> int:
        return hash(self.counts)

    def __repr__(self) -> str:
        return f"j{self.number}"

    def __ge__(self, other: Any) -> bool:
        return other == self or (isinstance(other, int) and other <= 2)

    def __gt__(self, other: Any) -> bool:
        return isinstance(other, int) and other <= 1

    def __le__(self, other: Any) -> bool:
        return bool(other == self)

    def __lt__(self, other: Any) -> bool:
        return False

    def __index__(self) -> int:
        raise NestedError(f"{self} is no number: it differs from tensor to tensor; see offsets()")

    __int__ = __index__


class Rows:
    """Where the tensors lie along the dimension in which they follow each other. Tensors computed
    from one another share it; those of equal sizes fit, and share compiled programs."""

    __slots__ = ("counts", "ends", "has_gaps", "size", "starts", "total")

    def __init__(self, starts: Sequence[int], counts: Sequence[int], total: int) -> None:
        self.starts, self.counts, self.total = tuple(starts), tuple(counts), total
        self.ends = tuple(s + n for s, n in zip(self.starts, self.counts, strict=True))
        self.size = RaggedSize(self.counts)
        self.has_gaps = self.starts != (0, *self.ends[:-1]) or (total,) != self.ends[-1:]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and (self.starts, self.counts) == (
            other.starts,
            other.counts,
        )

    def __hash__(self) -> int:
        return hash((self.starts, self.counts))

    @classmethod
    def dense(cls, counts: Sequence[int]) -> Rows:
        """Those of tensors that follow each other without gaps."""
        ends = [0, *itertools.accumulate(counts)]
        return cls(ends[:-1], counts, ends[-1])

    def places(self) -> np.ndarray[Any, Any]:
        """The row of each place of the padded batch, 0 behind the end of a tensor."""
        along = np.arange(max(self.counts, default=0))
        held = along < np.array(self.counts)[:, None]
        return np.where(held, np.array(self.starts)[:, None] + along, 0)

    def held(self) -> np.ndarray[Any, Any]:
        """Which places of the padded batch are within their tensor."""
        return np.arange(max(self.counts, default=0)) < np.array(self.counts)[:, None]


class NestedTensor(ComposedTensor):
    """A batch of tensors of one dtype that differ in one size, as `torch.nested` makes them.

    The shape is (B, j, ...), where j stands for the sizes that differ, and fits those of
    tensors of the same sizes. Elementwise functions, layers that work along other dimensions,
    reductions and `scaled_dot_product_attention` take them, without padding.

    >>> x = ag.nested.nested_tensor([ag.ones(2, 3), ag.ones(1, 3)], layout=ag.jagged)
    >>> [part.shape for part in (x * 2).unbind()], x.sum(1).tolist()
    ([argand.Size([2, 3]), argand.Size([1, 3])], [[2.0, 2.0, 2.0], [1.0, 1.0, 1.0]])
    """

    __slots__ = ()

    meanings: ClassVar[Meanings] = {}
    is_nested = True

    _rows: Rows
    _ragged: int
    _layout: layout

    @classmethod
    def unknown(cls, name: str) -> Exception:
        """The error for what such tensors don't do."""
        return NestedError(
            f"{name}: not there for nested tensors; give it x.values(), the tensors of x.unbind(), "
            "or x.to_padded_tensor(value)"
        )

    def _with(self, elements: Tensor) -> Any:
        """Another of other elements, in which the tensors follow each other along the same
        dimension."""
        return self._turned(elements, self._ragged)

    def _turned(self, elements: Tensor, ragged: int) -> Any:
        """Another of other elements, in which they follow each other along another dimension."""
        return made(elements, self._rows, ragged, self._layout)

    def _each(self, f: Callable[[Tensor], Tensor]) -> Any:
        return self._with(f(self._elements))

    def _values_of_gradient(self, gradient: Any) -> Tensor:
        return gradient._elements if isinstance(gradient, NestedTensor) else gradient

    def composed_of(self) -> dict[str, Tensor]:
        return {"_elements": self._elements}

    def composed_like(self) -> Any:
        """All else that it is made of."""
        return self._rows, self._ragged, self._layout

    @classmethod
    def composed_again(cls, like: Any, parts: Any) -> Any:
        """A tensor of such parts."""
        (elements,) = parts
        return made(elements, *like)

    @property
    def layout(self) -> layout:
        return self._layout

    def numel(self) -> Any:
        sizes = [n for d, n in enumerate(self._elements.shape) if d != self._ragged - 1]
        return math.prod(sizes) * sum(self._rows.counts)

    nelement = numel

    def values(self) -> Tensor:
        """The elements of all tensors, which follow each other along the ragged dimension."""
        return own(self._elements)

    def offsets(self) -> Tensor:
        """Where each tensor begins in `values()`, and where the last one ends."""
        return wrap(np.array([*self._rows.starts, self._rows.total], np.int64))

    def lengths(self) -> Tensor | None:
        """The sizes of the tensors, where there are gaps between them; else None."""
        return wrap(np.array(self._rows.counts, np.int64)) if self._rows.has_gaps else None

    def parts(self) -> list[Tensor]:
        """The tensors: views of the elements."""
        spans = zip(self._rows.starts, self._rows.counts, strict=True)
        return [self._elements.narrow(self._ragged - 1, start, n) for start, n in spans]

    def to_padded_tensor(self, padding: float, output_size: Any = None) -> Tensor:
        """A plain tensor, whose size is the largest, with `padding` behind each tensor's end.

        Of `output_size` instead if that is given, which must not be smaller (RuntimeError).
        """
        along = self._ragged - 1
        rows = self._elements.movedim(along, 0)
        if not self._rows.total:
            padded: Any = ops.full(
                (len(self._rows.counts), 0, *rows.shape[1:]), padding, self.dtype
            )
        else:
            found = rows[wrap(self._rows.places())]
            held = wrap(self._rows.held()).reshape(found.shape[:2] + (1,) * (found.ndim - 2))
            padded = ops.where(held, found, ops.full((), padding, self.dtype))
        padded = padded.movedim(1, self._ragged)
        whole: Tensor = padded if output_size is None else _grown(padded, output_size, padding)
        return whole

    def __iter__(self) -> Iterator[Any]:
        return iter(self.parts())

    def __bool__(self) -> NoReturn:
        raise RuntimeError("the truth of a nested tensor is ambiguous; use x.values().any()")

    def item(self) -> Any:
        return self._elements.item()

    def __repr__(self) -> str:
        if self._layout is strided:
            texts = [repr(part.detach()).replace("\n", "\n  ") for part in self.parts()]
            inside = ",\n  ".join(texts)
            return f"nested_tensor([\n  {inside}\n])"
        sizes = ", ".join(map(repr, self._sizes))
        grad = ", requires_grad=True" if self.requires_grad and self.is_leaf else ""
        if self.grad_fn is not None:
            grad = f", grad_fn={self.grad_fn!r}"
        whole = f"contiguous={self._elements.is_contiguous() and not self._rows.has_gaps}"
        return f"NestedTensor(size=({sizes}), offsets={self.offsets()!r}{grad}, {whole})"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = self._with(self._elements.__deepcopy__(memo))
        return memo[id(self)]


def made(elements: Any, rows: Rows, ragged: int, kind: layout = jagged) -> Any:
    """A nested tensor of elements that follow each other along dimension ``ragged - 1``."""
    sizes: list[Any] = [len(rows.counts), *elements.shape]
    sizes[ragged] = rows.size
    found = object.__new__(NestedTensor)
    vars(found).update(
        _elements=elements, _sizes=Size(sizes), _rows=rows, _ragged=ragged, _layout=kind
    )
    return found


def _grown(padded: Any, wanted: Sequence[int], padding: float) -> Any:
    more = [n - have for n, have in zip(wanted, padded.shape, strict=True)]
    if min(more) < 0:
        raise NestedError(
            f"to_padded_tensor: output_size {tuple(wanted)} is smaller than {tuple(padded.shape)}"
        )
    return pad(padded, [side for n in reversed(more) for side in (0, n)], value=padding)


def nest(tensors: Sequence[Any], kind: layout) -> Any:
    """The nested tensor of a list of tensors, which gradients flow back to."""
    if not tensors:
        raise NestedError("Cannot construct a nested tensor from an empty tensor list")
    if len({x.dtype for x in tensors}) > 1:
        raise NestedError(
            "When constructing a nested tensor, all tensors in list must have the same dtype"
        )
    shapes = [tuple(x.shape) for x in tensors]
    if len({len(shape) for shape in shapes}) > 1 or not shapes[0]:
        raise NestedError(
            f"a nested tensor's tensors must have the same number of dimensions, at least 1: got "
            f"{shapes}"
        )
    along = [d for d, sizes in enumerate(zip(*shapes, strict=True)) if len({*sizes}) > 1]
    if len(along) > 1:
        raise NestedError(
            f"a nested tensor's tensors may differ in one size here, got {shapes}: make one of "
            "flattened tensors"
        )
    at = along[0] if along else 0
    rows = Rows.dense([shape[at] for shape in shapes])
    elements = cat(list(tensors), at)
    return made(elements, rows, at + 1, kind)
