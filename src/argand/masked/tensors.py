"""MaskedTensor: elements, and a mask that says which of them count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from argand.base.dtype import DType, bfloat16, bool_
from argand.base.errors import ArgandError, ArgumentError
from argand.masked import reductions
from argand.tensor import reducing, selecting, shaping
from argand.tensor.composed import (
    ASKING,
    BINARY,
    CASTS,
    UNARY,
    ComposedTensor,
    Meaning,
    Meanings,
    own,
)
from argand.tensor.core import Tensor
from argand.tensor.surface import functions

_KINDS = "bif"  # of dtypes, as PyTorch's
_MOVES = """__getitem__ chunk expand expand_as flatten flip index_select movedim moveaxis narrow
permute ravel repeat reshape roll select split squeeze swapaxes swapdims t tensor_split transpose
unbind unflatten unfold unsqueeze view view_as matrix_transpose reversed_dims"""


class MaskedError(ArgandError, NotImplementedError, TypeError):
    """Something was asked of a masked tensor that it doesn't do."""


class MaskedTensor(ComposedTensor):
    """Elements `data` of which those count where `mask` is True, as `torch.masked.MaskedTensor`.

    Elementwise functions compute with all and keep the mask; two masked tensors must have equal
    ones (ValueError). Reductions take what counts, and a result counts where anything did. Moves,
    indices and casts work as on plain tensors; gradients are masked tensors. TypeError for what is
    no plain tensor of whole numbers, truth values or float16 to float64; ValueError for a mask of
    another shape.

    >>> x = ag.masked.masked_tensor(ag.tensor([1.0, 2.0, 4.0]), ag.tensor([True, False, True]))
    >>> x * 10
    MaskedTensor(
      [ 10.0000,       --,  40.0000]
    )
    >>> x.sum(), x.to_tensor(0.0)
    (MaskedTensor(  5.0000, True), tensor([1., 0., 4.]))
    """

    __slots__ = ()

    meanings: ClassVar[Meanings] = {}
    _mask: Tensor

    def __new__(cls, data: Any, mask: Any, requires_grad: bool = False) -> Any:
        for name, x in (("data", data), ("mask", mask)):
            if not isinstance(x, Tensor) or isinstance(x, ComposedTensor):
                raise TypeError(f"{name} must be a Tensor")
        _check(data, mask)
        return _made(data.detach().clone(), mask.clone()).requires_grad_(requires_grad)

    @classmethod
    def unknown(cls, name: str) -> Exception:
        """The error for what such tensors don't do."""
        return MaskedError(
            f"{name}: not there for masked tensors; give it x.to_tensor(value), or x.get_data()"
        )

    def _with(self, elements: Tensor) -> Any:
        return _made(elements, self._mask)

    def _each(self, f: Callable[[Tensor], Tensor]) -> Any:
        return _made(f(self._elements), f(self._mask))

    def _values_of_gradient(self, gradient: Any) -> Tensor:
        if isinstance(gradient, MaskedTensor):
            return gradient.to_tensor(0)
        return gradient  # type: ignore[no-any-return]

    def get_data(self) -> Tensor:
        """All elements, those that don't count among them.

        >>> ag.masked.masked_tensor(ag.tensor([1, 2]), ag.tensor([True, False])).get_data()
        tensor([1, 2])
        """
        return own(self._elements)

    def get_mask(self) -> Tensor:
        """Which elements count.

        >>> ag.masked.masked_tensor(ag.tensor([1, 2]), ag.tensor([True, False])).get_mask()
        tensor([ True, False])
        """
        return self._mask

    def to_tensor(self, value: Any) -> Tensor:
        """A plain tensor, with `value` in place of what doesn't count.

        >>> x = ag.masked.masked_tensor(ag.tensor([1, 2]), ag.tensor([True, False]))
        >>> x.to_tensor(-1)
        tensor([ 1, -1])
        """
        return selecting.masked_fill(self._elements, ~self._mask, value)  # type: ignore[no-any-return]

    def item(self) -> Any:
        if self.numel() == 1 and not bool(self._mask):
            raise ValueError("item: the only element of this masked tensor doesn't count")
        return self._elements.item()

    def __bool__(self) -> bool:
        return bool(self.item())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.unbind(0))

    def __repr__(self) -> str:
        texts = _texts(self._elements.detach(), self._mask)
        if not self._sizes:
            return f"MaskedTensor({texts}, {bool(self._mask)})"
        return f"MaskedTensor(\n{_indented(_block(texts))}\n)"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)


def _made(elements: Any, mask: Any) -> Any:
    """A masked tensor of what is nobody else's."""
    made = object.__new__(MaskedTensor)
    vars(made).update(_elements=elements, _mask=mask, _sizes=elements.shape)
    return made


def _check(data: Any, mask: Any) -> None:
    if mask.dtype is not bool_:
        raise TypeError("mask must have dtype bool.")
    dtype: DType = data.dtype
    if dtype.kind not in _KINDS or dtype is bfloat16:
        raise TypeError(f"{dtype!r} is not supported in MaskedTensor.")
    if data.ndim != mask.ndim:
        raise ValueError("data.dim() must equal mask.dim()")
    if tuple(data.shape) != tuple(mask.shape):
        raise ValueError("data.size() must equal mask.size()")


def masked_tensor(data: Any, mask: Any, requires_grad: bool = False) -> Any:
    """A MaskedTensor of copies of `data` and `mask`: a leaf, which may want a gradient.

    >>> x = ag.masked.masked_tensor(ag.ones(2), ag.tensor([True, False]), requires_grad=True)
    >>> (x * 3).sum().backward()
    >>> x.grad
    MaskedTensor(
      [  3.0000,       --]
    )
    """
    return MaskedTensor(data, mask, requires_grad)


def as_masked_tensor(data: Any, mask: Any) -> Any:
    """A MaskedTensor of `data`, which gradients flow back to.

    >>> x = ag.ones(2, requires_grad=True)
    >>> (ag.masked.as_masked_tensor(x, ag.tensor([True, False])) * 3).sum().backward()
    >>> x.grad
    tensor([3., 0.])
    """
    for name, x in (("data", data), ("mask", mask)):
        if not isinstance(x, Tensor) or isinstance(x, ComposedTensor):
            raise TypeError(f"{name} must be a Tensor")
    _check(data, mask)
    return _made(functions["clone"](data), mask.clone())


def is_masked_tensor(obj: Any, /) -> bool:
    """Whether something is a MaskedTensor.

    >>> ag.masked.is_masked_tensor(ag.ones(2))
    False
    """
    return isinstance(obj, MaskedTensor)


# -- text ------------------------------------------------------------------------------------------


def _texts(data: Any, mask: Any) -> Any:
    """The texts of the elements, nested as these are."""
    if data.ndim:
        return [_texts(d, m) for d, m in zip(data.unbind(0), mask.unbind(0), strict=True)]
    value = data.item()
    if not mask.item():
        return "--"
    return f"{value:8.4f}" if isinstance(value, float) else str(value)


def _block(texts: list[Any]) -> str:
    if all(isinstance(text, str) for text in texts):
        width = max([8 if text == "--" else len(text) for text in texts], default=0)
        return f"[{', '.join(text.rjust(width) if text == '--' else text for text in texts)}]"
    return "[\n" + ",\n".join(_indented(_block(part)) for part in texts) + "\n]"


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.split("\n"))


# -- what functions mean ---------------------------------------------------------------------------


def _function(name: str) -> Any:
    found = getattr(Tensor, name, None) or getattr(shaping, name, None)
    return functions[name] if found is None else found


def _data(x: Any) -> Any:
    if isinstance(x, MaskedTensor):
        return x._elements
    return type(x)([_data(item) for item in x]) if type(x) in (list, tuple) else x


def _masks(x: Any) -> Any:
    if isinstance(x, MaskedTensor):
        return x._mask
    return type(x)([_masks(item) for item in x]) if type(x) in (list, tuple) else x


def _mask_of(given: Any) -> Any:
    """The mask that the masked tensors of a call share."""
    masks = [x._mask for x in given if isinstance(x, MaskedTensor)]
    first = masks[0]
    for other in masks[1:]:
        if other is not first and not functions["equal"](first, other):
            raise ValueError("Input masks must match: these differ; where(mask, x, y) joins them")
    return first


def _elementwise(name: str) -> Meaning:
    function = _function(name)

    def meaning(*args: Any, **kwargs: Any) -> Any:
        found = function(*map(_data, args), **{k: _data(x) for k, x in kwargs.items()})
        mask = _mask_of((*args, *kwargs.values()))
        return _made(found, functions["broadcast_to"](mask, tuple(found.shape)))

    return meaning


def _moving(name: str) -> Meaning:
    function = _function(name)

    def meaning(*args: Any, **kwargs: Any) -> Any:
        found = function(*map(_data, args), **kwargs)
        mask = function(*map(_masks, args), **kwargs)
        if isinstance(found, tuple | list):
            return tuple(_made(x, m) for x, m in zip(found, mask, strict=True))
        return _made(found, mask)

    return meaning


def _joining(name: str) -> Meaning:
    function = functions[name]

    def meaning(tensors: Any, *args: Any, **kwargs: Any) -> Any:
        masked = [x if isinstance(x, MaskedTensor) else _all_of(x) for x in tensors]
        found = function([x._elements for x in masked], *args, **kwargs)
        return _made(found, function([x._mask for x in masked], *args, **kwargs))

    return meaning


def _all_of(x: Any) -> Any:
    return _made(x, functions["ones_like"](x, dtype=bool_))


def _of_elements(name: str) -> Meaning:
    function = _function(name)

    def meaning(input: MaskedTensor, *args: Any, **kwargs: Any) -> Any:
        found = function(input._elements, *map(_data, args), **kwargs)
        return input._with(found) if isinstance(found, Tensor) else found

    return meaning


def _assigned(meaning: Meaning) -> Meaning:
    """The meaning in place: the tensor takes the elements and the mask of the result."""

    def inplace(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.requires_grad and self.is_leaf:
            raise ArgumentError("a leaf that requires grad can't be changed in place")
        found = meaning(self, *args, **kwargs)
        if tuple(found.shape) != tuple(self.shape):
            raise ArgumentError(
                f"in place, {tuple(self.shape)} can't become {tuple(found.shape)}: use the result"
            )
        vars(self).update(vars(found.to(self.dtype)))
        return self

    return inplace


def _reducing(name: str) -> Meaning:
    """A reduction of what counts; a result counts where anything did."""
    function = getattr(reductions, name)

    def meaning(input: Any, dim: Any = None, keepdim: bool = False, **options: Any) -> Any:
        found = function(input._elements, dim=dim, keepdim=keepdim, mask=input._mask, **options)
        return _made(found, reducing.any(input._mask, dim, keepdim))

    return meaning


def _all(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    found = reducing.all(selecting.masked_fill(input._elements, ~input._mask, True), dim, keepdim)
    return _made(found, reducing.any(input._mask, dim, keepdim))


def _softmax(input: Any, dim: int, dtype: Any = None, **ignored: Any) -> Any:
    return input._with(reductions.softmax(input._elements, dim, dtype=dtype, mask=input._mask))


def _where(condition: Any, input: Any, other: Any) -> Any:
    given = [x if isinstance(x, MaskedTensor) else _whole(x, condition) for x in (input, other)]
    found = selecting.where(condition, *[x._elements for x in given])
    return _made(found, selecting.where(condition, *[x._mask for x in given]))


def _whole(x: Any, condition: Any) -> Any:
    return _all_of(x if isinstance(x, Tensor) else functions["full"](tuple(condition.shape), x))


def _copy(self: Any, src: Any, non_blocking: bool = False) -> Any:
    _mask_of((self, src))
    self._elements.copy_(_data(src))
    return self


def _like(name: str) -> Meaning:
    return lambda input, **options: input._with(functions[name](input._elements, **options))


def _fill_table() -> None:
    table: Meanings = MaskedTensor.meanings
    elementwise = {name: _elementwise(name) for name in (*UNARY.split(), *BINARY.split())}
    table |= elementwise
    table |= {f"{n}_": _assigned(f) for n, f in elementwise.items() if not n.startswith("__")}
    table |= {name: _moving(name) for name in _MOVES.split()}
    table |= {name: _joining(name) for name in ("cat", "concat", "concatenate", "stack")}
    table |= {name: _of_elements(name) for name in (*CASTS.split(), *ASKING.split())}
    table |= {name: _like(name) for name in ("ones_like", "zeros_like", "full_like", "empty_like")}
    names = "amax amin argmax argmin mean norm prod std sum var"
    table |= {name: _reducing(name) for name in names.split()}
    table |= {
        "all": _all,
        "clone": lambda x, **options: x._each(lambda part: part.clone()),
        "contiguous": lambda x, **options: x._each(lambda part: part.contiguous()),
        "copy_": _copy,
        "detach": lambda x: x.detach(),
        "is_same_size": lambda x, y: tuple(x.shape) == tuple(y.shape),
        "is_tensor": lambda x: True,
        "numel": lambda x: x.numel(),
        "retain_grad": lambda x: x._elements.retain_grad(),
        "softmax": _softmax,
        "where": _where,
    }


_fill_table()
