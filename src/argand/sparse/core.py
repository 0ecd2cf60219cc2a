"""Sparse tensors: the values that are held, and the tensors that say where they are.

The modules of this room fill the tables of what functions mean for them (`tensor/composed.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from argand.base.errors import ArgandError
from argand.base.layout import layout
from argand.sparse.printing import show
from argand.tensor.composed import ComposedTensor, Meaning, Meanings, own
from argand.tensor.core import Tensor

__all__ = ["Meaning", "Meanings", "NumpyError", "SparseError", "SparseTensor", "own"]


class SparseError(ArgandError, NotImplementedError, RuntimeError):
    """Something was asked of a sparse tensor that it doesn't do."""


class NumpyError(SparseError, TypeError):
    """The elements of a sparse tensor were asked for as an array."""


class SparseTensor(ComposedTensor):
    """Base of the sparse layouts: values, and whatever says where they are.

    `_parts` are its tensors by name, the values last; `_like` makes another of other parts.
    """

    __slots__ = ()

    layout: ClassVar[layout]
    is_sparse = False
    is_sparse_csr = False

    @classmethod
    def unknown(cls, name: str) -> Exception:
        """The error for what such tensors don't do."""
        return SparseError(
            f"{name}: not there for tensors of layout {cls.layout!r}; give it x.to_dense()"
        )

    # -- what a layout states ----------------------------------------------------------------------

    def _parts(self) -> dict[str, Tensor]:
        """The tensors that it is made of, by PyTorch's names; the values are the last."""
        raise NotImplementedError

    def _like(self, *parts: Tensor) -> Any:
        """Another of the same shape."""
        raise NotImplementedError

    def places(self) -> tuple[Tensor, ...]:
        """Where the values are: a vector for each sparse dimension."""
        raise NotImplementedError

    def to_sparse_coo(self) -> Any:
        """The same in the layout sparse_coo."""
        raise NotImplementedError

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
        """All elements as a plain tensor, those that aren't held 0."""
        raise NotImplementedError

    def _with(self, values: Tensor) -> Any:
        """Another with other values in the same places."""
        return self._like(*list(self._parts().values())[:-1], values)

    def _each(self, f: Callable[[Tensor], Tensor]) -> Any:
        """Another of what a function makes of each part."""
        return self._like(*[f(part) for part in self._parts().values()])

    def _values_of_gradient(self, gradient: Any) -> Tensor:
        if not isinstance(gradient, SparseTensor):
            raise SparseError("the gradient of a sparse tensor is sparse: use sparse_mask")
        return gradient._elements

    # -- what it doesn't have ----------------------------------------------------------------------

    def __bool__(self) -> bool:
        return bool(self.to_dense())

    def item(self) -> Any:
        return self.to_dense().item()

    def values(self) -> Tensor:
        """The values that are held: (count, sizes of the dense dimensions)."""
        return self._elements.detach() if not self._elements.requires_grad else self._elements

    def _nnz(self) -> int:
        return int(self._elements.shape[0])

    @property
    def _array(self) -> Any:
        raise SparseError(
            f"this function knows no tensors of layout {self.layout!r}; give it x.to_dense()"
        )

    def numpy_array(self) -> NoReturn:
        raise NumpyError(
            f"a tensor of layout {self.layout!r} can't become an array; use x.to_dense() first"
        )

    def __repr__(self) -> str:
        return show(self)

    def __format__(self, spec: str) -> str:
        return format(show(self), spec)
