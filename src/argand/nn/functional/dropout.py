"""Dropout of elements and of channels."""

from __future__ import annotations

import math
from typing import Any

from argand.base.errors import ArgumentError
from argand.ir.op import ops
from argand.tensor.generators import default_generator
from argand.tensor.inplace import assign
from argand.tensor.meta import meta_aware


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Each element is 0 with probability `p`, else divided by 1 - p; the input itself unless
    `training` (Srivastava et al., 2014). Compiled and eager code draw the same numbers.

    >>> F.dropout(ag.ones(3), training=False)
    tensor([1., 1., 1.])
    """
    return _dropped(input, tuple(input.shape), p, training, inplace)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Whole channels of sequences (N, C, L) are 0 with probability `p`, the rest divided by 1 - p.

    >>> F.dropout1d(ag.ones(2, 4, 8)).shape
    argand.Size([2, 4, 8])
    """
    return dropout2d(input, p, training, inplace)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Whole channels of images (N, C, H, W) are 0 with probability `p`, the rest divided by 1 - p
    (Tompson et al., 2015).

    >>> F.dropout2d(ag.ones(1, 2, 2, 2), p=0.0).sum()
    tensor(8.)
    """
    shape = (*input.shape[:2], *(1,) * (input.ndim - 2))
    return _dropped(input, shape, p, training, inplace)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Whole channels of volumes (N, C, D, H, W) are 0 with probability `p`, the rest divided by
    1 - p.

    >>> F.dropout3d(ag.ones(1, 2, 1, 2, 2), p=0.0).sum()
    tensor(8.)
    """
    return dropout2d(input, p, training, inplace)


@meta_aware
def _dropped(x: Any, shape: Any, p: float, training: bool, inplace: bool) -> Any:
    if not 0 <= p <= 1:
        raise ArgumentError(f"dropout: the probability must be between 0 and 1, got {p}")
    if not training or p == 0:
        return x
    if p == 1:
        y = ops.mul(x, 0.0)
    else:
        y = default_generator.source.dropped(x, shape, p)
    return assign(x, y, "dropout") if inplace else y


_ALPHA = -1.7580993408473766
"""The limit of SELU on the left: what dropped elements become."""


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """a * x + b, where x is -1.7581 with probability `p`: the limit of `selu`, so that mean 0 and
    variance 1 stay (Klambauer et al., 2017). The input itself unless `training`.

    >>> F.alpha_dropout(ag.ones(3))
    tensor([1., 1., 1.])
    """
    return _alpha_dropped(input, tuple(input.shape), p, training, inplace)


def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """`alpha_dropout` of whole channels of (N, C, ...).

    >>> F.feature_alpha_dropout(ag.ones(1, 1, 3))
    tensor([[[1., 1., 1.]]])
    """
    shape = (*input.shape[:2], *(1,) * (input.ndim - 2))
    return _alpha_dropped(input, shape, p, training, inplace)


@meta_aware
def _alpha_dropped(x: Any, shape: Any, p: float, training: bool, inplace: bool) -> Any:
    if not 0 <= p <= 1:
        raise ArgumentError(f"alpha_dropout: the probability must be between 0 and 1, got {p}")
    if not training or p == 0:
        return x
    if p == 1:
        y = ops.mul(x, 0.0)
    else:
        a = 1 / math.sqrt((1 - p) * (1 + p * _ALPHA**2))
        noise = ops.cast(default_generator.source.chosen(shape, x.dtype, 1 - p), x.dtype)
        low = ops.add(ops.mul(ops.sub(noise, 1), -a * _ALPHA), -a * p * _ALPHA)
        y = ops.add(ops.mul(x, ops.mul(noise, a)), low)
    return assign(x, y, "alpha_dropout") if inplace else y
