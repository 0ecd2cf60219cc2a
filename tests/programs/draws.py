"""The kinds of steps that random programs take, with their weights.

`any_op` walks the registry by the samples that ops carry, so an op that is added is drawn without
a word here; the others give the common families random shapes and share values among them.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from typing import Any

from maker import Maker, UnfitError

from argand.base.dtype import (
    as_dtype,
    bool_,
    complex64,
    float16,
    float32,
    float64,
    int32,
    int64,
    uint8,
)
from argand.base.shape import same_shape
from argand.ir.elementwise import Elementwise
from argand.ir.op import Op, ops, registry
from argand.ir.program import Value
from argand.ir.samples import Sample, T, Uniform

Draw = Callable[[Maker], Any]

# Made by other ops or by the compiler only, each with the reason why no draw calls it.
NOT_DRAWN = {"fusion": "made by the compiler, of every op that it fuses"}


@functools.cache
def drawable() -> list[Op]:
    """All ops of the registry that a program may hold before the passes."""
    return [registry.get(name) for name in registry if name not in NOT_DRAWN]


@functools.cache
def elementwise(arity: int) -> list[tuple[str, Uniform]]:
    """Elementwise ops of some tensor operands, with their domain."""
    return [
        (op.name, op.samples)
        for op in drawable()
        if isinstance(op, Elementwise)
        and isinstance(op.samples, Uniform)
        and len(op.operands) - len(op.defaults) == arity
    ]


# -- any op, by its samples ------------------------------------------------------------------------


def any_op(m: Maker) -> Any:
    """Any op of the registry."""
    return on_pool(m, m.random.choice(drawable()))


def featured(seed: int) -> tuple[Draw, Draw]:
    """The draws of one op, each of the registry in its turn: of the pool's values, or of inputs."""
    op = drawable()[seed % len(drawable())]
    return functools.partial(on_pool, op=op), functools.partial(on_inputs, op=op)


def on_inputs(m: Maker, op: Op) -> Any:
    """An op on new inputs of one of its samples' domains."""
    samples = op.samples
    if isinstance(samples, Uniform):
        t = T(m.shape(), *samples[:2])
        samples = (Sample(*[t] * (len(op.operands) - len(op.defaults))),)  # type: ignore[attr-defined]
    name = m.random.choice(op.dtypes)
    sample = m.random.choice(tuple(samples))
    return _called(op, sample, lambda t: m.given(t.shape, as_dtype(t.dtype or name), t))


def on_pool(m: Maker, op: Op) -> Any:
    """An op on operands made of the pool's values, of one of its samples' shapes or broadcast."""
    samples = op.samples
    if isinstance(samples, Uniform):
        return _on_domain(m, op, samples)
    if op.name == "cast":
        return cast(m)
    sample = m.random.choice(tuple(samples))
    names = [n for n in op.dtypes if not n.startswith("complex")] or list(op.dtypes)
    name = m.main.name if m.random.random() < 0.6 else m.random.choice(names)
    if isinstance(op, Elementwise) and m.random.random() < 0.8:
        return _stretched(m, op, sample, name)
    return _called(op, sample, lambda t: m.fitted(t, as_dtype(t.dtype or name)))


def _called(op: Op, sample: Sample, operand: Callable[[T], Any]) -> Any:
    args = [operand(a) if isinstance(a, T) else a for a in sample.args]
    kwargs = {k: operand(v) if isinstance(v, T) else v for k, v in sample.kwargs.items()}
    return op(*args, **kwargs)


def _stretched(m: Maker, op: Op, sample: Sample, name: str) -> Any:
    """An elementwise op of a sample's numbers and domains, on values of the pool."""
    x = m.pick(lambda v: v.dtype.name == name)
    first = [True]

    def operand(t: T) -> Any:
        if t.dtype == "bool":
            return _condition(m, x.shape)
        v = x if first else m.like(x)
        first.clear()
        return m.within(v, t.low, t.high)

    return _called(op, sample, operand)


def _on_domain(m: Maker, op: Op, domain: Uniform) -> Any:
    """An elementwise op on values moved into its domain."""
    arity = len(op.operands) - len(op.defaults)  # type: ignore[attr-defined]
    names = list(op.dtypes)
    if m.main.is_floating_point and "float32" in names:
        names += [m.main.name] * 4
    name = m.random.choice(names)
    pool = [v for v in m.pool if v.dtype.name == name]
    t = T((), domain.low, domain.high)
    x = m.random.choice(pool) if pool else m.given(m.shape(), as_dtype(name), t)
    operands = [x, *(m.like(x) for _ in range(arity - 1))]
    if x.dtype.is_inexact:
        operands = [m.within(v, domain.low, domain.high) for v in operands]
    elif domain.low >= 0 or op.name in ("div", "floor_divide", "remainder", "fmod"):
        operands[1:] = [m.given(x.shape, x.dtype, t) for _ in operands[1:]]
        if op.name.endswith("shift"):
            operands[0] = m.given(x.shape, x.dtype, t)
    if arity == 2 and m.random.random() < 0.15:
        operands.reverse()
    return op(*operands)


# -- elementwise -----------------------------------------------------------------------------------


def unary(m: Maker) -> Any:
    name, domain = m.random.choice(elementwise(1))
    return getattr(ops, name)(m.within(m.real(), domain.low, domain.high))


def binary(m: Maker) -> Any:
    name, domain = m.random.choice(elementwise(2))
    x = m.real()
    y = m.like(x)
    if not isinstance(y, Value):
        y = min(max(float(y), domain.low), domain.high)
    return getattr(ops, name)(
        m.within(x, domain.low, domain.high), m.within(y, domain.low, domain.high)
    )


def arithmetic(m: Maker) -> Any:
    x = m.real()
    y = m.like(x)
    name = m.random.choice(("add", "add", "sub", "mul", "mul", "maximum", "div"))
    if name == "div":
        y = m.within(y, 0.5, 3.0) if isinstance(y, Value) else y
    return getattr(ops, name)(x, y)


def _condition(m: Maker, shape: Sequence[Any]) -> Value:
    if m.random.random() < 0.5:
        return m.pick(lambda v: v.dtype is bool_ and same_shape(v.shape, shape))
    return m.given(shape, bool_)


def where(m: Maker) -> Any:
    x = m.real()
    return ops.where(_condition(m, x.shape), x, m.like(x))


def compare(m: Maker) -> Any:
    x = m.real()
    name = m.random.choice(("gt", "lt", "ge", "le", "eq", "ne"))
    found = getattr(ops, name)(x, m.like(x))
    return ops.where(found, x, m.random.choice((0.0, -1.0))) if m.random.random() < 0.5 else found


def cast(m: Maker) -> Any:
    """Floats to other floats, to integers where they are whole, and back."""
    x = m.pick()
    if x.dtype.is_complex:
        raise UnfitError("complex")
    if not x.dtype.is_floating_point:
        return ops.cast(x, m.main if m.random.random() < 0.7 else int64)
    kinds = (float32, float64, float16, as_dtype("bfloat16"), m.main, int64, int32, uint8, bool_)
    kind = m.random.choice(kinds)
    if kind in (int64, int32, uint8):
        x = ops.round(m.within(x, 0.0 if kind is uint8 else -100.0, 100.0))
    return ops.cast(x, kind)


def integers(m: Maker) -> Any:
    """Integer and boolean values, which must come out the same bit by bit."""
    kinds = (int64, int32, uint8, bool_)
    pool = [v for v in m.pool if v.dtype in kinds]
    if not pool or m.random.random() < 0.25:
        return m.given(m.shape(), m.random.choice(kinds), T((), -9.0, 9.0))
    x = m.random.choice(pool)
    if m.random.random() < 0.25:
        return ops.sum(x, m.dim(x), keepdim=m.random.random() < 0.5)
    y = m.pick(lambda v: v.dtype is x.dtype and same_shape(v.shape, x.shape))
    names = ("bitwise_and", "bitwise_or", "bitwise_xor", "maximum", "eq", "lt", "logical_or")
    plain = () if x.dtype is bool_ else ("add", "sub", "mul", "add")
    return getattr(ops, m.random.choice(names + plain))(x, y)


# -- reductions, scans, norms ----------------------------------------------------------------------


def _dims(m: Maker, x: Value) -> tuple[int, ...]:
    return tuple(d for d in range(x.ndim) if m.random.random() < 0.5) or (m.dim(x),)


def reduce(m: Maker) -> Any:
    x, keepdim = m.real(), m.random.random() < 0.5
    names = ("sum", "sum", "mean", "amax", "amin", "logsumexp", "var", "std", "prod", "sum")
    name = m.random.choice(names)
    y = getattr(ops, name)(x, _dims(m, x), keepdim=keepdim)
    return ops.sub(x, y) if keepdim and m.random.random() < 0.5 else y


def position(m: Maker) -> Any:
    x, keepdim = m.real(), m.random.random() < 0.5
    name = m.random.choice(("argmax", "argmin", "any", "all"))
    return getattr(ops, name)(x, m.dim(x), keepdim=keepdim)


def scan(m: Maker) -> Any:
    x = m.pick(lambda v: v.ndim > 0 and v.dtype is not uint8)
    return ops.cumsum(x, m.dim(x))


def normalise(m: Maker) -> Any:
    """Rows that are divided by, or moved by, something of their own."""
    x = m.real()
    d = m.dim(x)
    kind = m.random.randrange(5)
    if kind < 2:
        return getattr(ops, ("softmax", "log_softmax")[kind])(x, d)
    if kind == 2:
        return ops.div(x, ops.add(ops.sum(ops.abs(x), d, keepdim=True), 1.0))
    if kind == 3:
        centred = ops.sub(x, ops.mean(x, d, keepdim=True))
        scale = ops.rsqrt(ops.add(ops.mean(ops.square(centred), d, keepdim=True), 0.1))
        return ops.mul(centred, scale)
    s = ops.softmax(x, d)
    return ops.div(s, ops.add(ops.sum(s, m.dim(x), keepdim=True), 0.1))


def norm(m: Maker) -> Any:
    x = m.real()
    if m.random.random() < 0.6:
        last = x.shape[m.dim(x) :]
        parts = [m.operand(last, x.dtype) for _ in range(m.random.randrange(3))]
        return ops.layer_norm(x, last, *parts, eps=0.1)
    if x.ndim < 2:
        raise UnfitError("no channels")
    parts = [m.operand((x.shape[1],), x.dtype) for _ in range(m.random.choice((0, 2)))]
    return ops.batch_norm(x, *parts, eps=0.1)


# -- moves -----------------------------------------------------------------------------------------


def permute(m: Maker) -> Any:
    x = m.pick()
    return ops.permute(x, tuple(m.random.sample(range(x.ndim), x.ndim)))


def reshape(m: Maker) -> Any:
    x = m.pick()
    at = m.dim(x)
    if m.random.random() < 0.5 and at + 1 < x.ndim:
        return ops.reshape(x, (*x.shape[:at], x.shape[at] * x.shape[at + 1], *x.shape[at + 2 :]))
    if m.random.random() < 0.3:
        return ops.reshape(x, (*x.shape[:at], 1, *x.shape[at:]))
    size = x.shape[at]
    if not isinstance(size, int) or size == 0:
        raise UnfitError("nothing to divide")
    factor = m.random.choice([f for f in range(1, size + 1) if size % f == 0])
    return ops.reshape(x, (*x.shape[:at], factor, size // factor, *x.shape[at + 1 :]))


def _part(m: Maker, x: Value) -> tuple[tuple[Any, ...], ...]:
    """Starts, stops and steps of a slice along one dimension."""
    at = m.dim(x)
    size = x.shape[at]
    if not isinstance(size, int):
        raise UnfitError("symbolic")
    start = m.random.randint(0, size)
    full: list[Any] = [(0, s, 1) for s in x.shape]
    full[at] = (start, m.random.randint(start, size), m.random.choice((1, 1, 2, 3)))
    return tuple(zip(*full, strict=True))


def slice_(m: Maker) -> Any:
    x = m.pick(lambda v: v.ndim > 0)
    return ops.slice(x, *_part(m, x))


def slice_scatter(m: Maker) -> Any:
    x = m.pick(lambda v: v.ndim > 0)
    part = _part(m, x)
    piece = ops.slice(x, *part)
    kind = m.random.randrange(3)
    if kind == 0:
        src = ops.neg(piece) if x.dtype.is_inexact else piece
    elif kind == 1:
        src = m.operand(piece.shape, x.dtype)
    else:
        src = m.pick(lambda v: v.dtype is x.dtype and same_shape(v.shape, piece.shape))
    return ops.slice_scatter(x, src, *part)


def expand(m: Maker) -> Any:
    x = m.pick(lambda v: v.ndim < 4)
    if m.random.random() < 0.5:
        return ops.expand(x, (m.random.choice((1, 2, 3, 8)), *x.shape))
    at = m.dim(x)
    one = ops.slice(
        x, (0,) * x.ndim, tuple(1 if d == at else s for d, s in enumerate(x.shape)), (1,) * x.ndim
    )
    return ops.expand(one, tuple(m.size() if d == at else s for d, s in enumerate(x.shape)))


def pad(m: Maker) -> Any:
    x = m.real()
    edges = tuple((m.random.randrange(3), m.random.randrange(3)) for _ in x.shape)
    return ops.pad(x, edges, m.random.choice((0.0, 1.0)))


def repeat(m: Maker) -> Any:
    """Elements again and again, beside what else reads them."""
    x = m.pick(lambda v: 0 < v.ndim < 4)
    shape = m.static(x)
    times = m.random.choice((2, 3, 6))
    at = m.dim(x)
    wide = ops.expand(x, (times, *shape))
    order = (*range(1, at + 1), 0, *range(at + 1, x.ndim + 1))
    joined = (*shape[:at], times * shape[at], *shape[at + 1 :])
    y = ops.reshape(ops.permute(wide, order), joined)
    if y.ndim == 2 and m.random.random() < 0.5:
        y = ops.reshape(y, y.shape[::-1])
    return y


def flip(m: Maker) -> Any:
    x = m.pick(lambda v: v.ndim > 0)
    return ops.flip(x, _dims(m, x))


def cat(m: Maker) -> Any:
    x = m.pick(lambda v: v.ndim > 0)
    at = m.dim(x)

    def fits(v: Value) -> bool:
        mine, theirs = ([s for d, s in enumerate(y.shape) if d != at] for y in (v, x))
        return v.dtype is x.dtype and v.ndim == x.ndim and same_shape(mine, theirs)

    return ops.cat(*(m.pick(fits) for _ in range(m.random.choice((1, 2, 2, 3)))), x, dim=at)


def contiguous(m: Maker) -> Any:
    return ops.contiguous(m.pick())


# -- products and windows --------------------------------------------------------------------------


def matmul(m: Maker) -> Any:
    x = m.real(lambda v: v.ndim > 0)
    inner = x.shape[-1]
    if not isinstance(inner, int):
        raise UnfitError("a symbolic inner size")
    y = m.operand((inner, m.size()), x.dtype, T((), -1.0, 1.0))
    found = ops.matmul(x, y)
    return ops.mul(found, 1 / (1 + inner) ** 0.5) if m.random.random() < 0.5 else found


def matmul_of_pool(m: Maker) -> Any:
    """A product whose operands were both computed."""
    x = m.real(lambda v: v.ndim > 1)
    turned = (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)
    if m.random.random() < 0.5:
        return ops.mul(ops.matmul(x, ops.permute(x, turned)), 0.125)

    def fits(v: Value) -> bool:
        return any(same_shape((s,), x.shape[-1:]) for s in v.shape)

    y = m.real(lambda v: v.dtype is x.dtype and v.ndim == 2 and fits(v))
    if not same_shape(y.shape[:1], x.shape[-1:]):
        y = ops.permute(y, (1, 0))
    return ops.matmul(x, y)


def product_with_epilogue(m: Maker) -> Any:
    """A linear layer: the product, a bias, an activation, perhaps a residual."""
    x = m.real(lambda v: v.ndim > 0)
    inner = x.shape[-1]
    if not isinstance(inner, int):
        raise UnfitError("a symbolic inner size")
    width = m.random.choice((inner, m.size()))
    w = m.operand((width, inner), x.dtype, T((), -0.5, 0.5))
    y = ops.add(ops.matmul(x, ops.permute(w, (1, 0))), m.operand((width,), x.dtype))
    y = getattr(ops, m.random.choice(("relu", "gelu", "tanh", "silu", "neg")))(y)
    return ops.add(x, y) if width == inner and m.random.random() < 0.5 else y


def einsum(m: Maker) -> Any:
    x = m.real(lambda v: 0 < v.ndim < 4)
    mine = "abc"[: x.ndim]
    theirs = [c for c in mine if m.random.random() < 0.6] + ["d"] * m.random.randrange(2)
    m.random.shuffle(theirs)
    sizes = dict(zip(mine, x.shape, strict=True))
    y = m.given(tuple(sizes.get(c) or m.random.randint(1, 5) for c in theirs), x.dtype)
    kept = [c for c in dict.fromkeys([*mine, *theirs]) if m.random.random() < 0.6]
    once = [c for c in (*mine, *theirs) if (mine + "".join(theirs)).count(c) == 1]
    kept += [c for c in once if c not in kept]
    m.random.shuffle(kept)
    return ops.einsum(f"{mine},{''.join(theirs)}->{''.join(kept)}", x, y)


def _image(m: Maker, channels: int) -> Value:
    """An image (N, C, H, W), of the pool or new."""
    same = [v for v in m.pool if v.dtype.is_floating_point and v.ndim == 4]
    same = [v for v in same if v.shape[1] == channels]
    if same and m.random.random() < 0.7:
        return m.random.choice(same)
    first = m.symbol if m.symbol is not None else m.random.choice((0, 1, 2, 3))
    high, wide = (m.random.randint(1, 12) for _ in range(2))
    return m.given((first, channels, high, wide))


def _window(m: Maker) -> dict[str, Any]:
    r = m.random
    return {
        "stride": (r.choice((1, 1, 2, 3)), r.choice((1, 1, 2))),
        "padding": (r.randrange(3), r.randrange(3)),
        "dilation": (r.choice((1, 1, 2)), r.choice((1, 1, 2))),
    }


def conv(m: Maker) -> Any:
    """A convolution, grouped or not, with bias and activation or without."""
    groups = m.random.choice((1, 1, 1, 2, 3))
    inside, out = m.random.choice((1, 2, 3, 8)), m.random.choice((1, 2, 3, 8))
    x = _image(m, groups * inside)
    kernel = (m.random.choice((1, 1, 2, 3)), m.random.choice((1, 2, 3, 3)))
    w = m.operand((groups * out, inside, *kernel), x.dtype, T((), -1.0, 1.0))
    y = ops.conv2d(x, w, groups=groups, **_window(m))
    if m.random.random() < 0.5:
        bias = ops.reshape(m.operand((groups * out,), x.dtype), (1, groups * out, 1, 1))
        y = ops.relu(ops.add(y, ops.expand(bias, y.shape)))
    return y


def transposed_conv(m: Maker) -> Any:
    x = _image(m, m.random.choice((1, 2, 3)))
    kernel = (m.random.choice((1, 2, 3)), m.random.choice((1, 2, 3)))
    stride, padding = m.random.choice((1, 2)), m.random.choice((0, 0, 1))
    size = tuple(
        (s - 1) * stride - 2 * padding + k for s, k in zip(m.static(x)[2:], kernel, strict=True)
    )
    if min(size) < 1:
        raise UnfitError("nothing is left")
    w = m.operand((x.shape[1], m.random.choice((1, 2, 5)), *kernel), x.dtype)
    rest = {"stride": (stride,) * 2, "padding": (padding,) * 2, "dilation": (1, 1), "groups": 1}
    return ops.conv2d_input_grad(x, w, size=size, **rest)


def pool(m: Maker) -> Any:
    x = _image(m, m.random.choice((1, 2, 3, 8)))
    kernel = (m.random.choice((1, 2, 3)), m.random.choice((2, 3)))
    stride = m.random.choice((1, 2, kernel))
    padding = tuple(m.random.randint(0, k // 2) for k in kernel)
    ceil = m.random.random() < 0.3
    if m.random.random() < 0.5:
        return ops.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil)
    return ops.avg_pool2d(x, kernel, stride, padding, ceil, m.random.random() < 0.5)


# -- gathers, scatters, sorts ----------------------------------------------------------------------


def _indices(m: Maker, shape: Sequence[Any], size: Any) -> Value:
    if not isinstance(size, int) or size == 0:
        raise UnfitError("nothing to index")
    kind = int64 if m.random.random() < 0.8 else int32
    return m.given(shape, kind, T((), 0, size - 1))


def gather(m: Maker) -> Any:
    x = m.real(lambda v: v.ndim > 0)
    d = m.dim(x)
    kind = m.random.randrange(3)
    if kind == 0 and x.ndim == 2:
        return ops.embedding(x, _indices(m, m.shape(m.random.randrange(3)), x.shape[0]))
    if kind == 1:
        return ops.index(x, _indices(m, m.shape(m.random.randrange(2)), x.shape[d]), dims=(d,))
    shape = tuple(m.size() if i == d else s for i, s in enumerate(x.shape))
    return ops.gather(x, d, _indices(m, shape, x.shape[d]))


def scatter(m: Maker) -> Any:
    x = m.real(lambda v: v.ndim > 0)
    d = m.dim(x)
    kind = m.random.randrange(3)
    if kind == 0:
        rows = m.size()
        values = m.given((rows, *x.shape[:d], *x.shape[d + 1 :]), x.dtype)
        if d:
            values = m.given((*x.shape[:d], rows, *x.shape[d + 1 :]), x.dtype)
        place = _indices(m, (rows,), x.shape[d])
        return ops.index_put(x, values, place, dims=(d,), accumulate=True)
    shape = tuple(m.size() if i == d else s for i, s in enumerate(x.shape))
    index = _indices(m, shape, x.shape[d])
    if kind == 1:
        return ops.scatter(x, d, index, m.random.choice((0.0, 1.5)))
    return ops.scatter_add(x, d, index, m.operand(shape, x.dtype))


def sort(m: Maker) -> Any:
    """On the host: a segment between native ones."""
    x = m.pick(lambda v: v.ndim > 0 and v.dtype is not bool_ and not v.dtype.is_complex)
    d, down = m.dim(x), m.random.random() < 0.5
    if m.random.random() < 0.6:
        found = ops.sort(x, d, down)
    else:
        size = x.shape[d]
        if not isinstance(size, int):
            raise UnfitError("symbolic")
        found = ops.topk(x, m.random.randint(0, size), d, down)
    return found if m.random.random() < 0.5 else found[0]


# -- losses, attention, random numbers, linear algebra, branches -----------------------------------


def loss(m: Maker) -> Any:
    x = m.real()
    reduction = m.random.choice(("mean", "sum", "none"))
    if m.random.random() < 0.5:
        name = m.random.choice(("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"))
        y = m.given(x.shape, x.dtype)
        return getattr(ops, name)(x, y, reduction=reduction)
    if x.ndim != 2:
        raise UnfitError("no classes")
    target = _indices(m, x.shape[:1], x.shape[1])
    if target.dtype is not int64:
        target = ops.cast(target, int64)
    if m.random.random() < 0.5:
        return ops.nll_loss(ops.log_softmax(x, 1), target, reduction=reduction)
    smoothing = m.random.choice((0.0, 0.1))
    return ops.cross_entropy(x, target, reduction=reduction, label_smoothing=smoothing)


def attention(m: Maker) -> Any:
    q = m.real(lambda v: 2 <= v.ndim <= 4)
    keys = m.size() or 1
    k = m.operand((*q.shape[:-2], keys, q.shape[-1]), q.dtype, T((), -1.0, 1.0))
    v = m.operand((*q.shape[:-2], keys, m.random.choice((1, 3, 8))), q.dtype)
    return ops.scaled_dot_product_attention(q, k, v, is_causal=m.random.random() < 0.3)


def numbers(m: Maker) -> Any:
    """Random numbers of a counter, and dropout with them."""
    key = m.given((2,), int64, T((), 0, 1 << 40))
    x = m.real()
    if m.random.random() < 0.5:
        kept = ops.lt(ops.uniform(key, x.shape, float32), 0.75)
        return ops.where(kept, ops.div(x, 0.75), 0.0)
    if m.random.random() < 0.5:
        return ops.normal(key, x.shape, m.main)
    return ops.randint(key, x.shape, -3, 9)


def linalg(m: Maker) -> Any:
    n = m.random.choice((1, 2, 3, 5))
    a = m.given((n, n), float32, T((n, n), definite=True))
    kind = m.random.randrange(3)
    if kind == 0:
        return ops.linalg_inv(a)
    if kind == 1:
        return ops.linalg_cholesky(a)
    b = m.real(lambda v: v.dtype is float32 and v.ndim == 2 and v.shape[0] == n)
    return ops.linalg_solve(a, b)


def complex_numbers(m: Maker) -> Any:
    pool = [v for v in m.pool if v.dtype is complex64]
    if not pool or m.random.random() < 0.4:
        x = m.real(lambda v: v.dtype is float32)
        return ops.complex(x, m.pick(lambda v: v.dtype is float32 and same_shape(v.shape, x.shape)))
    z = m.random.choice(pool)
    kind = m.random.randrange(4)
    if kind < 2:
        return (ops.real, ops.imag)[kind](z)
    return ops.mul(z, ops.conj(z)) if kind == 2 else ops.add(z, m.random.choice(pool))


def branch(m: Maker) -> Any:
    x = m.real()
    pred = m.given((), bool_)
    return ops.cond(pred, lambda v: ops.mul(v, 0.5), lambda v: ops.relu(v), x)


# -- shapes of programs that have gone wrong -------------------------------------------------------


def shared_rows(m: Maker) -> Any:
    """Several results of one fusion, among them sums of what others read."""
    x = m.real(lambda v: v.ndim > 1)
    d, e = m.random.sample(range(x.ndim), 2)
    s = ops.softmax(x, d) if m.random.random() < 0.5 else ops.relu(x)
    total = ops.sum(s, e, keepdim=True)
    ratio = ops.div(s, ops.add(ops.abs(total), 0.5))
    return m.random.choice(((ratio, total), (ratio, s), (total, s), (ratio,)))


WEIGHTS: dict[Draw, int] = {
    any_op: 40,
    unary: 6,
    binary: 5,
    arithmetic: 12,
    where: 2,
    compare: 3,
    cast: 4,
    integers: 4,
    reduce: 8,
    position: 2,
    scan: 2,
    normalise: 6,
    norm: 3,
    permute: 4,
    reshape: 4,
    slice_: 3,
    slice_scatter: 2,
    expand: 2,
    repeat: 3,
    pad: 2,
    flip: 2,
    cat: 3,
    contiguous: 1,
    matmul: 4,
    matmul_of_pool: 3,
    product_with_epilogue: 3,
    einsum: 2,
    conv: 3,
    transposed_conv: 1,
    pool: 2,
    gather: 3,
    scatter: 3,
    sort: 3,
    loss: 3,
    attention: 1,
    numbers: 2,
    linalg: 1,
    complex_numbers: 2,
    branch: 1,
    shared_rows: 4,
}


def draw_step(choice: random.Random) -> Draw:
    """One of the draws, by weight."""
    return choice.choices(tuple(WEIGHTS), tuple(WEIGHTS.values()))[0]
