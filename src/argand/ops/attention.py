"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

from argand.base.dtype import bool_, compute_dtype, float32, int64
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import broadcast_shapes, same_shape
from argand.ir.batching import each
from argand.ir.bind import bind
from argand.ir.elementwise import lifted
from argand.ir.families import Composite
from argand.ir.op import describe, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.move import summed_to
from argand.ops.norm import total_of

Prepared = tuple[tuple[Any, ...], dict[str, Any]]


class ScaledDotProductAttention(Composite):
    """softmax(q k^T * scale + mask) v for q (..., L, E), k (..., S, E), v (..., S, Ev).

    `attn_mask` broadcasts to (..., L, S): booleans keep where True, floats are added. `is_causal`
    lets query i see keys up to i. `scale` defaults to 1 / sqrt(E). A row that sees nothing gives 0.
    As `torch.nn.functional.scaled_dot_product_attention`. Hidden output: the log-sum-exp of each
    row of scores (..., L), from which the adjoint computes the probabilities again.
    """

    samples = (
        Sample(T((2, 3, 4)), T((2, 5, 4)), T((2, 5, 6))),
        Sample(T((2, 2, 4, 3)), T((2, 2, 4, 3)), T((2, 2, 4, 3)), is_causal=True),
        Sample(T((2, 3, 4)), T((2, 5, 4)), T((2, 5, 4)), T((3, 5)), scale=0.3),
        Sample(T((2, 3, 4)), T((2, 5, 4)), T((2, 5, 4)), T((2, 1, 5), dtype="bool")),
        Sample(T((2, 2, 4, 3)), T((2, 2, 5, 3)), T((2, 2, 5, 6)), T((2, 1, 1, 5), dtype="bool")),
        Sample(T((2, 2, 4, 3)), T((2, 2, 5, 3)), T((2, 2, 5, 6)), T((2, 2, 4, 5))),
        Sample(T((3, 4)), T((5, 4)), T((5, 4))),
    )
    error_samples = (
        ErrorSample(
            RuntimeError,
            "scaled_dot_product_attention: f32(2, 3, 4) and f32(2, 5, 3)",
            T((2, 3, 4), dtype="float32"),
            T((2, 5, 3), dtype="float32"),
            T((2, 5, 3), dtype="float32"),
        ),
        ErrorSample(
            RuntimeError,
            "give attn_mask or is_causal",
            T((3, 4)),
            T((3, 4)),
            T((3, 4)),
            T((3, 3)),
            is_causal=True,
        ),
    )
    tolerance = {"float32": 5e-5}

    def prepare(
        self,
        query: Any,
        key: Any,
        value: Any,
        attn_mask: Any = None,
        is_causal: bool = False,
        scale: float | None = None,
    ) -> Prepared:
        q, k, v = (lifted(x) for x in (query, key, value))
        _check(self.name, q, k, v)
        if attn_mask is not None and is_causal:
            raise ArgumentError(f"{self.name}: give attn_mask or is_causal, not both")
        batch = broadcast_shapes(*(x.shape[:-2] for x in (q, k, v)), op=self.name)
        inputs = [_batched(x, batch) for x in (q, k, v)]
        if attn_mask is not None:
            mask = lifted(attn_mask)
            if mask.dtype is not bool_ and mask.dtype is not q.dtype:
                raise DTypeError(
                    f"{self.name}: {describe(q, mask)}: the mask must be bool or alike"
                )
            inputs.append(mask)
        if scale is None:
            scale = 1 / math.sqrt(q.shape[-1]) if q.shape[-1] else 1.0
        return tuple(inputs), {"is_causal": bool(is_causal), "scale": float(scale)}

    def batched(self, size: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return _attended(self, size, inputs[:3], inputs[3:], params)

    def body(q: Any, k: Any, v: Any, *mask: Any, is_causal: bool, scale: float) -> Any:
        visible = _visible(q, k, mask, is_causal)
        s = _scores(q, k, mask, visible, scale)
        lse = ops.logsumexp(s, -1)
        lse = ops.where(ops.eq(lse, -math.inf), 0.0, lse)
        p = _probabilities(s, lse, visible)
        return ops.cast(ops.matmul(p, _wide(v)), v.dtype), lse

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        q, k, v, *mask = inputs
        causal, scale, dtype = params["is_causal"], params["scale"], v.dtype
        masked = bool(mask) and mask[0].dtype is bool_
        if g.opset >= 23 and len(q.shape) == 4 and compute_dtype(dtype) is float32:
            return _attention(g, inputs, params)
        q, k, v = (g.cast(x, compute_dtype(dtype)) for x in (q, k, v))
        rank = len(inputs[1].shape)
        keys = g.op("Transpose", k, perm=[*range(rank - 2), rank - 1, rank - 2])
        s = g.op("MatMul", g.op("Mul", q, g.constant(scale, q.dtype)), keys)
        if mask and not masked:
            s = g.op("Add", s, g.cast(mask[0], s.dtype))
        visible = mask[0] if masked else None
        if causal:
            rows, columns = (
                g.op("Range", g.size(0), g.size(x.shape[-2]), g.size(1)) for x in inputs[:2]
            )
            rows = g.op("Unsqueeze", rows, g.sizes((1,)))
            visible = g.op("GreaterOrEqual", rows, columns)
        if visible is None:
            p = g.op("Softmax", s, axis=-1)
        else:  # a row that sees nothing is NaN, which gives 0
            p = g.op("Where", visible, s, g.constant(-math.inf, s.dtype))
            p = g.op("Where", visible, g.op("Softmax", p, axis=-1), g.constant(0, s.dtype))
        return g.cast(g.op("MatMul", p, v), dtype)

    def adjoint_for(
        self, wants: Any, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]
    ) -> Any:
        g, glse = grads
        if glse is not None or any(wants[3:]):
            return self.adjoint(grads, inputs, outputs, params)
        q, k, v, *mask = inputs
        found = ops.scaled_dot_product_attention_grad(g, q, k, v, *outputs, *mask, **params)
        return [*found, *(None for _ in mask)]

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        q, k, _, *mask = inputs
        gs, gv = _score_gradients(grads[0], grads[1], inputs, outputs, **params)
        results = [*_operand_gradients(gs, q, k, params["scale"]), gv]
        if mask:
            boolean = mask[0].dtype is bool_
            results.append(None if boolean else _mask_gradient(gs, mask[0]))
        return results

    def saves(self, params: dict[str, Any]) -> Any:
        return range(64), (0, 1)


def _attention(g: Any, inputs: Any, params: dict[str, Any]) -> Any:
    """ONNX's operator, of masks that have both of their last dimensions in full."""
    q, k, v, *mask = inputs
    for m in mask:
        full = (*m.shape[:-2], q.shape[-2], k.shape[-2])
        mask = [m if same_shape(m.shape, full) else g.op("Expand", m, g.sizes(full))]
    attrs = {"is_causal": int(params["is_causal"]), "scale": params["scale"]}
    y = g.op("Attention", q, k, v, *mask, **attrs)
    if not mask or mask[0].dtype is not bool_:
        return y
    sees = g.reduce("ReduceMax", inputs[3], (len(inputs[3].shape) - 1,), True)
    return g.op("Where", sees, y, g.constant(0, v.dtype))  # else it may be NaN


def _attended(op: Any, size: Any, inputs: Any, mask: Any, params: dict[str, Any]) -> Any:
    """Attention of several calls, with a mask for all or one for each."""
    values = [x.stacked(size) for x in inputs]
    rank = len(values[0].shape) - 1
    for m in mask:
        shape = (size, *(1,) * (rank - len(m.shape)), *m.shape)
        values.append(ops.reshape(m.value, shape) if m.many else m.value)
    return each(bind(op, tuple(values), params))


class ScaledDotProductAttentionGrad(Composite):
    """The gradients (gq, gk, gv) of attention y of q, k and v where y has the gradient g.

    With p = exp(s - lse), s = q k^T * scale + mask: gv = p^T g, gs = p (g v^T - rowsum(g y)),
    gq = scale * gs k, gk = scale * gs^T q. `y` and `lse` are what `scaled_dot_product_attention`
    gave, the log-sum-exp being hidden; the other parameters are the same.
    """

    visible = 3
    samples = (
        Sample(
            *[
                T((2, 3, 6)),
                T((2, 3, 4)),
                T((2, 5, 4)),
                T((2, 5, 6)),
                T((2, 3, 6)),
                T((2, 3), 2.0, 4.0),
            ]
        ),
        Sample(*[T((2, 2, 4, 3))] * 5, T((2, 2, 4), 2.0, 4.0), is_causal=True),
        Sample(
            *[T((3, 4)), T((3, 4)), T((5, 4)), T((5, 4)), T((3, 4)), T((3,), 2.0, 4.0)],
            T((1, 5), dtype="bool"),
            scale=0.3,
        ),
    )
    error_samples = (
        ErrorSample(
            RuntimeError,
            "f32(2, 3, 4) and f32(2, 5, 3) and f32(2, 5, 3): expected q (..., L, E)",
            *[T(shape, dtype="float32") for shape in ((2, 3, 3), (2, 3, 4))],
            *[T((2, 5, 3), dtype="float32")] * 2,
            *[T(shape, dtype="float32") for shape in ((2, 3, 3), (2, 3))],
        ),
    )
    tolerance = {"float32": 5e-5}

    def prepare(
        self,
        grad: Any,
        query: Any,
        key: Any,
        value: Any,
        result: Any,
        lse: Any,
        attn_mask: Any = None,
        is_causal: bool = False,
        scale: float | None = None,
    ) -> Prepared:
        inputs = [lifted(x) for x in (grad, query, key, value, result, lse)]
        q = inputs[1]
        _check(self.name, *inputs[1:4])
        if attn_mask is not None:
            inputs.append(lifted(attn_mask))
        if scale is None:
            scale = 1 / math.sqrt(q.shape[-1])
        return tuple(inputs), {"is_causal": bool(is_causal), "scale": float(scale)}

    def batched(self, size: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return _attended(self, size, inputs[:6], inputs[6:], params)

    def body(
        g: Any, q: Any, k: Any, v: Any, y: Any, lse: Any, *mask: Any, is_causal: bool, scale: float
    ) -> Any:
        gs, gv = _score_gradients(
            g, None, (q, k, v, *mask), (y, lse), is_causal=is_causal, scale=scale
        )
        return (*_operand_gradients(gs, q, k, scale), gv)


def _score_gradients(
    g: Any, glse: Any, inputs: Any, outputs: Any, *, is_causal: bool, scale: float
) -> tuple[Any, Any]:
    """The gradients of the masked scores and of the values."""
    (q, k, v, *mask), (y, lse) = inputs, outputs
    visible = _visible(q, k, tuple(mask), is_causal)
    p = _probabilities(_scores(q, k, tuple(mask), visible, scale), lse, visible)
    gv, parts = None, []
    if g is not None:
        g = _wide(g)
        gv = ops.cast(ops.matmul(_transposed(p), g), v.dtype)
        gp = ops.matmul(g, _transposed(_wide(v)))
        parts.append(ops.sub(gp, ops.sum(ops.mul(g, _wide(y)), -1, True)))
    if glse is not None:
        parts.append(ops.expand(_column(glse), p.shape))
    return ops.mul(p, total_of(parts)), gv


def _operand_gradients(gs: Any, q: Any, k: Any, scale: float) -> tuple[Any, Any]:
    """The gradients of the queries and of the keys."""
    scaled = ops.mul(gs, scale)
    gq, gk = ops.matmul(scaled, _wide(k)), ops.matmul(_transposed(scaled), _wide(q))
    return ops.cast(gq, q.dtype), ops.cast(gk, k.dtype)


def _check(op: str, q: Any, k: Any, v: Any) -> None:
    fits = min(len(x.shape) for x in (q, k, v)) >= 2 and same_shape(
        (q.shape[-1], k.shape[-2]), (k.shape[-1], v.shape[-2])
    )
    if not fits:
        raise ShapeError(
            f"{op}: {describe(q, k, v)}: expected q (..., L, E), k (..., S, E) and v (..., S, Ev)"
        )
    if not q.dtype is k.dtype is v.dtype or not q.dtype.is_floating_point:
        raise DTypeError(f"{op}: {describe(q, k, v)}: expected one floating-point dtype")


def _wide(x: Any) -> Any:
    """The dtype to compute in: 16-bit floats are rounded once, at the end."""
    return ops.cast(x, compute_dtype(x.dtype))


def _batched(x: Any, batch: Any) -> Any:
    shape = (*batch, *x.shape[-2:])
    return x if same_shape(x.shape, shape) else ops.expand(x, shape)


def _transposed(x: Any) -> Any:
    rank = len(x.shape)
    return ops.permute(x, (*range(rank - 2), rank - 1, rank - 2))


def _column(x: Any) -> Any:
    return ops.reshape(x, (*x.shape, 1))


def _visible(q: Any, k: Any, mask: tuple[Any, ...], is_causal: bool) -> Any:
    """Which keys each query sees, as booleans; None where it sees all."""
    if not is_causal:
        return mask[0] if mask and mask[0].dtype is bool_ else None
    rows, columns = q.shape[-2], k.shape[-2]
    i = ops.reshape(ops.arange(0, 1, rows, int64), (rows, 1))
    return ops.ge(i, ops.arange(0, 1, columns, int64))


def _scores(q: Any, k: Any, mask: tuple[Any, ...], visible: Any, scale: float) -> Any:
    s = ops.mul(ops.matmul(_wide(q), _transposed(_wide(k))), scale)
    if visible is not None:
        return ops.where(visible, s, -math.inf)
    return ops.add(s, ops.cast(mask[0], s.dtype)) if mask else s


def _probabilities(s: Any, lse: Any, visible: Any) -> Any:
    """exp(s - lse); 0 for keys that are hidden, even where a NaN takes the rest of the row."""
    p = ops.exp(ops.sub(s, _column(lse)))
    return p if visible is None else ops.where(visible, p, 0.0)


def _mask_gradient(gs: Any, mask: Any) -> Any:
    return summed_to(ops.cast(gs, mask.dtype), mask.shape)
