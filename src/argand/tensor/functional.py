"""`autograd.functional`: products with Jacobians and Hessians, and these as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.errors import AutogradError
from argand.ir.op import ops
from argand.tensor.autograd import grad
from argand.tensor.core import Tensor
from argand.transform.mode import enable_grad

Function = Callable[..., Any]


def _as_tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, tuple | list) else (x,)


def _fresh(inputs: Any, create_graph: bool) -> tuple[Any, ...]:
    """Inputs to differentiate with respect to: new leaves, or new places on the same graph."""
    found = []
    for x in _as_tuple(inputs):
        if create_graph and x.requires_grad:
            found.append(ops.reshape(x, tuple(x.shape)))
        else:
            found.append(x.detach().requires_grad_())
    return tuple(found)


def _finished(values: tuple[Any, ...], create_graph: bool) -> tuple[Any, ...]:
    return values if create_graph else tuple(v.detach() for v in values)


def _like(given: Any, like: Any) -> Any:
    """In the form, tensor or tuple, of what the user gave."""
    return tuple(given) if isinstance(like, tuple | list) else given[0]


def _or_zeros(found: Any, like: tuple[Any, ...], strict: bool) -> tuple[Any, ...]:
    if strict and any(f is None for f in found):
        raise AutogradError("an output does not depend on an input; with strict=False that is 0")
    return tuple(
        ops.full(tuple(x.shape), 0, x.dtype) if f is None else f
        for f, x in zip(found, like, strict=True)
    )


def _direction(op: str, v: Any, like: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    """The vectors to multiply with; left out, 1 for the one element there is."""
    if v is not None:
        return _as_tuple(v)
    if len(like) != 1 or like[0].shape.numel() != 1:
        raise AutogradError(f"{op}: v can be left out only for one {what} of one element")
    return (ops.full(tuple(like[0].shape), 1, like[0].dtype),)


def _back(ys: Any, xs: Any, weights: Any, create_graph: bool, keep: bool | None = None) -> Any:
    """The sum of products of `weights` with the Jacobians of `ys` by `xs`; None where it is 0."""
    linked = [(y, w) for y, w in zip(ys, weights, strict=True) if y._tape() is not None]
    if not linked:
        return (None,) * len(xs)
    roots, seeds = map(list, zip(*linked, strict=True))
    return grad(
        roots, list(xs), seeds, retain_graph=keep, create_graph=create_graph, allow_unused=True
    )


def vjp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(outputs, v^T J): the function's outputs, and the product of `v` with its Jacobian J.

    `v` has the shape of the outputs, and may be left out for one output of one element. By one
    backward pass. With `create_graph` the product can be differentiated again; with `strict` an
    output that doesn't depend on an input is an error, not 0. Follows
    `torch.autograd.functional.vjp`.

    >>> x, v = ag.tensor([1.0, 2.0]), ag.tensor([1.0, 10.0])
    >>> ag.autograd.functional.vjp(lambda x: x * x, x, v)
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    with enable_grad():
        xs = _fresh(inputs, create_graph)
        out = func(*xs)
        ys = _as_tuple(out)
        weights = _direction("vjp", v, ys, "output")
        found = _or_zeros(_back(ys, xs, weights, create_graph), xs, strict)
    return _like(_finished(ys, create_graph), out), _like(_finished(found, create_graph), inputs)


def jvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(outputs, J v): the function's outputs, and the product of its Jacobian J with `v`.

    `v` has the shape of the inputs, and may be left out for one input of one element. Computed as
    the derivative of v^T J by v, in two backward passes. The options are those of `vjp`. Follows
    `torch.autograd.functional.jvp`.

    >>> x, v = ag.tensor([1.0, 2.0]), ag.tensor([1.0, 10.0])
    >>> ag.autograd.functional.jvp(lambda x: (x * x).sum(), x, v)
    (tensor(5.), tensor(42.))
    """
    with enable_grad():
        xs = _fresh(inputs, create_graph)
        tangents = _direction("jvp", v, xs, "input")
        out = func(*xs)
        ys = _as_tuple(out)
        dummies = [ops.full(tuple(y.shape), 0, y.dtype).requires_grad_() for y in ys]
        back = _or_zeros(_back(ys, xs, dummies, True), xs, False)
        found = _or_zeros(_back(back, dummies, tangents, create_graph), ys, strict)
    return _like(_finished(ys, create_graph), out), _like(_finished(found, create_graph), out)


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian J[i, j] = d output[i] / d input[j]: of shape (*output, *input).

    Nested tuples for several outputs or inputs. By a backward pass for each element of the output;
    `vectorize` and `strategy` are PyTorch's hints, without effect. The other options are those of
    `vjp`. Follows `torch.autograd.functional.jacobian`.

    >>> ag.autograd.functional.jacobian(lambda x: x * x, ag.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    with enable_grad():
        xs = _fresh(inputs, create_graph)
        out = func(*xs)
        rows = [_rows(y, xs, create_graph, strict) for y in _as_tuple(out)]
    found = [_like(_finished(r, create_graph), inputs) for r in rows]
    return _like(found, out)


def _rows(y: Tensor, xs: tuple[Any, ...], create_graph: bool, strict: bool) -> tuple[Any, ...]:
    """The Jacobian of one output by each input, a row for each element of the output."""
    count = int(y.shape.numel())
    flat = ops.reshape(y, (count,))
    columns: list[list[Any]] = [[] for _ in xs]
    for i in range(count):
        found = _back([flat[i]], xs, [None], create_graph, keep=True)
        for column, g in zip(columns, _or_zeros(found, xs, strict), strict=True):
            column.append(ops.reshape(g, (1, *tuple(g.shape))))
    return tuple(
        ops.reshape(ops.cat(*column, dim=0), (*tuple(y.shape), *tuple(x.shape)))
        for column, x in zip(columns, xs, strict=True)
    )


def hessian(
    func: Function, inputs: Any, create_graph: bool = False, strict: bool = False, **options: Any
) -> Any:
    """The Hessian H[i, j] = d^2 f / d input[i] d input[j] of a function with one output element.

    Of shape (*input, *input); nested tuples for several inputs. The options are those of
    `jacobian`. Follows `torch.autograd.functional.hessian`.

    >>> ag.autograd.functional.hessian(lambda x: (x**3).sum(), ag.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """

    def gradient(*xs: Any) -> Any:
        found = grad(func(*xs), list(xs), create_graph=True, allow_unused=True)
        return _or_zeros(found, xs, strict)

    found = jacobian(gradient, _as_tuple(inputs), create_graph, strict)
    return found if isinstance(inputs, tuple | list) else found[0][0]


def vhp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(output, v^T H): the function's output, and the product of `v` with its Hessian H.

    The output has one element, and `v` has the shape of the inputs. H is symmetric, so this is
    `hvp` too. With `strict`, an input on which the output, or its gradient, doesn't depend is an
    error, not 0. Follows `torch.autograd.functional.vhp`.

    >>> x, v = ag.tensor([1.0, 2.0]), ag.tensor([1.0, 10.0])
    >>> ag.autograd.functional.vhp(lambda x: (x**3).sum(), x, v)
    (tensor(9.), tensor([  6., 120.]))
    """
    with enable_grad():
        xs = _fresh(inputs, create_graph)
        out = func(*xs)
        first = _or_zeros(_back([out], xs, [None], True), xs, strict)
        weights = _direction("vhp", v, xs, "input")
        found = _or_zeros(_back(first, xs, weights, create_graph), xs, strict)
    return _finished((out,), create_graph)[0], _like(_finished(found, create_graph), inputs)


# The Hessian is symmetric.
hvp = vhp
