"""`gradcheck`: derivatives against central finite differences in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from argand.base.errors import AutogradError
from argand.tensor.autograd import grad
from argand.tensor.core import Tensor, wrap
from argand.transform.mode import enable_grad, no_grad

Function = Callable[..., Any]


class GradcheckError(AutogradError):
    """A derivative that differs from finite differences; says which, and both numbers.

    >>> issubclass(ag.autograd.GradcheckError, RuntimeError)
    True
    """


def gradcheck(
    func: Function,
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether the gradients of `func` at `inputs` agree with central finite differences.

    (f(x + eps) - f(x - eps)) / (2 eps) for each element of each input that requires grad, which
    should be float64 or complex128 (whose real and imaginary parts are moved apart; the gradient is
    d/d(real) + i d/d(imaginary)); within atol + rtol * |difference|. Raises GradcheckError where
    they don't, unless `raise_exception` is False, and ValueError where no input requires grad.
    Follows `torch.autograd.gradcheck`.

    >>> x = ag.tensor([0.5, 1.5], dtype=ag.float64, requires_grad=True)
    >>> ag.autograd.gradcheck(lambda x: x.exp() * x.sin(), x)
    True
    """
    args = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    checked = [i for i, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError("gradcheck: at least one input must require grad")
    outputs = [y for y in _outputs(func, args) if y.requires_grad]
    try:
        for k in range(len(outputs)):
            for i in checked:
                _compare(func, args, k, i, eps, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _outputs(func: Function, args: Sequence[Any]) -> list[Any]:
    with enable_grad():
        out = func(*args)
    found = out if isinstance(out, tuple | list) else (out,)
    return [y for y in found if isinstance(y, Tensor) and y.dtype.is_inexact]


def _compare(
    func: Function, args: tuple[Any, ...], k: int, i: int, eps: float, atol: float, rtol: float
) -> None:
    analytic = _analytic(func, args, k, i)
    numeric = _numeric(func, args, k, i, eps)
    bad = ~np.isclose(analytic, numeric, rtol, atol)
    if bad.any():
        at = tuple(int(n) for n in np.argwhere(bad)[0])
        raise GradcheckError(
            f"gradcheck: the derivative of output {k} (element {at[0]}) by input {i} (element "
            f"{at[1]}) is {analytic[at]:.8g}, and finite differences give {numeric[at]:.8g}"
        )


def _analytic(func: Function, args: tuple[Any, ...], k: int, i: int) -> Any:
    y = [y for y in _outputs(func, args) if y.requires_grad][k]
    weight = np.zeros(tuple(y.shape), y.dtype.numpy)
    parts = _real_parts(weight)
    rows = []
    for n in range(parts.size):
        parts[:] = 0
        parts[n] = 1
        (g,) = grad(y, args[i], wrap(weight.copy()), retain_graph=True, allow_unused=True)
        found = np.zeros(args[i].shape, args[i].dtype.numpy) if g is None else g.numpy_array()
        rows.append(_real_parts(np.ascontiguousarray(found)).astype(np.float64))
    return np.array(rows).reshape(parts.size, -1)


def _real_parts(array: Any) -> Any:
    """The elements in a row, of complex ones the real and the imaginary part: a view of contiguous
    memory."""
    row = array.reshape(-1)
    return row.view(row.real.dtype) if row.dtype.kind == "c" else row


def _numeric(func: Function, args: tuple[Any, ...], k: int, i: int, eps: float) -> Any:
    places = [n for n, y in enumerate(_outputs(func, args)) if y.requires_grad]
    base = args[i].numpy_array()

    def at(n: int, shift: float) -> Any:
        moved = np.array(base, order="C")
        _real_parts(moved)[n] += shift
        with no_grad():
            out = func(*args[:i], wrap(moved), *args[i + 1 :])
        found = out if isinstance(out, tuple | list) else (out,)
        kept = [y for y in found if isinstance(y, Tensor) and y.dtype.is_inexact]
        return _real_parts(np.ascontiguousarray(kept[places[k]].numpy_array())).astype(np.float64)

    size = _real_parts(np.empty_like(base, order="C")).size
    columns = [(at(n, eps) - at(n, -eps)) / (2 * eps) for n in range(size)]
    return np.array(columns).T.reshape(-1, size)


def gradgradcheck(func: Function, inputs: Any, grad_outputs: Any = None, **options: Any) -> bool:
    """Whether the second derivatives of `func` at `inputs` agree with central finite differences.

    `gradcheck` of the gradients, taken with the cotangents `grad_outputs` (random unless given).
    Follows `torch.autograd.gradgradcheck`.

    >>> x = ag.tensor([0.5, 1.5], dtype=ag.float64, requires_grad=True)
    >>> ag.autograd.gradgradcheck(lambda x: x.exp() * x.sin(), x)
    True
    """
    args = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    checked = [i for i, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad]
    outputs = [y for y in _outputs(func, args) if y.requires_grad]
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        grad_outputs = [wrap(rng.standard_normal(y.shape).astype(y.dtype.numpy)) for y in outputs]
    weights = grad_outputs if isinstance(grad_outputs, tuple | list) else [grad_outputs]

    def first(*xs: Any) -> Any:
        ys = [y for y in _outputs(func, xs) if y.requires_grad]
        targets = [xs[i] if xs[i].requires_grad else None for i in checked]
        with enable_grad():
            leaves = [t if t is not None else xs[i] for t, i in zip(targets, checked, strict=True)]
            found = grad(
                ys,
                leaves,
                list(weights),
                create_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
        return found

    def shifted(*xs: Any) -> Any:
        # The finite differences call this with plain tensors: they must require grad inside.
        return first(
            *[
                x if not _plain(x) or i not in checked else x.requires_grad_()
                for i, x in enumerate(xs)
            ]
        )

    return gradcheck(shifted, args, **options)


def _plain(x: Any) -> bool:
    return isinstance(x, Tensor) and not x.requires_grad
