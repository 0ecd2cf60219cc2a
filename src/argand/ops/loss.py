"""Losses, with PyTorch's definitions. `reduction` is "mean", "sum" or "none"."""

from __future__ import annotations

import math
import operator
from typing import Any, ClassVar

from argand.base.domains import check_numbers
from argand.base.dtype import compute_dtype, int64
from argand.base.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from argand.base.shape import broadcast_shapes, same_shape
from argand.ir.elementwise import common_dtype, lifted
from argand.ir.families import Composite, array_type
from argand.ir.interpret import interpret
from argand.ir.op import describe, ops
from argand.ir.record import record_body
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.norm import total_of
from argand.ops.statistics import size_value, widened

Prepared = tuple[tuple[Any, ...], dict[str, Any]]
_REDUCTIONS = ("mean", "sum", "none")


def _check_reduction(op: str, reduction: str, allowed: tuple[str, ...] = _REDUCTIONS) -> None:
    if reduction not in allowed:
        listed = ", ".join(map(repr, allowed))
        raise ArgumentError(f"{op}: reduction must be one of {listed}, got {reduction!r}")


def _check_floats(op: str, *operands: Any) -> None:
    """DTypeError unless the operands together make floats."""
    dtype = common_dtype(*operands)
    if not dtype.is_floating_point:
        raise DTypeError(f"{op}: not defined for {dtype.name}; cast to a floating-point dtype")


def reduced(loss: Any, reduction: str) -> Any:
    """The loss reduced as asked."""
    if reduction == "none":
        return loss
    return ops.mean(loss) if reduction == "mean" else ops.sum(loss)


# -- classes -------------------------------------------------------------------------------------


def _classes(*shape: int, high: int = 4) -> T:
    return T(shape, 0, high, "int64")


def _rows(x: Any, target: Any, op: str) -> tuple[Any, Any, Any]:
    """Class scores as (N, C), targets as (N,), and the shape of the unreduced loss."""
    rank = len(x.shape)
    shape = x.shape[:1] + x.shape[2:] if rank > 1 else ()
    if rank == 0 or not same_shape(target.shape, shape):
        raise ShapeError(
            f"{op}: {describe(x, target)}: expected scores (N, C, ...) or (C,), and a target "
            "without the C"
        )
    if rank == 1:
        return ops.reshape(x, (1, x.shape[0])), ops.reshape(target, (1,)), ()
    if rank > 2:
        x = ops.permute(x, (0, *range(2, rank), 1))
        x = ops.reshape(x, (-1, x.shape[-1]))
        target = ops.reshape(target, (-1,))
    return x, target, shape


def _check_classes(op: str, target: Any, classes: int, ignored: int) -> None:
    bad = ((target < 0) | (target >= classes)) & (target != ignored)
    if bad.any():
        raise IndexRangeError(
            f"{op}: target {target[bad][0]} is out of range for {classes} classes"
        )


def _whole(op: str, target: Any) -> Any:
    if not target.dtype.is_index:
        raise DTypeError(f"{op}: the target must hold class numbers, got {target.dtype.name}")
    return target if target.dtype is int64 else ops.cast(target, int64)


class CrossEntropy(Composite):
    """-log softmax(x)[target], for class scores x (N, C) and class numbers target (N,).

    As `torch.nn.functional.cross_entropy`: targets equal to `ignore_index` count for nothing;
    `label_smoothing` e mixes (1 - e) of it with e of the mean over all classes; scores may be (C,)
    or (N, C, ...); a floating-point target of x's shape holds probabilities; `weight` (C,) weighs
    the classes. Hidden output: the log-sum-exp of each row.
    """

    samples = (
        Sample(T((6, 5), -3, 3), _classes(6)),
        Sample(T((6, 5)), _classes(6), reduction="sum"),
        Sample(T((6, 5)), _classes(6), reduction="none", ignore_index=2),
        Sample(T((6, 5)), _classes(6), label_smoothing=0.1, ignore_index=1),
        Sample(T((2, 5, 3)), _classes(2, 3), reduction="none"),
        Sample(T((5,)), _classes()),
        Sample(T((4, 5)), T((4, 5), 0.0, 0.4)),
        Sample(T((4, 5)), _classes(4), T((5,), 0.2, 1.5)),
        Sample(T((0, 5)), _classes(0), reduction="sum"),
    )
    error_samples = (
        ErrorSample(
            IndexError, "target 5 is out of range for 5 classes", T((2, 5)), T((2,), 5, 5, "int64")
        ),
        ErrorSample(RuntimeError, "expected scores (N, C, ...)", T((2, 5)), _classes(3)),
        ErrorSample(RuntimeError, "reduction must be", T((2, 5)), _classes(2), reduction="avg"),
        ErrorSample(TypeError, "must hold class numbers", T((2, 5)), T((2,))),
    )
    widens = True
    tolerance = {"float32": 1e-5}

    def apply(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> Any:
        _check_reduction(self.name, reduction)
        check_numbers("[0, 1]", label_smoothing=label_smoothing)
        x, target = lifted(input), lifted(target)
        _check_floats(self.name, x)
        if target.dtype.is_floating_point and same_shape(x.shape, target.shape):
            return _soft_cross_entropy(x, target, weight, reduction, label_smoothing)
        if weight is not None:
            if label_smoothing:
                raise ArgumentError("cross_entropy: weight with label_smoothing isn't there yet")
            logp = ops.log_softmax(x, min(1, len(x.shape) - 1))
            return ops.nll_loss(
                logp, target, weight, ignore_index=ignore_index, reduction=reduction
            )
        rows, classes, shape = _rows(x, _whole(self.name, target), self.name)
        loss = super().apply(rows, classes, reduction, ignore_index, label_smoothing)
        return ops.reshape(loss, shape) if reduction == "none" and len(shape) != 1 else loss

    def prepare(
        self, x: Any, target: Any, reduction: str, ignore_index: int, label_smoothing: float
    ) -> Prepared:
        return (x, target), {
            "reduction": reduction,
            "ignore_index": operator.index(ignore_index),
            "label_smoothing": float(label_smoothing),
        }

    def body(x: Any, target: Any, reduction: str, ignore_index: int, label_smoothing: float) -> Any:
        lse = ops.logsumexp(x, 1)
        valid, safe = _valid(target, ignore_index)
        picked = ops.reshape(ops.gather(x, 1, ops.reshape(safe, (*safe.shape, 1))), safe.shape)
        loss = ops.sub(lse, picked)
        if label_smoothing:
            smooth = ops.sub(lse, ops.mean(x, 1))
            loss = ops.add(ops.mul(loss, 1 - label_smoothing), ops.mul(smooth, label_smoothing))
        loss = ops.where(valid, loss, 0.0)
        if reduction == "none":
            return loss, lse
        total = ops.sum(widened(loss))
        if reduction == "mean":
            total = ops.div(total, ops.sum(ops.cast(valid, total.dtype)))
        return ops.cast(total, x.dtype), lse

    def run(self, *arrays: Any, **params: Any) -> Any:
        x, target = arrays
        _check_classes(self.name, target, x.shape[1], params["ignore_index"])
        program = record_body(self, (array_type(x), array_type(target)), params)
        return tuple(interpret(program, arrays))

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x, target), reduction = inputs, params["reduction"]
        narrow = compute_dtype(x.dtype) is not x.dtype
        if params["label_smoothing"] or narrow or same_shape(x.shape[:1], (0,)):
            return super().onnx(g, inputs, params)
        ignored = params["ignore_index"]
        kind = "SoftmaxCrossEntropyLoss"
        return g.op(kind, x, target, ignore_index=ignored, reduction=reduction)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (x, target), (_, lse), (g, glse) = inputs, outputs, grads
        rows, classes = x.shape
        p = ops.exp(ops.sub(x, ops.reshape(lse, (rows, 1))))
        parts = []
        if g is not None:
            valid, safe = _valid(target, params["ignore_index"])
            if params["reduction"] == "mean":
                wide = widened(g)
                g = ops.cast(ops.div(wide, ops.sum(ops.cast(valid, wide.dtype))), x.dtype)
            scale = ops.where(valid, g, 0.0)
            chosen = ops.eq(ops.arange(0, 1, classes, int64), ops.reshape(safe, (rows, 1)))
            wanted, smoothing = ops.cast(chosen, x.dtype), params["label_smoothing"]
            if smoothing:
                share = ops.div(ops.full((), smoothing, x.dtype), size_value(classes, x.dtype))
                wanted = ops.add(ops.mul(wanted, 1 - smoothing), share)
            parts.append(ops.mul(ops.sub(p, wanted), ops.reshape(scale, (rows, 1))))
        if glse is not None:
            parts.append(ops.mul(p, ops.reshape(glse, (rows, 1))))
        return [total_of(parts), None]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0, 1), (1,)


def _valid(target: Any, ignore_index: int) -> tuple[Any, Any]:
    """Which targets count, and the targets with class 0 in place of the others."""
    valid = ops.ne(target, ignore_index)
    return valid, ops.where(valid, target, 0)


def _soft_cross_entropy(x: Any, target: Any, weight: Any, reduction: str, smoothing: float) -> Any:
    """Cross-entropy with probabilities as target; the mean is over all but the classes."""
    dim = min(1, len(x.shape) - 1)
    if smoothing:
        target = ops.add(ops.mul(target, 1 - smoothing), smoothing / x.shape[dim])
    terms = ops.mul(ops.log_softmax(x, dim), target)
    if weight is not None:
        shape = tuple(s if d == dim else 1 for d, s in enumerate(x.shape))
        terms = ops.mul(terms, ops.reshape(weight, shape))
    return reduced(ops.neg(ops.sum(terms, dim)), reduction)


class NllLoss(Composite):
    """-x[i, target[i]] for log-probabilities x (N, C); see `cross_entropy` for the rest.

    With `weight` (C,) the mean is weighted too.
    """

    samples = (
        Sample(T((6, 5)), _classes(6)),
        Sample(T((6, 5)), _classes(6), T((5,), 0.2, 1.5), ignore_index=1),
        Sample(T((6, 5)), _classes(6), T((5,), 0.2, 1.5), reduction="none"),
        Sample(T((2, 5, 3)), _classes(2, 3), reduction="sum"),
        Sample(T((5,)), _classes()),
    )
    error_samples = (
        ErrorSample(
            IndexError, "target 7 is out of range for 5 classes", T((2, 5)), T((2,), 7, 7, "int64")
        ),
        ErrorSample(RuntimeError, "expected scores (N, C, ...)", T((2, 5)), _classes(3)),
    )

    widens = True

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        return (*inputs, None)[:3], params

    def apply(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> Any:
        _check_reduction(self.name, reduction)
        x, target = lifted(input), _whole(self.name, lifted(target))
        _check_floats(self.name, x)
        rows, classes, shape = _rows(x, target, self.name)
        loss = super().apply(rows, classes, weight, ignore_index, reduction)
        return ops.reshape(loss, shape) if reduction == "none" and len(shape) != 1 else loss

    def prepare(
        self, x: Any, target: Any, weight: Any, ignore_index: int, reduction: str
    ) -> Prepared:
        inputs = (x, target) if weight is None else (x, target, lifted(weight))
        return inputs, {"ignore_index": operator.index(ignore_index), "reduction": reduction}

    def body(x: Any, target: Any, *weight: Any, ignore_index: int, reduction: str) -> Any:
        valid, safe = _valid(target, ignore_index)
        picked = ops.gather(x, 1, ops.reshape(safe, (*safe.shape, 1)))
        loss = ops.neg(ops.reshape(picked, safe.shape))
        share = ops.cast(valid, x.dtype)
        if weight:
            share = ops.where(valid, ops.index(weight[0], safe), 0.0)
        loss = ops.mul(ops.where(valid, loss, 0.0), share)
        if reduction == "none":
            return loss
        total = ops.sum(widened(loss))
        if reduction == "mean":
            total = ops.div(total, ops.sum(widened(share)))
        return ops.cast(total, loss.dtype)

    def run(self, *arrays: Any, **params: Any) -> Any:
        _check_classes(self.name, arrays[1], arrays[0].shape[1], params["ignore_index"])
        return super().run(*arrays, **params)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        if compute_dtype(inputs[0].dtype) is not inputs[0].dtype:
            return super().onnx(g, inputs, params)
        given = {name: params[name] for name in ("ignore_index", "reduction")}
        return g.op("NegativeLogLikelihoodLoss", *inputs, **given)


# -- regression ----------------------------------------------------------------------------------

_PAIRS = (
    Sample(T((3, 4), distinct=True), T((3, 4), distinct=True)),
    Sample(T((3, 4), distinct=True), T((3, 4), distinct=True), reduction="sum"),
    Sample(T((3, 4), distinct=True), T((4,), distinct=True), reduction="none"),
    Sample(T(()), T(())),
)
_BAD_REDUCTION = ErrorSample(
    RuntimeError, "reduction must be one of", T((2,)), T((2,)), reduction="avg"
)


class _PairLoss(Composite):
    """A loss of two tensors of one shape."""

    abstract = True
    of_complex: ClassVar[bool] = False
    samples: ClassVar[Any] = _PAIRS
    error_samples: ClassVar[Any] = (
        _BAD_REDUCTION,
        ErrorSample(RuntimeError, "don't broadcast", T((2,)), T((3,))),
    )
    widens = True
    keeps_order = True
    tolerance = {"float32": 1e-5}

    def prepare(self, *args: Any, **kwargs: Any) -> Prepared:
        return self.pair(*args, **kwargs)

    def pair(self, input: Any, target: Any, *, reduction: str = "mean", **params: Any) -> Prepared:
        """The operands and the parameters, reduction and shapes checked."""
        _check_reduction(self.name, reduction)
        x, target = lifted(input), lifted(target)
        if not (self.of_complex and common_dtype(x, target).is_complex):
            _check_floats(self.name, x, target)
        broadcast_shapes(x.shape, target.shape, op=self.name)
        return (x, target), {"reduction": reduction, **params}


class MseLoss(_PairLoss):
    """(input - target) ** 2."""

    def body(x: Any, target: Any, reduction: str) -> Any:
        return reduced(ops.square(ops.sub(x, target)), reduction)


class L1Loss(_PairLoss):
    """|input - target|, of complex numbers too."""

    of_complex = True

    def body(x: Any, target: Any, reduction: str) -> Any:
        return reduced(ops.abs(ops.sub(x, target)), reduction)


class SmoothL1Loss(_PairLoss):
    """d ** 2 / (2 beta) for d = |input - target| below beta, d - beta / 2 above."""

    samples = (*_PAIRS, Sample(T((3, 4)), T((3, 4)), beta=0.3))
    error_samples = (
        *_PairLoss.error_samples,
        ErrorSample(ValueError, "beta must be a number in [0, inf)", T((2,)), T((2,)), beta=-1.0),
    )

    def prepare(
        self, input: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0
    ) -> Prepared:
        check_numbers("[0, inf)", beta=beta)
        return self.pair(input, target, reduction=reduction, beta=float(beta))

    def body(x: Any, target: Any, reduction: str, beta: float) -> Any:
        rest = ops.sub(x, target)
        d = ops.abs(rest)
        if not beta:
            return reduced(d, reduction)
        is_near = ops.lt(d, beta)
        near = ops.mul(ops.square(ops.where(is_near, rest, 0.0)), 0.5 / beta)  # no infinity squared
        return reduced(ops.where(is_near, near, ops.sub(d, 0.5 * beta)), reduction)


class HuberLoss(_PairLoss):
    """d ** 2 / 2 for d = |input - target| up to delta, delta * (d - delta / 2) above."""

    samples = (*_PAIRS, Sample(T((3, 4)), T((3, 4)), delta=0.3))
    error_samples = (
        *_PairLoss.error_samples,
        ErrorSample(ValueError, "delta must be a number in (0, inf)", T((2,)), T((2,)), delta=0.0),
    )

    def prepare(
        self, input: Any, target: Any, *, reduction: str = "mean", delta: float = 1.0
    ) -> Prepared:
        check_numbers("(0, inf)", delta=delta)
        return self.pair(input, target, reduction=reduction, delta=float(delta))

    def body(x: Any, target: Any, reduction: str, delta: float) -> Any:
        rest = ops.sub(x, target)
        d = ops.abs(rest)
        is_near = ops.le(d, delta)
        near = ops.mul(ops.square(ops.where(is_near, rest, 0.0)), 0.5)  # no infinity squared
        far = ops.mul(ops.sub(d, 0.5 * delta), delta)
        return reduced(ops.where(is_near, near, far), reduction)


# -- probabilities -------------------------------------------------------------------------------


class BinaryCrossEntropy(Composite):
    """-(t * log(x) + (1 - t) * log(1 - x)) * weight for probabilities x; logs are at least -100."""

    samples = (
        Sample(T((3, 4), 0.1, 0.9), T((3, 4), 0.0, 1.0)),
        Sample(T((3, 4), 0.1, 0.9), T((3, 4), 0.0, 1.0), T((4,), 0.5, 2.0), reduction="sum"),
        Sample(T((), 0.1, 0.9), T((), 0.0, 1.0), reduction="none"),
    )
    error_samples = (
        _BAD_REDUCTION,
        ErrorSample(RuntimeError, "must have one shape", T((2,)), T((1,))),
    )
    widens = True
    keeps_order = True
    tolerance = {"float32": 1e-5}

    def prepare(
        self, input: Any, target: Any, weight: Any = None, *, reduction: str = "mean"
    ) -> Prepared:
        _check_reduction(self.name, reduction)
        x, target = lifted(input), lifted(target)
        _check_floats(self.name, x, target)
        _check_one_shape(self.name, x, target)
        weights = () if weight is None else (lifted(weight),)
        return (x, target, *weights), {"reduction": reduction}

    def body(x: Any, target: Any, *weight: Any, reduction: str) -> Any:
        # where there is no logarithm its derivative, which is infinite, is not asked for either
        above, below = ops.gt(x, 0.0), ops.lt(x, 1.0)
        yes = ops.where(above, ops.log(ops.where(above, x, 1.0)), -100.0)
        no = ops.where(below, ops.log1p(ops.neg(ops.where(below, x, 0.0))), -100.0)
        yes, no = ops.clamp(yes, min=-100.0), ops.clamp(no, min=-100.0)
        loss = ops.neg(ops.add(ops.mul(target, yes), ops.mul(ops.sub(1.0, target), no)))
        return reduced(ops.mul(loss, weight[0]) if weight else loss, reduction)


def _check_one_shape(op: str, x: Any, target: Any) -> None:
    if not same_shape(x.shape, target.shape):
        raise ShapeError(f"{op}: {describe(x, target)}: input and target must have one shape")


class BinaryCrossEntropyWithLogits(Composite):
    """`binary_cross_entropy` of sigmoid(x), without overflow.

    (1 - t) * x + (1 + (pos_weight - 1) * t) * log(1 + exp(-x)), times `weight`.
    """

    samples = (
        Sample(T((3, 4), -4, 4), T((3, 4), 0.0, 1.0)),
        Sample(T((3, 4)), T((3, 4), 0.0, 1.0), T((4,), 0.5, 2.0), reduction="sum"),
        Sample(T((3, 4)), T((3, 4), 0.0, 1.0), pos_weight=T((4,), 0.5, 2.0)),
        Sample(T(()), T((), 0.0, 1.0), T((), 0.5, 2.0), pos_weight=T((), 0.5, 2.0)),
    )
    error_samples = BinaryCrossEntropy.error_samples
    widens = True
    keeps_order = True
    tolerance = {"float32": 1e-5}

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        names = {"w": "weight", "p": "pos_weight"}
        extra = zip([names[c] for c in params["weights"]], inputs[2:], strict=True)
        return inputs[:2], {"reduction": params["reduction"], **dict(extra)}

    def prepare(
        self,
        input: Any,
        target: Any,
        weight: Any = None,
        *,
        reduction: str = "mean",
        pos_weight: Any = None,
    ) -> Prepared:
        _check_reduction(self.name, reduction)
        x, target = lifted(input), lifted(target)
        _check_floats(self.name, x, target)
        _check_one_shape(self.name, x, target)
        given = {"w": weight, "p": pos_weight}
        extra = tuple(lifted(v) for v in given.values() if v is not None)
        letters = "".join(k for k, v in given.items() if v is not None)
        return (x, target, *extra), {"reduction": reduction, "weights": letters}

    def body(x: Any, target: Any, *extra: Any, reduction: str, weights: str) -> Any:
        named = dict(zip(weights, extra, strict=True))
        soft = ops.softplus(ops.neg(x), 1.0, math.inf)
        if "p" in named:
            soft = ops.mul(soft, ops.add(ops.mul(ops.sub(named["p"], 1.0), target), 1.0))
        loss = ops.add(ops.mul(ops.sub(1.0, target), x), soft)
        return reduced(ops.mul(loss, named["w"]) if "w" in named else loss, reduction)


class KlDiv(Composite):
    """t * (log(t) - x) for log-probabilities x and probabilities t (their logs with `log_target`).

    `reduction` may also be "batchmean": the sum divided by the first size.
    """

    samples = (
        Sample(T((3, 4)), T((3, 4), 0.1, 1.0)),
        Sample(T((3, 4)), T((3, 4), 0.1, 1.0), reduction="batchmean"),
        Sample(T((3, 4)), T((3, 4)), reduction="sum", log_target=True),
        Sample(T((3, 4)), T((4,), 0.1, 1.0), reduction="none"),
    )
    error_samples = (_BAD_REDUCTION,)
    widens = True
    keeps_order = True
    tolerance = {"float32": 1e-5}

    def prepare(
        self, input: Any, target: Any, *, reduction: str = "mean", log_target: bool = False
    ) -> Prepared:
        _check_reduction(self.name, reduction, (*_REDUCTIONS, "batchmean"))
        x, target = lifted(input), lifted(target)
        _check_floats(self.name, x, target)
        broadcast_shapes(x.shape, target.shape, op=self.name)
        return (x, target), {"reduction": reduction, "log_target": bool(log_target)}

    def body(x: Any, target: Any, reduction: str, log_target: bool) -> Any:
        if log_target:
            loss = ops.mul(ops.exp(target), ops.sub(target, x))
        else:
            some = ops.ne(target, 0)
            log = ops.log(ops.where(some, target, 1.0))
            loss = ops.where(some, ops.mul(target, ops.sub(log, x)), 0.0)
        if reduction == "batchmean":
            total = ops.sum(widened(loss))
            if not x.shape:
                return ops.cast(total, loss.dtype)
            return ops.cast(ops.div(total, size_value(x.shape[0], total.dtype)), loss.dtype)
        return reduced(loss, reduction)
