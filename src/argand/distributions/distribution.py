"""`Distribution`, the base of all families."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

from argand.base.errors import ArgumentError
from argand.distributions.constraints import Constraint, is_dependent
from argand.distributions.utils import all_true, lazy_property, shown
from argand.ir.op import ops
from argand.tensor.core import Size, Tensor
from argand.transform.mode import no_grad


class Distribution:
    """Base of probability distributions, as `torch.distributions.Distribution`.

    A batch of `batch_shape` distributions, each of values of `event_shape`; `sample(s)` has the
    shape s + batch_shape + event_shape, `log_prob` s + batch_shape. With `validate_args` (the
    default, unless Python runs with -O) parameters and values are checked, but not while a function
    is compiled, whose values aren't known. A subclass states `arg_constraints`, `support`,
    `rsample` or `sample`, `log_prob`; and in `_batched` the attributes that `expand` expands.

    >>> d = ag.distributions.Normal(ag.zeros(3), 1.0)
    >>> d.batch_shape, d.event_shape, d.sample((2,)).shape
    (argand.Size([3]), argand.Size([]), argand.Size([2, 3]))
    """

    has_rsample: bool = False
    has_enumerate_support: bool = False
    _validate_args: bool = __debug__
    # Attributes of the batch's shape and further sizes, tensors or distributions; and the others
    # that belong to an instance. A family states both for `expand`.
    _batched: ClassVar[tuple[str, ...]]
    _shared: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether parameters and values are checked where `validate_args` isn't given."""
        if value not in (True, False):
            raise ArgumentError(f"set_default_validate_args: expected a bool, got {value!r}")
        Distribution._validate_args = value

    def __init__(
        self,
        batch_shape: Sequence[Any] = (),
        event_shape: Sequence[Any] = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape: Any = Size(batch_shape)
        self._event_shape: Any = Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._validate_parameters()

    def _validate_parameters(self) -> None:
        try:
            wanted = self.arg_constraints
        except NotImplementedError:
            warnings.warn(
                f"{type(self).__name__} does not define `arg_constraints`; set it to {{}}, or "
                "validate_args=False, to check no parameters",
                stacklevel=4,
            )
            return
        for name, constraint in wanted.items():
            lazy = isinstance(getattr(type(self), name, None), lazy_property)
            if is_dependent(constraint) or (name not in vars(self) and lazy):
                continue
            value = getattr(self, name)
            if not all_true(constraint.check(value)):
                raise ArgumentError(
                    f"Expected parameter {name} ({type(value).__name__} of shape "
                    f"{tuple(value.shape)}) of distribution {self!r} to satisfy the constraint "
                    f"{constraint!r}, but found invalid values:\n{value}"
                )

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The distribution for a larger batch: its parameters expanded, without a copy."""
        owner = next((c for c in type(self).__mro__ if "_batched" in vars(c)), None)
        if owner is None:
            raise self._missing("expand")
        new = self._get_checked_instance(owner, _instance)
        self._expand_into(new, tuple(batch_shape))
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _expand_into(self, new: Any, batch_shape: tuple[Any, ...]) -> None:
        for name in self._batched:
            value = vars(self).get(name)
            if isinstance(value, Distribution):
                further = tuple(value.batch_shape[len(self._batch_shape) :])
                setattr(new, name, value.expand((*batch_shape, *further)))
            elif value is not None:
                further = tuple(value.shape[len(self._batch_shape) :])
                setattr(new, name, ops.expand(value, (*batch_shape, *further)))
        for name in self._shared:
            if name in vars(self):
                setattr(new, name, getattr(self, name))

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        """A new instance for `expand` of `cls`, unless a subclass has a constructor of its own."""
        if _instance is not None:
            return _instance
        if type(self).__init__ is not cls.__init__:  # type: ignore[misc]  # compared, not called
            raise NotImplementedError(
                f"{type(self).__name__}, a subclass of {cls.__name__} with a constructor of its "
                "own, must define expand as well"
            )
        return self.__new__(type(self))

    @property
    def batch_shape(self) -> Any:
        """The shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Any:
        """The shape of one value."""
        return self._event_shape

    @property
    def arg_constraints(self) -> Any:
        """The constraints of the parameters, by their names."""
        raise self._missing("arg_constraints")

    @property
    def support(self) -> Any:
        """The constraint of the values."""
        raise self._missing("support")

    @property
    def mean(self) -> Any:
        """The mean."""
        raise self._missing("mean")

    @property
    def mode(self) -> Any:
        """The most likely value."""
        raise self._missing("mode")

    @property
    def variance(self) -> Any:
        """The variance."""
        raise self._missing("variance")

    @property
    def stddev(self) -> Any:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Any:
        """Random values, of shape sample_shape + batch_shape + event_shape, without gradients."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Random values as a function of the parameters, which get gradients through them."""
        raise self._missing("rsample")

    def sample_n(self, n: int) -> Any:
        """n random values: `sample((n,))`."""
        warnings.warn("sample_n(n) is sample((n,))", FutureWarning, stacklevel=2)
        return self.sample((n,))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density, or of the probability, of values."""
        raise self._missing("log_prob")

    def cdf(self, value: Any) -> Any:
        """The probability of a value up to this one."""
        raise self._missing("cdf")

    def icdf(self, value: Any) -> Any:
        """The value up to which the probability is this one."""
        raise self._missing("icdf")

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values of a discrete distribution along a new first dimension.

        With expand=False the dimensions of the batch have size 1.
        """
        raise self._missing("enumerate_support")

    def entropy(self) -> Any:
        """The entropy in nats, of batch_shape."""
        raise self._missing("entropy")

    def perplexity(self) -> Any:
        """exp(entropy), of batch_shape."""
        return self.entropy().exp()

    def _missing(self, name: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__} does not implement {name}")

    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        """The shape of samples."""
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _filled(self, value: float, dtype: Any) -> Any:
        """The number for every value of the batch."""
        return ops.full(tuple(self._extended_shape()), value, dtype)

    def _enumerated(self, values: Any, expand: bool) -> Any:
        """Values (N,) along a first dimension of the batch."""
        values = values.reshape((-1, *(1,) * len(self._batch_shape)))
        return values.expand((-1, *self._batch_shape)) if expand else values

    def _validate_sample(self, value: Any) -> None:
        """Raise ArgumentError unless values fit the batch and are in the support."""
        if not isinstance(value, Tensor):
            raise ArgumentError(
                f"the value argument to log_prob must be a Tensor, got {type(value).__name__}"
            )
        shape, expected = tuple(value.shape), (*self._batch_shape, *self._event_shape)
        if shape[len(shape) - len(self._event_shape) :] != tuple(self._event_shape):
            raise ArgumentError(
                f"the right-most size of value must match event_shape: {shape} and "
                f"{tuple(self._event_shape)}"
            )
        for i, j in zip(reversed(shape), reversed(expected), strict=False):
            if i != 1 and j != 1 and i != j:
                raise ArgumentError(
                    f"the value is not broadcastable with batch_shape + event_shape: {shape} and "
                    f"{expected}"
                )
        try:
            support: Constraint = self.support
        except NotImplementedError:
            warnings.warn(
                f"{type(self).__name__} does not define `support`; initialise it with "
                "validate_args=False to check no values",
                stacklevel=3,
            )
            return
        if not all_true(support.check(value)):
            raise ArgumentError(
                f"Expected value argument ({type(value).__name__} of shape {shape}) to be within "
                f"the support ({support!r}) of the distribution {self!r}, but found invalid "
                f"values:\n{value}"
            )

    def _expect(self, value: Any) -> None:
        """Check a value where the instance checks at all."""
        if self._validate_args:
            self._validate_sample(value)

    def __repr__(self) -> str:
        given = {name: vars(self)[name] for name in self.arg_constraints if name in vars(self)}
        return (
            f"{type(self).__name__}({', '.join(f'{n}: {_summary(v)}' for n, v in given.items())})"
        )


def _summary(value: Any) -> Any:
    return shown(value) if value.numel() == 1 else value.shape
