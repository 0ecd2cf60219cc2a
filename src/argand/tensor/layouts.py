"""The layouts of tensors, as methods: plain tensors become sparse ones, and say that they are none.

Sparse tensors, which are in a room of their own, have these methods too.
"""

from __future__ import annotations

from typing import Any, NoReturn

from argand.base.dtype import as_dtype
from argand.base.errors import ArgumentError
from argand.base.late import resolve
from argand.base.layout import layout as layout_type
from argand.base.layout import strided
from argand.ir.op import ops


def layout(self: Any) -> layout_type:
    """How the tensor holds its elements: ``ag.strided``, or ``ag.sparse_coo`` and the like.

    >>> ag.ones(2).layout
    argand.strided
    """
    return strided


def to_sparse(self: Any, sparse_dim: Any = None, *, layout: Any = None) -> Any:
    """The tensor as a sparse one: what isn't 0, and where it is. Gradients flow through it.

    With `sparse_dim` the last dimensions are dense: whole parts along them are held. A `layout`
    other than ``ag.sparse_coo`` gives what `to_sparse_csr` or `to_sparse_csc` gives. Follows
    `torch.Tensor.to_sparse`.

    >>> ag.tensor([[0.0, 3.0], [0.0, 0.0]]).to_sparse()
    tensor(indices=tensor([[0],
                           [1]]),
           values=tensor([3.]),
           size=(2, 2), nnz=1, layout=argand.sparse_coo)
    """
    return resolve("tensor.sparse").to_sparse(self, sparse_dim, layout=layout)


def to_sparse_csr(self: Any, dense_dim: int | None = None) -> Any:
    """A matrix row by row: what isn't 0, the columns, and where each row begins.

    With `dense_dim` the last dimensions are dense. Follows `torch.Tensor.to_sparse_csr`.

    >>> x = ag.tensor([[0.0, 3.0], [4.0, 5.0]]).to_sparse_csr()
    >>> x.crow_indices(), x.col_indices(), x.values()
    (tensor([0, 1, 3]), tensor([1, 0, 1]), tensor([3., 4., 5.]))
    """
    return resolve("tensor.sparse").to_sparse_csr(self, dense_dim)


def to_sparse_csc(self: Any, dense_dim: int | None = None) -> Any:
    """A matrix column by column: what isn't 0, the rows, and where each column begins.

    >>> x = ag.tensor([[0.0, 3.0], [4.0, 5.0]]).to_sparse_csc()
    >>> x.ccol_indices(), x.row_indices(), x.values()
    (tensor([0, 1, 3]), tensor([1, 0, 1]), tensor([4., 3., 5.]))
    """
    return resolve("tensor.sparse").to_sparse_csc(self, dense_dim)


def to_sparse_coo(self: Any) -> Any:
    """The tensor with the layout sparse_coo: ``to_sparse(layout=ag.sparse_coo)``.

    >>> ag.tensor([0.0, 3.0]).to_sparse_coo().values()
    tensor([3.])
    """
    return resolve("tensor.sparse").to_sparse_coo(self)


def to_dense(self: Any, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
    """All elements of a sparse tensor, in a plain one; a plain tensor itself.

    Gradients flow to the values that are held. Follows `torch.Tensor.to_dense`.

    >>> ag.sparse_coo_tensor([[1]], [3.0], (2,)).to_dense()
    tensor([0., 3.])
    """
    return self if dtype is None else ops.cast(self, as_dtype(dtype))


def sparse_mask(self: Any, mask: Any) -> Any:
    """The elements at the places that a sparse tensor of the same shape holds, as a sparse tensor.

    Follows `torch.Tensor.sparse_mask`.

    >>> places = ag.sparse_coo_tensor([[1]], [1.0], (2,)).coalesce()
    >>> ag.tensor([3.0, 4.0]).sparse_mask(places).values()
    tensor([4.])
    """
    return resolve("tensor.sparse").sparse_mask(self, mask)


def sparse_dim(self: Any) -> int:
    """How many dimensions, the first, are sparse; 0 of a plain tensor.

    >>> ag.ones(2, 3).to_sparse(1).sparse_dim()
    1
    """
    return 0


def dense_dim(self: Any) -> int:
    """How many dimensions, the last, are dense; all of a plain tensor.

    >>> ag.ones(2, 3).to_sparse(1).dense_dim()
    1
    """
    return int(self.ndim)


def coalesce(self: Any) -> Any:
    """A sparse tensor with its places in order, each once: values in one place are added up.

    Itself where it is so. Follows `torch.Tensor.coalesce`.

    >>> ag.sparse_coo_tensor([[1, 1]], [3.0, 4.0], (2,)).coalesce().values()
    tensor([7.])
    """
    _refuse(self, "coalesce")


def is_coalesced(self: Any) -> bool:
    """Whether the places of a sparse tensor are known to be in order, each there once.

    >>> x = ag.sparse_coo_tensor([[1, 1]], [3.0, 4.0], (2,))
    >>> x.is_coalesced(), x.coalesce().is_coalesced()
    (False, True)
    """
    _refuse(self, "is_coalesced")


def indices(self: Any) -> Any:
    """The places of a coalesced tensor: (sparse dimensions, count).

    >>> ag.eye(2).to_sparse().indices()
    tensor([[0, 1],
            [0, 1]])
    """
    _refuse(self, "indices")


def values(self: Any) -> Any:
    """The values that a coalesced sparse tensor holds: (count, sizes of the dense dimensions).

    >>> ag.eye(2).to_sparse().values()
    tensor([1., 1.])
    """
    _refuse(self, "values")


def _refuse(self: Any, name: str) -> NoReturn:
    raise ArgumentError(
        f"{name}: expected a sparse tensor, got one of layout {self.layout!r}; x.to_sparse() "
        "gives one"
    )


def _refusing(name: str) -> Any:
    def refuse(self: Any) -> Any:
        _refuse(self, name)

    return refuse


def crow_indices(self: Any) -> Any:
    """Where the values of each row of a matrix of layout sparse_csr begin, and the last one's end.

    >>> ag.eye(2).to_sparse_csr().crow_indices()
    tensor([0, 1, 2])
    """
    _refuse(self, "crow_indices")


def col_indices(self: Any) -> Any:
    """The columns of the values of a matrix of layout sparse_csr.

    >>> ag.eye(2).to_sparse_csr().col_indices()
    tensor([0, 1])
    """
    _refuse(self, "col_indices")


def ccol_indices(self: Any) -> Any:
    """Where the values of each column of a matrix of layout sparse_csc begin.

    >>> ag.eye(2).to_sparse_csc().ccol_indices()
    tensor([0, 1, 2])
    """
    _refuse(self, "ccol_indices")


def row_indices(self: Any) -> Any:
    """The rows of the values of a matrix of layout sparse_csc.

    >>> ag.eye(2).to_sparse_csc().row_indices()
    tensor([0, 1])
    """
    _refuse(self, "row_indices")


_nnz, _indices, _values = _refusing("_nnz"), _refusing("_indices"), _refusing("_values")
