"""Parts of parameters that are masked out: `torch.nn.utils.prune`.

A pruned parameter is trained as ``<name>_orig``; the buffer ``<name>_mask`` says what is left, and
the attribute ``<name>`` is their product, computed at each use.
"""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from argand.base.errors import ArgumentError, CallError, IndexRangeError
from argand.ir.op import ops
from argand.nn.module import Module
from argand.nn.utils.clip import parameters_to_vector
from argand.nn.utils.computed import compute
from argand.tensor.random import uniform_of
from argand.tensor.reducing import vector_norm
from argand.transform.mode import no_grad

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


class BasePruningMethod(ABC):
    """How a mask is found. A subclass states `PRUNING_TYPE` ("unstructured", "structured" with an
    attribute `dim`, or "global") and `compute_mask`.

    >>> class EveryOther(nn.utils.prune.BasePruningMethod):
    ...     PRUNING_TYPE = "unstructured"
    ...     def compute_mask(self, t, default_mask):
    ...         mask = default_mask.clone()
    ...         mask.view(-1)[::2] = 0
    ...         return mask
    >>> layer = nn.Linear(2, 2)
    >>> method = EveryOther.apply(layer, "weight")
    >>> layer.weight_mask
    tensor([[0., 1.],
            [0., 1.]])
    """

    PRUNING_TYPE: str
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        """Nothing: the product is computed where it is used."""
        return

    @abstractmethod
    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask for the importance `t` of each element, where `default_mask` says what is left
        so far."""

    def apply_mask(self, module: Module) -> Any:
        """The product of the original and its mask."""
        original = getattr(module, f"{self._tensor_name}_orig")
        mask = getattr(module, f"{self._tensor_name}_mask")
        return ops.mul(original, ops.cast(mask, original.dtype))

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any
    ) -> Any:
        """Prune ``module.<name>``, on top of what has been pruned already; returns the method."""
        method = cls(*args, **kwargs)
        method._tensor_name = name
        before = _method_of(module, name)
        original = getattr(module, name) if before is None else getattr(module, f"{name}_orig")
        scores = getattr(module, name) if importance_scores is None else importance_scores
        if tuple(scores.shape) != tuple(original.shape):
            raise ArgumentError(
                f"importance_scores must have the shape {tuple(original.shape)} of {name!r}, got "
                f"{tuple(scores.shape)}"
            )
        used: BasePruningMethod = method if before is None else _joined(before, method)
        with no_grad():
            if before is None:
                mask = ops.full(tuple(original.shape), 1, original.dtype)
            else:
                mask = getattr(module, f"{name}_mask").detach().clone()
            mask = used.compute_mask(scores.detach(), default_mask=mask)
        if before is None:
            delattr(module, name)
            module.register_parameter(f"{name}_orig", original)
        else:
            _forget(module, name)
        module.register_buffer(f"{name}_mask", mask)
        module.register_forward_pre_hook(used)
        compute(module, name, used.apply_mask)
        return used

    def prune(self, t: Any, default_mask: Any = None, importance_scores: Any = None) -> Any:
        """`t` times its mask."""
        scores = t if importance_scores is None else importance_scores
        if tuple(scores.shape) != tuple(t.shape):
            raise ArgumentError(
                f"importance_scores must have the shape {tuple(t.shape)} of the tensor, got "
                f"{tuple(scores.shape)}"
            )
        if default_mask is None:
            default_mask = ops.full(tuple(t.shape), 1, t.dtype)
        return ops.mul(t, self.compute_mask(scores, default_mask=default_mask))

    def remove(self, module: Module) -> None:
        """Let the parameter be one of its own again, with zeros where it was pruned."""
        name = self._tensor_name
        with no_grad():
            value = self.apply_mask(module).detach()
        original = getattr(module, f"{name}_orig")
        compute(module, name, None)
        delattr(module, f"{name}_orig")
        delattr(module, f"{name}_mask")
        original.data = value
        module.register_parameter(name, original)


def _method_of(module: Module, name: str) -> BasePruningMethod | None:
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return hook
    return None


def _forget(module: Module, name: str) -> None:
    for key, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            del module._forward_pre_hooks[key]


def _joined(before: BasePruningMethod, method: BasePruningMethod) -> PruningContainer:
    made = before if isinstance(before, PruningContainer) else PruningContainer(before)
    made.add_pruning_method(method)
    return made


class PruningContainer(BasePruningMethod):
    """Several methods, one on top of the other.

    >>> layer = nn.utils.prune.l1_unstructured(nn.Linear(4, 2), "weight", 2)
    >>> layer = nn.utils.prune.random_unstructured(layer, "weight", 2)
    >>> int(layer.weight_mask.sum())
    4
    """

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if args:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """Put another method on top."""
        if not isinstance(method, BasePruningMethod):
            raise CallError(f"{type(method).__name__} is no BasePruningMethod")
        if self._tensor_name != method._tensor_name:
            raise ArgumentError(
                f"this container prunes {self._tensor_name!r}, the method {method._tensor_name!r}"
            )
        self._pruning_methods = (*self._pruning_methods, method)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, index: Any) -> Any:
        return self._pruning_methods[index]

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask of the last method, which sees only what the others left."""
        method = self._pruning_methods[-1]
        left = _left(method, t, default_mask)
        mask = ops.cast(default_mask, t.dtype).clone()
        mask[left] = ops.cast(method.compute_mask(t[left], default_mask[left]), t.dtype)
        return mask


def _left(method: BasePruningMethod, t: Any, mask: Any) -> Any:
    """The index of what other methods left: elements, channels, or all."""
    kind = method.PRUNING_TYPE
    if kind == "global":
        return (slice(None),) * t.ndim
    if kind == "unstructured":
        return ops.eq(mask, 1)
    if kind != "structured":
        raise ArgumentError(f"unknown PRUNING_TYPE {kind!r}")
    dim = _checked_dim(t, method.dim)  # type: ignore[attr-defined]  # such methods have it
    others = tuple(d for d in range(t.ndim) if d != dim)
    return (*(slice(None),) * dim, ops.ne(ops.sum(mask, others), 0))


class Identity(BasePruningMethod):
    """Prunes nothing, but puts the mask there.

    >>> nn.utils.prune.Identity.apply(nn.Linear(1, 1), "bias").PRUNING_TYPE
    'unstructured'
    """

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask as it is."""
        return default_mask


class _Amount(BasePruningMethod):
    """A number of elements or channels, or a share of them."""

    amount: Any

    def __init__(self, amount: Any) -> None:
        if not isinstance(amount, numbers.Real):
            raise CallError(f"amount must be an int or a float, got {type(amount).__name__}")
        whole = isinstance(amount, numbers.Integral)
        most = math.inf if whole else 1
        if not 0 <= float(amount) <= most:
            raise ArgumentError(f"amount must be a count, or a share in [0, 1]; got {amount}")
        self.amount = amount

    def _count(self, size: int) -> int:
        count: Any = self.amount
        if not isinstance(count, numbers.Integral):
            return round(float(count) * size)
        if int(count) > size:
            raise ArgumentError(f"amount={count} is more than the {size} that there are")
        return int(count)


class _Elements(_Amount):
    PRUNING_TYPE = "unstructured"

    def _importance(self, t: Any) -> Any:
        raise NotImplementedError

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask without the least important elements."""
        size = int(t.numel())
        count = self._count(size)
        mask = default_mask.clone().reshape(size)
        if count:
            mask[self._importance(t).reshape(size).topk(count, largest=False)[1]] = 0
        return mask.reshape(tuple(t.shape))


class RandomUnstructured(_Elements):
    """Prunes elements at random.

    >>> layer = nn.Linear(4, 1)
    >>> method = nn.utils.prune.RandomUnstructured.apply(layer, "weight", amount=0.5)
    >>> int(layer.weight_mask.sum())
    2
    """

    def _importance(self, t: Any) -> Any:
        return uniform_of(tuple(t.shape), t.dtype, None)


class L1Unstructured(_Elements):
    """Prunes the elements nearest to zero.

    >>> nn.utils.prune.L1Unstructured(1).prune(ag.tensor([3.0, -1.0, 2.0]))
    tensor([3., -0., 2.])
    """

    def _importance(self, t: Any) -> Any:
        return ops.abs(t)


def _checked_dim(t: Any, dim: int) -> int:
    if not -t.ndim <= dim < t.ndim:
        raise IndexRangeError(f"dimension {dim} is out of range for shape {tuple(t.shape)}")
    return int(dim % t.ndim)


class _Channels(_Amount):
    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _importance(self, t: Any, dim: int) -> Any:
        raise NotImplementedError

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask without the least important channels along `dim`."""
        if t.ndim < 2:
            raise ArgumentError(
                f"channels are pruned of tensors of 2 dimensions or more, got {tuple(t.shape)}"
            )
        dim = _checked_dim(t, self.dim)
        size = int(t.shape[dim])
        kept = self._importance(t, dim).topk(size - self._count(size))[1]
        index = (*(slice(None),) * dim, kept)
        mask = ops.full(tuple(t.shape), 0, default_mask.dtype)
        mask[index] = default_mask[index]
        return mask


class RandomStructured(_Channels):
    """Prunes channels at random.

    >>> nn.utils.prune.RandomStructured(1, dim=0).prune(ag.ones(3, 2)).sum()
    tensor(4.)
    """

    def _importance(self, t: Any, dim: int) -> Any:
        return uniform_of((t.shape[dim],), t.dtype, None)


class LnStructured(_Channels):
    """Prunes the channels of the least n-norm.

    >>> nn.utils.prune.LnStructured(1, n=2, dim=0).prune(ag.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[3., 4.],
            [0., 0.]])
    """

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _importance(self, t: Any, dim: int) -> Any:
        return vector_norm(t, float(self.n), tuple(d for d in range(t.ndim) if d != dim))


class CustomFromMask(BasePruningMethod):
    """Prunes what a mask of your own says.

    >>> nn.utils.prune.CustomFromMask(ag.tensor([0.0, 1.0])).prune(ag.tensor([5.0, 6.0]))
    tensor([0., 6.])
    """

    PRUNING_TYPE = "global"

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The product of both masks."""
        if tuple(default_mask.shape) != tuple(self.mask.shape):
            raise ArgumentError(
                f"the mask must have the shape {tuple(default_mask.shape)}, got "
                f"{tuple(self.mask.shape)}"
            )
        return ops.mul(default_mask, ops.cast(self.mask, default_mask.dtype))


def identity(module: Module, name: str) -> Module:
    """Put a mask of ones there; returns the module.

    >>> sorted(nn.utils.prune.identity(nn.Linear(1, 1), "weight").state_dict())
    ['bias', 'weight_mask', 'weight_orig']
    """
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prune elements at random: `amount` of them, or that share; returns the module.

    >>> layer = nn.utils.prune.random_unstructured(nn.Linear(4, 1), "weight", 0.25)
    >>> int((layer.weight == 0).sum())
    1
    """
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Module, name: str, amount: float, importance_scores: Any = None
) -> Module:
    """Prune the elements nearest to zero, or of least importance; returns the module.

    >>> layer = nn.utils.prune.l1_unstructured(nn.Linear(4, 1), "weight", 0.5)
    >>> int((layer.weight == 0).sum())
    2
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prune channels along `dim` at random; returns the module.

    >>> layer = nn.utils.prune.random_structured(nn.Linear(4, 2), "weight", 1, dim=1)
    >>> int((layer.weight == 0).sum())
    2
    """
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module, name: str, amount: float, n: Any, dim: int, importance_scores: Any = None
) -> Module:
    """Prune the channels along `dim` of the least n-norm; returns the module.

    >>> layer = nn.utils.prune.ln_structured(nn.Linear(4, 2), "weight", 0.5, n=2, dim=0)
    >>> int((layer.weight == 0).sum())
    4
    """
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def global_unstructured(
    parameters: Any, pruning_method: Any, importance_scores: Any = None, **kwargs: Any
) -> None:
    """Prune several parameters, given as pairs of a module and a name, as if they were one.

    >>> a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    >>> pairs = [(a, "weight"), (b, "weight")]
    >>> nn.utils.prune.global_unstructured(pairs, nn.utils.prune.L1Unstructured, amount=4)
    >>> int(a.weight_mask.sum() + b.weight_mask.sum())
    4
    """
    if not isinstance(parameters, Iterable):
        raise CallError(f"parameters takes pairs (module, name), got {type(parameters).__name__}")
    given = {} if importance_scores is None else importance_scores
    if not isinstance(given, dict):
        raise CallError(f"importance_scores takes a dict, got {type(given).__name__}")
    pairs = list(parameters)
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise CallError(f"{pruning_method.__name__} prunes no single elements")
    tensors = [getattr(module, name) for module, name in pairs]
    with no_grad():
        scores = parameters_to_vector(
            [given.get(pair, t).detach() for pair, t in zip(pairs, tensors, strict=True)]
        )
        ones = (ops.full(tuple(t.shape), 1, t.dtype) for t in tensors)
        masks = [getattr(m, f"{n}_mask", o) for (m, n), o in zip(pairs, ones, strict=True)]
        method._tensor_name = ""
        container = PruningContainer(method)
        mask = container.compute_mask(scores, parameters_to_vector(masks))
    start = 0
    for (module, name), t in zip(pairs, tensors, strict=True):
        stop = start + int(t.numel())
        custom_from_mask(module, name, mask[start:stop].reshape(tuple(t.shape)))
        start = stop


def custom_from_mask(module: Module, name: str, mask: Any) -> Module:
    """Prune what a mask says; returns the module.

    >>> layer = nn.utils.prune.custom_from_mask(nn.Linear(1, 2), "bias", ag.tensor([0, 1]))
    >>> layer.bias[0].item() == 0
    True
    """
    CustomFromMask.apply(module, name, mask)
    return module


def remove(module: Module, name: str) -> Module:
    """Let a pruned parameter be one of its own again, with zeros in it; returns the module.

    >>> layer = nn.utils.prune.l1_unstructured(nn.Linear(4, 1), "weight", 2)
    >>> sorted(nn.utils.prune.remove(layer, "weight").state_dict())
    ['bias', 'weight']
    """
    method = _method_of(module, name)
    if method is None:
        raise ArgumentError(f"{name!r} of {type(module).__name__} is not pruned")
    method.remove(module)
    _forget(module, name)
    return module


def is_pruned(module: Module) -> bool:
    """Whether anything in a module is pruned.

    >>> nn.utils.prune.is_pruned(nn.Linear(1, 1))
    False
    """
    hooks = (hook for m in module.modules() for hook in m._forward_pre_hooks.values())
    return any(isinstance(hook, BasePruningMethod) for hook in hooks)
