"""Tensors that are made of plain ones: sparse, masked and nested tensors.

Such a tensor has no memory and no place on the tape of its own: the tensor of its elements has
both, so gradients, casts and compiled code are those of plain tensors. What a function means for it
is found by the function's name, in the table `meanings` of its class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from argand.base.dtype import DType
from argand.ir.op import Op, ops
from argand.tensor.core import Size, Tensor
from argand.tensor.device import device as device_type

Meaning = Callable[..., Any]
Meanings = dict[str, Meaning]

# Functions of each element, of one tensor and of two; casts; questions.
UNARY = """abs absolute acos arccos acosh arccosh angle asin arcsin asinh arcsinh atan arctan atanh
arctanh bitwise_not ceil clamp clip conj_physical cos cosh deg2rad digamma erf erfc erfinv exp exp2
expm1 fix floor frac i0 isnan lgamma log log10 log1p log2 logical_not logit nan_to_num neg negative
positive rad2deg reciprocal relu round rsqrt sgn sigmoid sign signbit sin sinc sinh sqrt square tan
tanh trunc __invert__"""
BINARY = """add arctan2 atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift
bitwise_xor div divide eq floor_divide fmax fmin fmod ge greater greater_equal gt le less less_equal
logaddexp logaddexp2 logical_and logical_or lt maximum minimum mul multiply ne nextafter not_equal
pow remainder sub subtract true_divide __and__ __eq__ __floordiv__ __mod__ __ne__ __or__ __pow__
__radd__ __rand__ __rdiv__ __rfloordiv__ __rmod__ __rmul__ __ror__ __rpow__ __rsub__ __rtruediv__
__rxor__ __xor__"""
CASTS = "bool byte char cpu double float half int long short to type type_as"
ASKING = "element_size get_device is_complex is_contiguous is_floating_point is_signed stride"


class ComposedTensor(Tensor):
    """Base of tensors that are made of others: of `_elements`, which is on the tape, and of what
    else a class has as attributes; `_sizes` is the shape.

    `_with` makes another of other elements, `_each` one of what a function makes of each part,
    `unknown` the error for a function that has no meaning.
    """

    __slots__ = ()

    is_composed = True
    meanings: ClassVar[Meanings]

    _elements: Tensor
    _sizes: Size

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = name_of(func)
        found = cls.meanings.get(name)
        if found is None:
            raise cls.unknown(name)
        return found(*args, **(kwargs or {}))

    @classmethod
    def unknown(cls, name: str) -> Exception:
        """The error for a function that has no meaning for the class."""
        raise NotImplementedError

    def _with(self, elements: Tensor) -> Any:
        """Another with other elements."""
        raise NotImplementedError

    def _each(self, f: Callable[[Tensor], Tensor]) -> Any:
        """Another of what a function makes of each part."""
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

    @property
    def _array(self) -> Any:
        raise self.unknown("this function")

    def numpy_array(self) -> NoReturn:
        raise self.unknown("an array of it")

    def numpy(self, *, force: bool = False) -> NoReturn:
        self.numpy_array()

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.numpy_array()

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
        raise NotImplementedError

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
            raise TypeError(f"data of a {type(self).__name__} must be one, got {type(value)}")
        vars(self).update(vars(value.detach()))

    def backward(self, gradient: Any = None, *args: Any, **kwargs: Any) -> None:
        grads = gradient if gradient is None else self._values_of_gradient(gradient)
        self._elements.backward(grads, *args, **kwargs)

    # -- copies ------------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            twin = self._each(lambda part: part.__deepcopy__(memo))
            memo[id(self)] = twin
        return memo[id(self)]

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), vars(self).copy())


def _rebuilt(kind: type[ComposedTensor], parts: dict[str, Any]) -> Any:
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
    """A tensor's memory as elements of another: a view where gradients flow to it."""
    if not values.requires_grad:
        return values.detach()
    return ops.permute(values, tuple(range(values.ndim)))  # type: ignore[no-any-return]
