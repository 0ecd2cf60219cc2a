"""Random tensors, of the distributions that a generator's source draws (`tensor/source.py`)."""

from __future__ import annotations

from typing import Any, Unpack

from argand.base.dtype import as_dtype, get_default_dtype, int64
from argand.base.errors import ArgumentError
from argand.base.shape import broadcast_shapes
from argand.ir import bind as crossroads
from argand.ir.elementwise import is_number
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.tensor.creation import CreationOptions, SizeOptions, finished, sizes
from argand.tensor.generators import Generator, source_of
from argand.tensor.inplace import assign
from argand.tensor.meta import meta_aware
from argand.tensor.source import scaled


def _float(dtype: Any) -> Any:
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    if not wanted.is_floating_point and not wanted.is_complex:
        raise ArgumentError(f"random floats can't have the dtype {wanted.name}")
    return wanted


def _expect(name: str, fine: bool, rule: str) -> None:
    if not fine:
        raise ArgumentError(f"{name}: expected {rule}")


def uniform_of(shape: Any, dtype: Any, generator: Generator | None = None) -> Any:
    """Uniform numbers in [0, 1); both parts of complex ones."""
    return source_of(generator).uniform(tuple(shape), dtype)


def normal_of(shape: Any, dtype: Any, generator: Generator | None = None) -> Any:
    """Normal numbers of mean 0 and deviation 1, which the parts of complex ones share."""
    return source_of(generator).normal(tuple(shape), dtype)


@meta_aware
def rand(
    *shape: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    **options: Unpack[SizeOptions],
) -> Tensor:
    """Uniform random numbers in [0, 1), of the given shape.

    In a float dtype, the default one unless given, or a complex one, both of whose parts are
    uniform; ArgumentError for others. Follows `torch.rand`.

    >>> x = ag.rand(2, 3)
    >>> x.shape, bool(((x >= 0) & (x < 1)).all())
    (argand.Size([2, 3]), True)
    """
    wanted = sizes(shape, options.pop("size", None))
    return finished(uniform_of(wanted, _float(dtype), generator), **options)


@meta_aware
def randn(
    *shape: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    **options: Unpack[SizeOptions],
) -> Tensor:
    """Normal random numbers of mean 0 and standard deviation 1, of the given shape.

    In a float dtype, the default one unless given, or a complex one, whose parts have the variance
    1/2 each; ArgumentError for others. Follows `torch.randn`.

    >>> ag.randn(2, 3).shape
    argand.Size([2, 3])
    """
    wanted = sizes(shape, options.pop("size", None))
    return finished(normal_of(wanted, _float(dtype), generator), **options)


@meta_aware
def randint(
    low: Any,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Tensor:
    """Random integers from `low` (0 unless given) to `high` - 1, all equally likely.

    int64 unless given. Called as ``randint(high, size)`` or ``randint(low, high, size)``. Raises
    ArgumentError unless low < high. Follows `torch.randint`.

    >>> x = ag.randint(1, 7, (100,))
    >>> x.dtype, bool(((x >= 1) & (x <= 6)).all())
    (argand.int64, True)
    """
    if high is None or size is None or isinstance(high, list | tuple):
        low, high, size = (0, low, high) if isinstance(high, list | tuple) else (0, low, size)
    if size is None:
        raise TypeError("randint: expected (high, size) or (low, high, size)")
    _expect_range(low, high)
    draws = source_of(generator).integers(sizes((size,)), int(low), int(high))
    wanted = int64 if dtype is None else as_dtype(dtype)
    return finished(ops.cast(draws, wanted), **options)


def _expect_range(low: Any, high: Any) -> None:
    if not low < high:
        raise ArgumentError(f"randint: low must be less than high, got {low} and {high}")


@meta_aware
def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Tensor:
    """The numbers 0 to n - 1 in random order, every order equally likely: int64 unless given.

    >>> ag.randperm(5).sort().values
    tensor([0, 1, 2, 3, 4])
    """
    order = source_of(generator).permutation(n)
    wanted = int64 if dtype is None else as_dtype(dtype)
    return finished(ops.cast(order, wanted), **options)


@meta_aware
def rand_like(
    input: Any, *, dtype: Any = None, generator: Any = None, **options: Unpack[CreationOptions]
) -> Tensor:
    """Uniform random numbers in [0, 1), in the shape and dtype of `input`; see `rand`.

    >>> ag.rand_like(ag.zeros(2, 3)).shape
    argand.Size([2, 3])
    """
    wanted = _float(input.dtype if dtype is None else dtype)
    source = source_of(generator)
    return finished(source.like(input, lambda shape: source.uniform(shape, wanted)), **options)


@meta_aware
def randn_like(
    input: Any, *, dtype: Any = None, generator: Any = None, **options: Unpack[CreationOptions]
) -> Tensor:
    """Normal random numbers in the shape and dtype of `input`; see `randn`.

    >>> ag.randn_like(ag.zeros(2, 3)).shape
    argand.Size([2, 3])
    """
    wanted = _float(input.dtype if dtype is None else dtype)
    return finished(source_of(generator).normal_like(input, wanted), **options)


@meta_aware
def randint_like(
    input: Any,
    low: int,
    high: int | None = None,
    *,
    dtype: Any = None,
    generator: Any = None,
    **options: Unpack[CreationOptions],
) -> Tensor:
    """Random integers from `low` (0 unless given) to `high` - 1, in the shape and dtype of `input`.

    >>> ag.randint_like(ag.zeros(2, 3), 10).dtype
    argand.float32
    """
    low, high = (0, low) if high is None else (low, high)
    wanted = input.dtype if dtype is None else as_dtype(dtype)
    _expect_range(low, high)
    source = source_of(generator)
    draws = source.like(input, lambda shape: source.integers(shape, low, high))
    return finished(ops.cast(draws, wanted), **options)


@meta_aware
def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Tensor:
    """mean + std * z, with normal random numbers z of mean 0 and standard deviation 1.

    `mean` and `std` are numbers, and then `size` is the shape, or tensors that broadcast. Raises
    ArgumentError for a negative number `std`. Follows `torch.normal`.

    >>> ag.normal(ag.tensor([10.0, 20.0]), 0.0)
    tensor([10., 20.])
    """
    if size is None:
        given = [v for v in (mean, std) if isinstance(v, Tensor)]
        if not given:
            raise TypeError("normal: give size, or tensors for mean or std")
        shape = broadcast_shapes(*[tuple(v.shape) for v in given], op="normal")
        dtype = given[0].dtype if dtype is None else dtype
    else:
        shape = sizes((size,))
    _expect("normal", not is_number(std) or std >= 0, f"std >= 0, got {std}")
    source, wanted = source_of(generator), _float(dtype)
    if is_number(std) and is_number(mean):
        return finished(source.normal(shape, wanted, mean, std), **options)
    if is_number(std):
        return finished(ops.add(source.normal(shape, wanted, 0.0, std), mean), **options)
    return finished(scaled(source.normal(shape, wanted), std, mean), **options)


@meta_aware
def bernoulli(input: Any, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that each element gives, or `p` for all, else 0.

    In the dtype of `input`. Raises ArgumentError for a probability outside [0, 1]. Follows
    `torch.bernoulli`.

    >>> ag.bernoulli(ag.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    chances = input if p is None else p
    _check_chances("bernoulli", chances)
    chosen = source_of(generator).chosen(input.shape, input.dtype, chances)
    return ops.cast(chosen, input.dtype)  # type: ignore[no-any-return]  # an op gives Any


def _check_chances(name: str, p: Any) -> None:
    """Refuse a number that is no probability; also in a tensor, but while tracing."""
    if is_number(p):
        _expect(name, 0 <= p <= 1, f"0 <= p <= 1, got {p}")
    elif not crossroads.tracing():
        values = p.numpy_array()
        wrong = values[~((values >= 0) & (values <= 1))]
        _expect(name, not wrong.size, f"probabilities from 0 to 1, got {wrong.flat[:1]}")


# -- in place --------------------------------------------------------------------------------------


@meta_aware
def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Overwrite with mean + std * z, for normal random numbers z; returns the tensor.

    Raises ArgumentError for a negative `std`, DTypeError unless the dtype is floating point.

    >>> ag.zeros(2).normal_(mean=5.0, std=0.0)
    tensor([5., 5.])
    """
    _expect("normal_", not is_number(std) or std >= 0, f"std >= 0, got {std}")
    return assign(self, source_of(generator).normal_into(self, mean, std))


@meta_aware
def uniform_(
    self: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Any = None, **bounds: Any
) -> Tensor:
    """Overwrite with uniform random numbers in [from, to), [0, 1) unless given; returns the tensor.

    Raises ArgumentError where from > to, DTypeError unless the dtype is floating point.

    >>> x = ag.zeros(100).uniform_(-1, 1)
    >>> bool(((x >= -1) & (x < 1)).all())
    True
    """
    low = bounds.get("from", bounds.get("a", from_))
    high = bounds.get("b", to)
    numbers = is_number(low) and is_number(high)
    _expect("uniform_", not numbers or low <= high, f"from <= to, got {low} and {high}")
    return assign(self, source_of(generator).uniform_into(self, low, high))


@meta_aware
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Overwrite with 1 with probability `p` (a number or a tensor), else 0; returns the tensor.

    Raises ArgumentError for a probability outside [0, 1].

    >>> ag.zeros(3).bernoulli_(1.0)
    tensor([1., 1., 1.])
    """
    _check_chances("bernoulli_", p)
    source = source_of(generator)
    drawn = source.chosen_into(self, p)
    return assign(self, ops.cast(drawn, self.dtype))


@meta_aware
def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Overwrite with -ln(1 - u) / lambd for uniform u: exponential random numbers of rate `lambd`.

    The density is lambd * exp(-lambd * x), the mean 1 / lambd. Returns the tensor; ArgumentError
    unless lambd > 0.

    >>> bool((ag.zeros(100).exponential_(2.0) >= 0).all())
    True
    """
    _expect("exponential_", not is_number(lambd) or lambd > 0, f"lambd > 0, got {lambd}")
    source = source_of(generator)
    return assign(self, source.like(self, lambda s: source.exponential(s, self.dtype, lambd)))


@meta_aware
def random_(
    self: Tensor,
    from_: int = 0,
    to: int | None = None,
    *,
    generator: Any = None,
    **bounds: int,
) -> Tensor:
    """Overwrite with random integers from `from_` to `to` - 1; returns the tensor.

    One number is the end. Without any they go as far as the dtype counts exactly: 2^24 for float32,
    the largest integer of an integer dtype.

    >>> x = ag.zeros(100).random_(1, 7)
    >>> bool(((x >= 1) & (x <= 6)).all())
    True
    """
    if bounds.keys() - {"from"}:
        raise TypeError(f"random_: unexpected arguments {sorted(bounds.keys() - {'from'})}")
    from_, source = bounds.get("from", from_), source_of(generator)
    if to is None and not from_:
        draws = source.like(self, lambda shape: source.whole(shape, self.dtype))
    else:
        low, high = (0, from_) if to is None else (from_, to)
        draws = source.like(self, lambda shape: source.integers(shape, low, high))
    return assign(self, ops.cast(draws, self.dtype))


@meta_aware
def cauchy_(
    self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None
) -> Tensor:
    """Overwrite with median + sigma * tan(pi * (u - 1/2)) for uniform u: Cauchy random numbers.

    Returns the tensor; ArgumentError unless sigma > 0.

    >>> ag.zeros(3).cauchy_().shape
    argand.Size([3])
    """
    _expect("cauchy_", not is_number(sigma) or sigma > 0, f"sigma > 0, got {sigma}")
    source = source_of(generator)
    return assign(self, source.like(self, lambda s: source.cauchy(s, self.dtype, median, sigma)))


@meta_aware
def geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Overwrite with how many trials it takes until one succeeds, each with probability `p`.

    ceil(ln(1 - u) / ln(1 - p)) for uniform u, at least 1. Returns the tensor; ArgumentError unless
    0 < p < 1.

    >>> bool((ag.zeros(100).geometric_(0.5) >= 1).all())
    True
    """
    _expect("geometric_", 0 < p < 1, f"0 < p < 1, got {p}")
    source = source_of(generator)
    trials = source.like(self, lambda shape: source.geometric(shape, self.dtype, p))
    return assign(self, ops.cast(trials, self.dtype))


@meta_aware
def log_normal_(
    self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Any = None
) -> Tensor:
    """Overwrite with exp(mean + std * z) for normal random numbers z; returns the tensor.

    `mean` and `std` are those of the logarithm. Raises ArgumentError unless std > 0.

    >>> bool((ag.zeros(100).log_normal_(mean=0.0, std=1.0) > 0).all())
    True
    """
    _expect("log_normal_", not is_number(std) or std > 0, f"std > 0, got {std}")
    source = source_of(generator)
    return assign(self, source.like(self, lambda s: source.log_normal(s, self.dtype, mean, std)))
