"""The functions of lists of tensors that optimizers of other libraries call: `torch._foreach_add`
and its kin, one tensor after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.errors import ArgumentError
from argand.tensor.core import Tensor
from argand.tensor.surface import functions as public

_ONE = """abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2
neg reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc zero clone"""
_TWO = "add sub mul div pow clamp_min clamp_max maximum minimum copy"
_THREE = "addcdiv addcmul lerp"
_METHODS: dict[str, Callable[..., Any]] = {
    "maximum": public["maximum"],
    "minimum": public["minimum"],
    "clamp_min": lambda x, bound: x.clamp(min=bound),
    "clamp_max": lambda x, bound: x.clamp(max=bound),
}


def _each(value: Any, count: int) -> list[Any]:
    """A value for each tensor: those of a list, or one for all."""
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise ArgumentError(f"_foreach: {count} tensors and {len(value)} values")
    return list(value)


def _made(name: str, in_place: bool) -> Callable[..., Any]:
    method = name.removeprefix("_foreach_")
    plain = method.removesuffix("_")
    compute = _METHODS.get(plain) or getattr(Tensor, plain, None)
    stored = getattr(Tensor, method, None) if in_place else None

    def call(self: Any, *others: Any, **options: Any) -> Any:
        count = len(self)
        spread = zip(*(_each(other, count) for other in others), strict=True)
        operands = list(spread) if others else [()] * count
        results = []
        for x, given in zip(self, operands, strict=True):
            more = dict(options)
            if plain in ("addcdiv", "addcmul") and len(given) == 3:
                more["value"], given = given[2], given[:2]
            if stored is not None:
                results.append(stored(x, *given, **more))
            elif in_place:
                assert compute is not None
                results.append(x.copy_(compute(x, *given, **more)))
            else:
                assert compute is not None
                results.append(compute(x, *given, **more))
        return None if in_place else results

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`Tensor.{method}` of each tensor of a list."
    return call


def _foreach_norm(self: Any, ord: Any = 2, dtype: Any = None) -> list[Any]:  # PyTorch's names
    return [public["norm"](x if dtype is None else x.to(dtype), p=ord) for x in self]


def _foreach_max(self: Any) -> list[Any]:
    return [x.max() for x in self]


_KINDS = [f"_foreach_{n}{end}" for n in f"{_ONE} {_TWO} {_THREE}".split() for end in ("", "_")]
_ABSENT = {"_foreach_clone_", "_foreach_copy", "_foreach_zero"}
NAMES = sorted({*_KINDS, "_foreach_norm", "_foreach_max"} - _ABSENT)
"""Their names."""
globals().update({name: _made(name, name.endswith("_")) for name in NAMES if name in _KINDS})
