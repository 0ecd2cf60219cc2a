"""Sparse tensors: the values that are held, and the tensors that say where they are.

A sparse tensor has no memory and no place on the tape of its own: the tensor of its values has
both, so gradients, casts and compiled code are those of plain tensors. What a function means for it
is found by the function's name, in the tables that the modules of this room fill.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from argand.base.dtype import DType
from argand.base.errors import ArgandError
from argand.base.layout import layout
from argand.ir.op import Op, ops
from argand.sparse.printing import show
from argand.tensor.core import Size, Tensor
from argand.tensor.device import device as device_type

Meaning = Callable[..., Any]
Meanings = dict[str, Meaning]


class SparseError(ArgandError, NotImplementedError, RuntimeError):
    """Something was asked of a sparse tensor that it doesn't do."""


class NumpyError(SparseError, TypeError):
    """The elements of a sparse tensor were asked for as an array."""


class SparseTensor(Tensor):
    """Base of the sparse layouts: values, and whatever says where they are.

    `_parts` are its tensors by name, the values last; `_like` makes another of other parts.
    """

    __slots__ = ()

    is_composed = True
    layout: ClassVar[layout]
    meanings: ClassVar[Meanings]
    is_sparse = False
    is_sparse_csr = False

    _elements: Tensor
    _sizes: Size

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = name_of(func)
        found = cls.meanings.get(name)
        if found is None:
            raise SparseError(
                f"{name}: not there for tensors of layout {cls.layout!r}; give it x.to_dense()"
            )
        return found(*args, **(kwargs or {}))

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

    def composed_of(self) -> dict[str, Tensor]:
        """Its tensors, by the names of its attributes, for `base/tree`."""
        return {name: part for name, part in vars(self).items() if isinstance(part, Tensor)}

    def composed_like(self) -> Any:
        """All else that it is made of."""
        found = [(k, part) for k, part in vars(self).items() if not isinstance(part, Tensor)]
        return tuple(vars(self)), tuple(found)

    @classmethod
    def composed_again(cls, like: Any, parts: Any) -> Any:
        """A tensor of such parts."""
        (order, found), given = like, iter(parts)
        known = dict(found)
        return _rebuilt(cls, {k: known[k] if k in known else next(given) for k in order})

    def _with(self, values: Tensor) -> Any:
        """Another with other values in the same places."""
        return self._like(*list(self._parts().values())[:-1], values)

    def _each(self, f: Callable[[Tensor], Tensor]) -> Any:
        """Another of what a function makes of each part."""
        return self._like(*[f(part) for part in self._parts().values()])

    # -- what every tensor has ---------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        return self._sizes

    @property
    def dtype(self) -> DType:
        return self._elements.dtype

    @property
    def ndim(self) -> int:
        return len(self._sizes)

    @property
    def device(self) -> device_type:
        return self._elements.device  # type: ignore[no-any-return]

    @property
    def itemsize(self) -> int:
        return self._elements.itemsize  # type: ignore[no-any-return]

    def size(self, dim: int | None = None) -> Any:
        return self._sizes if dim is None else self._sizes[dim]

    def dim(self) -> int:
        return len(self._sizes)

    def numel(self) -> Any:
        return self._sizes.numel()

    nelement, ndimension = numel, dim

    def __len__(self) -> int:
        if not self._sizes:
            raise TypeError("len() of a 0-d tensor")
        return int(self._sizes[0])

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

    def numpy(self, *, force: bool = False) -> NoReturn:
        self.numpy_array()

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.numpy_array()

    # -- autograd ----------------------------------------------------------------------------------

    @property
    def _node(self) -> Any:  # where Tensor has slots
        return self._elements._node

    @property
    def _index(self) -> int:  # type: ignore[override]
        return self._elements._index

    @property
    def _view(self) -> Any:  # type: ignore[override]
        return self._elements._view

    @property
    def _cold(self) -> Any:  # type: ignore[override]
        return self._elements._cold

    @property
    def requires_grad(self) -> bool:
        return self._elements.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self._elements.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        self._elements.requires_grad_(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        return self._elements.is_leaf

    @property
    def grad_fn(self) -> Any:
        return self._elements.grad_fn

    @property
    def grad(self) -> Any:
        found = self._elements.grad
        return None if found is None else self.gradient_of(found)

    @grad.setter
    def grad(self, value: Any) -> None:
        self._elements.grad = None if value is None else self._values_of_gradient(value)

    @grad.deleter
    def grad(self) -> None:
        self._elements.grad = None

    def part_on_tape(self) -> Tensor:
        """The values, which gradients flow to."""
        return self._elements

    def gradient_of(self, of_values: Tensor) -> Any:
        """The gradient of the tensor, of that of its values."""
        return self._with(of_values)

    def _values_of_gradient(self, gradient: Any) -> Tensor:
        """The gradient of the values, of that of the tensor."""
        if not isinstance(gradient, SparseTensor):
            raise SparseError("the gradient of a sparse tensor is sparse: use sparse_mask")
        return gradient._elements

    def detach(self) -> Any:
        return self._each(Tensor.detach)

    def detach_(self) -> Any:
        self._elements.detach_()
        return self

    @property
    def data(self) -> Any:
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        if type(value) is not type(self):
            raise TypeError(f"data of a {self.layout!r} tensor must be one, got {type(value)}")
        vars(self).update(vars(value.detach()))

    def backward(self, gradient: Any = None, *args: Any, **kwargs: Any) -> None:
        grads = gradient if gradient is None else self._values_of_gradient(gradient)
        self._elements.backward(grads, *args, **kwargs)

    def __repr__(self) -> str:
        return show(self)

    def __format__(self, spec: str) -> str:
        return format(show(self), spec)

    # -- copies ------------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            twin = self._each(lambda part: part.__deepcopy__(memo))
            memo[id(self)] = twin
        return memo[id(self)]

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), vars(self).copy())


def _rebuilt(kind: type[SparseTensor], parts: dict[str, Any]) -> Any:
    made = object.__new__(kind)
    vars(made).update(parts)
    return made


def name_of(func: Any) -> str:
    """The name by which the meaning of a function is found."""
    if isinstance(func, Op):
        return func.name
    owner = getattr(func, "__self__", None)
    if isinstance(owner, property) and owner.fget is not None:
        return owner.fget.__name__
    return str(getattr(func, "__name__", func))


def own(values: Tensor) -> Tensor:
    """A tensor's memory as values of another: a view where gradients flow to it."""
    if not values.requires_grad:
        return values.detach()
    return ops.permute(values, tuple(range(values.ndim)))  # type: ignore[no-any-return]
