"""Random tensors. The generator's state is a tensor, so drawing inside a compiled function is
nothing special: it reads the state, and writes it with the ticket advanced."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Unpack

import numpy as np

from argand.base.dtype import as_dtype, get_default_dtype, int64
from argand.base.errors import ArgumentError
from argand.base.shape import broadcast_shapes
from argand.ir import bind as crossroads
from argand.ir.elementwise import is_number
from argand.ir.op import only_stored, ops
from argand.tensor.core import Tensor, wrap
from argand.tensor.creation import CreationOptions, SizeOptions, finished, sizes
from argand.tensor.device import check_device, cpu
from argand.tensor.inplace import assign
from argand.transform.mode import no_grad

_KEYS = (1 << 64) - 1


class Generator:
    """A source of random numbers with a state of its own, for the `generator=` of random functions.

    A draw is a function of the state (key, ticket) and the element's position (Philox4x32-10,
    Salmon et al. 2011); drawing advances the ticket by one, whatever the number of elements. So
    eager and compiled code draw the same numbers, on any number of threads. `state` is the int64
    tensor [key, ticket].

    >>> g = ag.Generator().manual_seed(3)
    >>> a = ag.rand(4, generator=g)
    >>> ag.equal(a, ag.rand(4, generator=g.manual_seed(3)))
    True
    """

    def __init__(self, device: Any = "cpu") -> None:
        check_device(device)
        self.device = cpu()
        self.state: Tensor = wrap(np.array([67280421310721, 0], np.int64))

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed (an integer modulo 2^64); returns the generator.

        >>> ag.Generator().manual_seed(5).initial_seed()
        5
        """
        key = int(seed) & _KEYS
        self._set(np.array([key - (1 << 64) if key >> 63 else key, 0], np.int64))
        return self

    def seed(self) -> int:
        """Start again from a number of the operating system, and return that number.

        >>> g = ag.Generator()
        >>> g.seed() == g.initial_seed()
        True
        """
        number = int.from_bytes(os.urandom(8), "little") >> 1
        self.manual_seed(number)
        return number

    def initial_seed(self) -> int:
        """The seed that it was started from.

        >>> ag.Generator().manual_seed(5).initial_seed()
        5
        """
        return int(self.state.numpy_array()[0])

    def get_state(self) -> Tensor:
        """A copy of the state, for `set_state`.

        >>> ag.Generator().manual_seed(5).get_state()
        tensor([5, 0])
        """
        with no_grad():
            return ops.contiguous(self.state)  # type: ignore[no-any-return]  # an op gives Any

    def set_state(self, new_state: Any) -> Generator:
        """Go back to a state that `get_state` returned; returns the generator.

        Raises ArgumentError for anything but an int64 tensor (2,).

        >>> g = ag.Generator()
        >>> before, first = g.get_state(), ag.rand(3, generator=g)
        >>> ag.equal(first, ag.rand(3, generator=g.set_state(before)))
        True
        """
        if tuple(new_state.shape) != (2,) or new_state.dtype is not int64:
            raise ArgumentError("set_state: expected the int64 tensor (2,) of get_state")
        with no_grad():
            assign(self.state, new_state)
        return self

    def _set(self, state: Any) -> None:
        with no_grad():
            assign(self.state, wrap(state))

    def draw(self, op: Any, *args: Any, **params: Any) -> Any:
        """Apply a random op to the state, and advance the ticket."""
        state = self.state
        out = op(state, *args, **params)
        if crossroads.pushed:
            with no_grad():
                assign(state, ops.add(state, wrap(np.array([0, 1], np.int64))))
        else:
            state._array[1] += 1
            state._cold_part().version += 1
        return out


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator, and return it: the same numbers are drawn from here on.

    The numbers aren't PyTorch's.

    >>> a = ag.manual_seed(0) and ag.rand(3)
    >>> b = ag.manual_seed(0) and ag.rand(3)
    >>> ag.equal(a, b)
    True
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the operating system, and return that number.

    >>> with ag.fork_rng():
    ...     print(ag.seed() == ag.initial_seed())
    True
    """
    return default_generator.seed()


def initial_seed() -> int:
    """The number that the default generator was seeded with.

    >>> g = ag.manual_seed(5)
    >>> ag.initial_seed()
    5
    """
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """A copy of the default generator's state, the int64 tensor [key, ticket], for `set_rng_state`.

    >>> g = ag.manual_seed(5)
    >>> ag.get_rng_state()
    tensor([5, 0])
    """
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Set the default generator's state to one that `get_rng_state` returned.

    Raises ArgumentError for anything but an int64 tensor (2,).

    >>> before, first = ag.get_rng_state(), ag.rand(3)
    >>> ag.set_rng_state(before)
    >>> ag.equal(first, ag.rand(3))
    True
    """
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True) -> Iterator[None]:
    """Restore the default generator's state at the end of the block; not with `enabled=False`.

    >>> before = ag.get_rng_state()
    >>> with ag.fork_rng():
    ...     x = ag.rand(3)
    >>> ag.equal(ag.get_rng_state(), before)
    True
    """
    before = get_rng_state() if enabled else None
    try:
        yield
    finally:
        if before is not None:
            set_rng_state(before)


def _source(generator: Generator | None) -> Generator:
    return default_generator if generator is None else generator


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
    if dtype.is_complex:
        parts = uniform_of((2, *shape), dtype.to_real(), generator)
        return ops.complex(parts[0], parts[1])
    if dtype.itemsize >= 4:
        return _source(generator).draw(ops.uniform, tuple(shape), dtype)
    _check_computed(dtype)
    # Rounding could reach 1 in 16 bits: keep as many bits as the mantissa has.
    bits = {"float16": 11, "bfloat16": 8}[dtype.name]
    wide = _source(generator).draw(ops.uniform, tuple(shape), as_dtype("float32"))
    return ops.cast(ops.mul(ops.floor(ops.mul(wide, 2.0**bits)), 2.0**-bits), dtype)


def normal_of(shape: Any, dtype: Any, generator: Generator | None = None) -> Any:
    """Normal numbers of mean 0 and deviation 1, which the parts of complex ones share."""
    if dtype.is_complex:
        parts = ops.mul(normal_of((2, *shape), dtype.to_real(), generator), math.sqrt(0.5))
        return ops.complex(parts[0], parts[1])
    if dtype.itemsize >= 4:
        return _source(generator).draw(ops.normal, tuple(shape), dtype)
    _check_computed(dtype)
    wide = _source(generator).draw(ops.normal, tuple(shape), as_dtype("float32"))
    return ops.cast(wide, dtype)


def _check_computed(dtype: Any) -> None:
    if dtype.kind == "s":
        raise only_stored("random numbers", dtype)


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
    if not low < high:
        raise ArgumentError(f"randint: low must be less than high, got {low} and {high}")
    draws = _source(generator).draw(ops.randint, sizes((size,)), int(low), int(high))
    wanted = int64 if dtype is None else as_dtype(dtype)
    return finished(ops.cast(draws, wanted), **options)


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
    keys = _source(generator).draw(ops.uniform, (n,), as_dtype("float64"))
    order = ops.sort(keys, 0)[1]
    wanted = int64 if dtype is None else as_dtype(dtype)
    return finished(ops.cast(order, wanted), **options)


def rand_like(
    input: Any, *, dtype: Any = None, generator: Any = None, **options: Unpack[CreationOptions]
) -> Tensor:
    """Uniform random numbers in [0, 1), in the shape and dtype of `input`; see `rand`.

    >>> ag.rand_like(ag.zeros(2, 3)).shape
    argand.Size([2, 3])
    """
    dtype = input.dtype if dtype is None else dtype
    return rand(tuple(input.shape), dtype=dtype, generator=generator, **options)


def randn_like(
    input: Any, *, dtype: Any = None, generator: Any = None, **options: Unpack[CreationOptions]
) -> Tensor:
    """Normal random numbers in the shape and dtype of `input`; see `randn`.

    >>> ag.randn_like(ag.zeros(2, 3)).shape
    argand.Size([2, 3])
    """
    dtype = input.dtype if dtype is None else dtype
    return randn(tuple(input.shape), dtype=dtype, generator=generator, **options)


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
    dtype = input.dtype if dtype is None else dtype
    shape = tuple(input.shape)
    return randint(low, high, shape, dtype=dtype, generator=generator, **options)


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
    draws = normal_of(shape, _float(dtype), generator)
    return finished(ops.add(ops.mul(draws, std), mean), **options)


def bernoulli(input: Any, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that each element gives, or `p` for all, else 0.

    In the dtype of `input`. Raises ArgumentError for a probability outside [0, 1]. Follows
    `torch.bernoulli`.

    >>> ag.bernoulli(ag.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    chances = input if p is None else p
    _check_chances("bernoulli", chances)
    wide = input.dtype if input.dtype.is_floating_point else get_default_dtype()
    chance = uniform_of(input.shape, wide, generator)
    return ops.cast(ops.lt(chance, chances), input.dtype)  # type: ignore[no-any-return]  # an op gives Any


def _check_chances(name: str, p: Any) -> None:
    """Refuse a number that is no probability; also in a tensor, but while tracing."""
    if is_number(p):
        _expect(name, 0 <= p <= 1, f"0 <= p <= 1, got {p}")
    elif not crossroads.tracing():
        values = p.numpy_array()
        wrong = values[~((values >= 0) & (values <= 1))]
        _expect(name, not wrong.size, f"probabilities from 0 to 1, got {wrong.flat[:1]}")


# -- in place --------------------------------------------------------------------------------------


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Overwrite with mean + std * z, for normal random numbers z; returns the tensor.

    Raises ArgumentError for a negative `std`, DTypeError unless the dtype is floating point.

    >>> ag.zeros(2).normal_(mean=5.0, std=0.0)
    tensor([5., 5.])
    """
    _expect("normal_", not is_number(std) or std >= 0, f"std >= 0, got {std}")
    return assign(self, ops.add(ops.mul(normal_of(self.shape, self.dtype, generator), std), mean))


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
    draws = uniform_of(self.shape, self.dtype, generator)
    return assign(self, ops.add(ops.mul(draws, high - low), low))


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Overwrite with 1 with probability `p` (a number or a tensor), else 0; returns the tensor.

    Raises ArgumentError for a probability outside [0, 1].

    >>> ag.zeros(3).bernoulli_(1.0)
    tensor([1., 1., 1.])
    """
    _check_chances("bernoulli_", p)
    wide = self.dtype if self.dtype.is_floating_point else get_default_dtype()
    draws = uniform_of(self.shape, wide, generator)
    return assign(self, ops.cast(ops.lt(draws, p), self.dtype))


def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Overwrite with -ln(1 - u) / lambd for uniform u: exponential random numbers of rate `lambd`.

    The density is lambd * exp(-lambd * x), the mean 1 / lambd. Returns the tensor; ArgumentError
    unless lambd > 0.

    >>> bool((ag.zeros(100).exponential_(2.0) >= 0).all())
    True
    """
    _expect("exponential_", not is_number(lambd) or lambd > 0, f"lambd > 0, got {lambd}")
    draws = uniform_of(self.shape, self.dtype, generator)
    return assign(self, ops.div(ops.neg(ops.log1p(ops.neg(draws))), lambd))


def random_(
    self: Tensor, from_: int = 0, to: int | None = None, *, generator: Any = None
) -> Tensor:
    """Overwrite with random integers from `from_` to `to` - 1; returns the tensor.

    One number is the end. Without any they go as far as the dtype counts exactly: 2^24 for float32,
    the largest integer of an integer dtype.

    >>> x = ag.zeros(100).random_(1, 7)
    >>> bool(((x >= 1) & (x <= 6)).all())
    True
    """
    if to is None:
        to = from_ or _most(self.dtype)
        from_ = 0
    draws = _source(generator).draw(ops.randint, tuple(self.shape), int(from_), int(to))
    return assign(self, ops.cast(draws, self.dtype))


def _most(dtype: Any) -> int:
    _check_computed(dtype)
    if dtype.is_floating_point:
        return 2 ** {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}[dtype.name]  # type: ignore[no-any-return]  # an op gives Any
    return 2 if dtype.kind == "b" else int(np.iinfo(dtype.numpy).max)


def cauchy_(
    self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None
) -> Tensor:
    """Overwrite with median + sigma * tan(pi * (u - 1/2)) for uniform u: Cauchy random numbers.

    Returns the tensor; ArgumentError unless sigma > 0.

    >>> ag.zeros(3).cauchy_().shape
    argand.Size([3])
    """
    _expect("cauchy_", not is_number(sigma) or sigma > 0, f"sigma > 0, got {sigma}")
    draws = uniform_of(self.shape, self.dtype, generator)
    turned = ops.tan(ops.mul(ops.sub(draws, 0.5), math.pi))
    return assign(self, ops.add(ops.mul(turned, sigma), median))


def geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Overwrite with how many trials it takes until one succeeds, each with probability `p`.

    ceil(ln(1 - u) / ln(1 - p)) for uniform u, at least 1. Returns the tensor; ArgumentError unless
    0 < p < 1.

    >>> bool((ag.zeros(100).geometric_(0.5) >= 1).all())
    True
    """
    _expect("geometric_", 0 < p < 1, f"0 < p < 1, got {p}")
    wide = self.dtype if self.dtype.is_floating_point else get_default_dtype()
    draws = ops.log1p(ops.neg(uniform_of(self.shape, wide, generator)))
    trials = ops.clamp(ops.ceil(ops.div(draws, math.log1p(-p))), 1, None)
    return assign(self, ops.cast(trials, self.dtype))


def log_normal_(
    self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Any = None
) -> Tensor:
    """Overwrite with exp(mean + std * z) for normal random numbers z; returns the tensor.

    `mean` and `std` are those of the logarithm. Raises ArgumentError unless std > 0.

    >>> bool((ag.zeros(100).log_normal_(mean=0.0, std=1.0) > 0).all())
    True
    """
    _expect("log_normal_", not is_number(std) or std > 0, f"std > 0, got {std}")
    draws = normal_of(self.shape, self.dtype, generator)
    return assign(self, ops.exp(ops.add(ops.mul(draws, std), mean)))
