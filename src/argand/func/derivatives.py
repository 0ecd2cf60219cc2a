"""`grad`, `vjp`, `jvp` and what is made of them: derivatives as functions of functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from argand.base.errors import AutogradError
from argand.base.shape import same_shape
from argand.func.mapping import vmap
from argand.func.places import Places, differentiating, pulled, pushed
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.utils._pytree import tree_flatten, tree_map, tree_unflatten

Function = Callable[..., Any]
Argnums = int | tuple[int, ...]


def grad(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The function that gives the gradient of `func`, whose result is one number, by an argument.

    By the one of number `argnums`, a tensor or a tree of tensors; a tuple of numbers gives a tuple
    of gradients. With `has_aux` the function gives (result, anything), and its gradient (gradient,
    anything). May be applied again, inside `vmap` (a gradient for each example) and around it.
    RuntimeError where the result is no number. Follows `torch.func.grad`.

    >>> ag.func.grad(ag.func.grad(lambda x: x**3))(ag.tensor(2.0))
    tensor(12.)
    """

    @functools.wraps(func)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        found, result = _grad_and_value(func, argnums, has_aux, args, kwargs)
        return (found, result[1]) if has_aux else found

    return gradient


def grad_and_value(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """As `grad`, of (gradient, result); with `has_aux`, (gradient, (result, anything)).

    Follows `torch.func.grad_and_value`.

    >>> ag.func.grad_and_value(lambda x: x**3)(ag.tensor(2.0))
    (tensor(12.), tensor(8.))
    """

    @functools.wraps(func)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        return _grad_and_value(func, argnums, has_aux, args, kwargs)

    return gradient


def _grad_and_value(
    func: Function, argnums: Argnums, has_aux: bool, args: Any, kwargs: Any
) -> tuple[Any, Any]:
    call = "grad_and_value(f)(*args): "
    with differentiating() as places:
        chosen = _Chosen(args, argnums, places)
        out = func(*chosen.args, **kwargs)
        if has_aux and not (isinstance(out, tuple) and len(out) == 2):
            raise AutogradError(
                f"{call}output of function f should be a tuple: (output, aux) if has_aux is True"
            )
        y = out[0] if has_aux else out
        if not isinstance(y, Tensor):
            raise AutogradError(f"{call}Expected f(*args) to return a Tensor, got {type(y)}")
        if y.ndim:
            raise AutogradError(
                f"{call}Expected f(*args) to return a scalar Tensor, got tensor with {y.ndim} "
                "dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
            )
        one = ops.full((), 1, y.dtype)
        found = pulled([y], chosen.leaves, [one], places.goes_on([y]))
        gradients = chosen.tree(places.left(found))
        return gradients, _left(places, out)


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> Any:
    """(func(*primals), vjp_fn): the result, and the function that pulls cotangents back through it.

    ``vjp_fn(v)``, for v in the tree and the shapes of the result, gives a tuple of v^T J, one for
    each of the primals, J being the Jacobian. With `has_aux` the function gives (result, anything),
    and this (result, vjp_fn, anything). Follows `torch.func.vjp`.

    >>> y, pull = ag.func.vjp(ag.sin, ag.zeros(2))
    >>> pull(ag.tensor([1.0, 10.0]))
    (tensor([ 1., 10.]),)
    """
    return _vjp(func, primals, tuple(range(len(primals))), has_aux)


def _vjp(func: Function, primals: tuple[Any, ...], argnums: Argnums, has_aux: bool) -> Any:
    with differentiating() as places:
        chosen = _Chosen(primals, argnums, places)
        out, aux = _parts(func(*chosen.args), has_aux, "vjp(f, *primals): ")
        ys, spec = tree_flatten(out)
        _expect_tensors(ys, "vjp(f, *primals): expected f(*primals) to return only tensors")
        for y in ys:
            if not y.dtype.is_inexact:
                raise AutogradError(
                    "vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got "
                    f"Tensor with dtype {y.dtype!r}"
                )

    def vjp_fn(cotangents: Any, retain_graph: bool = True, create_graph: Any = None) -> Any:
        vs, given = tree_flatten(cotangents)
        if given != spec:
            raise AutogradError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {given}, primal output: {spec}"
            )
        for i, (y, v) in enumerate(zip(ys, vs, strict=True)):
            if not same_shape(v.shape, y.shape):
                raise AutogradError(
                    f"Mismatch in shape: grad_output[{i}] has a shape of {v.shape} and "
                    f"output[{i}] has a shape of {y.shape}."
                )
        later = places.now()
        create = later.goes_on([*ys, *vs]) if create_graph is None else create_graph
        found = pulled(ys, chosen.leaves, vs, create)
        return chosen.tree(later.left(found))

    result = _left(places, out)
    return (result, vjp_fn, _left(places, aux)) if has_aux else (result, vjp_fn)


def jvp(
    func: Function, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
) -> Any:
    """(func(*primals), J t): the result, and its derivative along tangents, J being the Jacobian.

    `primals` and `tangents` are tuples of tensors, or of trees of them, of equal shapes. With
    `strict` a result that doesn't depend on the primals is an error, not 0. With `has_aux` the
    function gives (result, anything), and this (result, J t, anything). J t is the derivative of
    v^T J, linear in v, along t: two passes in reverse, correct to any order. Follows
    `torch.func.jvp`.

    >>> ag.func.jvp(lambda x: x**3, (ag.tensor(2.0),), (ag.tensor(1.0),))
    (tensor(8.), tensor(12.))
    """
    call = "jvp(f, primals, tangents): "
    if not isinstance(primals, tuple):
        raise AutogradError(
            f"{call}Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    line = _Line(func, primals, has_aux, call, strict)
    pushed_on = line.along(tangents)
    result = _left(line.places, line.out)
    aux = (_left(line.places, line.aux),) if has_aux else ()
    return (result, pushed_on, *aux)


def linearize(func: Function, *primals: Any) -> tuple[Any, Function]:
    """(func(*primals), jvp_fn): the result, and the function of tangents that gives J t.

    `func` runs once, however many tangents there are. Follows `torch.func.linearize`.

    >>> y, along = ag.func.linearize(lambda x: x**3, ag.tensor(2.0))
    >>> y, along(ag.tensor(1.0)), along(ag.tensor(2.0))
    (tensor(8.), tensor(12.), tensor(24.))
    """
    line = _Line(func, primals, False, "linearize: ", False)

    def jvp_fn(*tangents: Any) -> Any:
        return line.along(tangents)

    return _left(line.places, line.out), jvp_fn


class _Line:
    """A function run once, to be derived along tangents."""

    def __init__(
        self, func: Function, primals: tuple[Any, ...], has_aux: bool, call: str, strict: bool
    ) -> None:
        self.call = call
        self.leaves, self.spec = tree_flatten(primals)
        if not self.leaves:
            raise AutogradError(f"{call}Expected primals to contain at least one Tensor.")
        _expect_tensors(self.leaves, f"{call}expected the primals to be only tensors")
        with differentiating() as self.places:
            self.inputs = [self.places.place(x) for x in self.leaves]
            out = func(*tree_unflatten(self.inputs, self.spec))
            self.out, self.aux = _parts(out, has_aux, call)
            self.ys, self.out_spec = tree_flatten(self.out)
            _expect_tensors(self.ys, f"{call}expected f(*primals) to return only tensors")
        if strict and any(y._tape() is None for y in self.ys):
            raise AutogradError(
                f"{call}The output of f is independent of the inputs. This is not allowed with "
                "strict=True."
            )

    def along(self, tangents: Any) -> Any:
        """The derivative of the results along tangents, in their tree."""
        ts, spec = tree_flatten(tangents)
        if spec != self.spec:
            raise AutogradError(
                f"{self.call}Expected primals and tangents to have the same python structure. For "
                "example, if primals is a tuple of 3 tensors, tangents also must be. Got primals "
                f"with structure {self.spec} and tangents with structure {spec}"
            )
        check_tangents(self.leaves, ts)
        later = self.places.now()
        found = pushed(self.ys, self.inputs, ts, later.goes_on([*self.ys, *ts]))
        return tree_unflatten(later.left(found), self.out_spec)


def check_tangents(primals: Sequence[Any], tangents: Sequence[Any]) -> None:
    """AutogradError for a tangent that is not of the shape of what it is a change of."""
    _expect_tensors(tangents, "jvp(f, primals, tangents): expected the tangents to be only tensors")
    for x, t in zip(primals, tangents, strict=True):
        if not same_shape(t.shape, x.shape):
            raise AutogradError(
                "Trying to set a forward gradient that has a different size than that of the "
                "original Tensor, this is not supported. Tensor is of size "
                f"{list(x.shape)} while the given forward gradient is of size {list(t.shape)}."
            )


def jacrev(
    func: Function,
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Function:
    """The function that gives the Jacobian of `func`: J[i, j] = d result[i] / d argument[j].

    Of shape (*result, *argument), in the result's tree, whose leaves are trees as the arguments of
    numbers `argnums`. By one pass in reverse for all elements of the results together, or for
    `chunk_size` at once: best where they are fewer than the arguments'. Follows
    `torch.func.jacrev`.

    >>> ag.func.jacrev(lambda x: x * x)(ag.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        def of_args(*given: Any) -> Any:
            return func(*given, **kwargs)

        out, pull, *aux = _vjp(of_args, args, argnums, has_aux)
        ys, spec = tree_flatten(out)
        basis = _basis(ys)

        def row(*vs: Any) -> Any:
            return pull(tree_unflatten(list(vs), spec))

        found = vmap(row, chunk_size=chunk_size)(*basis)
        blocks = [
            tree_map(lambda g, y=y, at=at: _rows(g, y, at), found)
            for y, at in zip(ys, _starts(ys), strict=True)
        ]
        result = tree_unflatten(blocks, spec)
        return (result, *aux) if has_aux else result

    return jacobian


def jacfwd(
    func: Function, argnums: Argnums = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Function:
    """The Jacobian as `jacrev` gives it, by derivatives along all elements of the arguments.

    Best where these are fewer than the results'. `func` runs once: random numbers in it are the
    same for all, whatever `randomness` says. Follows `torch.func.jacfwd`.

    >>> ag.func.jacfwd(lambda x: x * x)(ag.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        chosen = _numbers(argnums, len(args))
        primals = tuple(args[i] for i in chosen)

        def of_chosen(*given: Any) -> Any:
            whole = list(args)
            for i, x in zip(chosen, given, strict=True):
                whole[i] = x
            return func(*whole, **kwargs)

        line = _Line(of_chosen, primals, has_aux, "jacfwd: ", False)
        xs, spec = tree_flatten(primals)
        basis = _basis(xs)

        def column(*ts: Any) -> Any:
            return line.along(tree_unflatten(list(ts), spec))

        found = tree_flatten(vmap(column)(*basis))[0]
        starts = _starts(xs)
        blocks = []
        for g in found:
            parts = [_columns(g, x, at) for x, at in zip(xs, starts, strict=True)]
            tree = tree_unflatten(parts, spec)
            blocks.append(tree if isinstance(argnums, tuple) else tree[0])
        result = tree_unflatten(blocks, line.out_spec)
        return (result, _left(line.places, line.aux)) if has_aux else result

    return jacobian


def hessian(func: Function, argnums: Argnums = 0) -> Function:
    """The function that gives the Hessian of `func`: H[i, j] = d^2 result / d x[i] d x[j].

    ``jacfwd(jacrev(func))``, and so in its trees and shapes. Follows `torch.func.hessian`.

    >>> ag.func.hessian(lambda x: (x**3).sum())(ag.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)


def _basis(tensors: Sequence[Any]) -> list[Any]:
    """For every element of all tensors together: tensors that are 1 there and else 0."""
    counts = [int(t.shape.numel()) for t in tensors]
    total, start, found = sum(counts), 0, []
    for t, n in zip(tensors, counts, strict=True):
        rows = ops.reshape(ops.arange(0, 1, total, "int64"), (total, 1))
        columns = ops.reshape(ops.arange(start, 1, n, "int64"), (1, n))
        ones = ops.cast(ops.eq(rows, columns), t.dtype)
        found.append(ops.reshape(ones, (total, *tuple(t.shape))))
        start += n
    return found


def _starts(tensors: Sequence[Any]) -> list[int]:
    """Where the elements of each tensor begin among those of all."""
    found = [0]
    for t in tensors[:-1]:
        found.append(found[-1] + int(t.shape.numel()))
    return found


def _rows(g: Any, y: Any, start: int) -> Any:
    """Of derivatives (elements, *argument), those of one result's elements, in its shape."""
    shape = tuple(g.shape)
    last = start + int(y.shape.numel())
    part = ops.slice(g, (start, *(0,) * (len(shape) - 1)), (last, *shape[1:]))
    return ops.reshape(part, (*tuple(y.shape), *shape[1:]))


def _columns(g: Any, x: Any, start: int) -> Any:
    """Of derivatives (elements, *result), those by one argument's elements, in its shape, last."""
    shape = tuple(g.shape)
    last = start + int(x.shape.numel())
    part = ops.slice(g, (start, *(0,) * (len(shape) - 1)), (last, *shape[1:]))
    part = ops.permute(part, (*range(1, len(shape)), 0))
    return ops.reshape(part, (*shape[1:], *tuple(x.shape)))


class _Chosen:
    """The arguments of a function, with those by which it is differentiated in places of theirs."""

    def __init__(self, args: tuple[Any, ...], argnums: Argnums, places: Places) -> None:
        self.single = isinstance(argnums, int)
        self.numbers = _numbers(argnums, len(args))
        taken, self.spec = tree_flatten(tuple(args[i] for i in self.numbers))
        for x in taken:
            if not isinstance(x, Tensor):
                raise ValueError(f"Thing passed to transform API must be Tensor, got {type(x)}")
        self.leaves = [places.place(x) for x in taken]
        self.args = list(args)
        placed = tree_unflatten(self.leaves, self.spec)
        for i, x in zip(self.numbers, placed, strict=True):
            self.args[i] = x

    def tree(self, found: Sequence[Any]) -> Any:
        """Gradients by the leaves in the tree of the arguments."""
        tree = tree_unflatten(list(found), self.spec)
        return tree[0] if self.single else tree


def _numbers(argnums: Argnums, count: int) -> tuple[int, ...]:
    """The numbers of the arguments to differentiate by, from 0 on."""
    given = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for n in given:
        if not isinstance(n, int):
            raise AutogradError(f"argnums must be int or a tuple of ints, got {argnums!r}")
        if not -count <= n < count:
            raise AutogradError(f"Got argnum={n}, but only {count} positional inputs")
    found = tuple(n % count for n in given)
    if len(set(found)) < len(found):
        raise AutogradError(f"argnums elements must be unique, got {argnums}")
    if not found:
        raise AutogradError(f"argnums must be non-empty, got argnums={argnums}")
    return found


def _parts(out: Any, has_aux: bool, call: str) -> tuple[Any, Any]:
    if not has_aux:
        return out, None
    if not (isinstance(out, tuple) and len(out) == 2):
        raise AutogradError(
            f"{call}output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return out


def _expect_tensors(leaves: Sequence[Any], rule: str) -> None:
    for x in leaves:
        if not isinstance(x, Tensor):
            raise AutogradError(f"{rule}, got unsupported type {type(x)}")


def _left(places: Places, tree: Any) -> Any:
    leaves, spec = tree_flatten(tree)
    return tree_unflatten(places.left(leaves), spec)
