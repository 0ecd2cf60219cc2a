"""`autograd.Function`: operations whose forward and backward the user writes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from argand.base.errors import AutogradError
from argand.ir import bind as crossroads
from argand.ir.op import Params, Tensors, Wants, ops
from argand.ops.move import summed_to
from argand.transform.mode import mode, no_grad
from argand.transform.saved import Packed, Saved, keep
from argand.transform.tape import LEAF, Edge, GradientNode, Stand, edge_of, restored


def is_tensor(x: Any) -> bool:
    """Whether an argument is something that the tape knows."""
    return hasattr(x, "_tape")


class FunctionCtx:
    """What `forward` and `backward` of a custom function share; any attribute can be set on it.

    `needs_input_grad` is a tuple that says of each argument of forward whether it wants a gradient.

    >>> class Scale(ag.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x, factor):
    ...         ctx.factor = factor
    ...         return x * factor
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         return grad * ctx.factor, None
    >>> x = ag.ones(2, requires_grad=True)
    >>> Scale.apply(x, 3).sum().backward()
    >>> x.grad
    tensor([3., 3.])
    """

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._saved: tuple[Any, ...] = ()
        self._constant: list[int] = []
        self._dirty: list[int] = []
        self._materialize = True

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors for backward, which reads them as `saved_tensors`.

        Where one has been overwritten in place by then, reading it raises AutogradError.
        """
        self._saved = tuple((keep(t), edge_of(t)) if is_tensor(t) else t for t in tensors)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors that `save_for_backward` kept."""
        return tuple(self._value(*s) if type(s) is tuple else s for s in self._saved)

    def _value(self, saved: Saved | Packed, edge: Edge) -> Any:
        if type(saved) is Packed:
            return restored(saved, edge)
        assert type(saved) is Saved
        if saved.tensor._version != saved.version:
            where = saved.tensor._overwritten_at
            raise AutogradError(
                f"a tensor of shape {tuple(saved.tensor.shape)} that a custom function saved for "
                "backward has been overwritten in place since" + (f", at {where}" if where else "")
            )
        return saved.tensor

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Say of outputs that no gradient flows through them."""
        self._constant = [id(t) for t in tensors]

    def mark_dirty(self, *tensors: Any) -> None:
        """Say of inputs that forward overwrites them in place."""
        self._dirty = [id(t) for t in tensors]

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for outputs without a gradient."""
        self._materialize = value


class _Applied(Stand):
    """One application of a custom function, in the place that an op has on the tape."""

    def __init__(self, function: type[Function], ctx: FunctionCtx, places: list[int]) -> None:
        self.function = function
        self.ctx = ctx
        self.places = places  # of the tensors among the arguments
        self.name = function.__name__

    def adjoint_for(
        self, wants: Wants, grads: Tensors, inputs: Tensors, outputs: Tensors, params: Params
    ) -> Tensors:
        """Call the user's backward."""
        given = list(grads)
        if self.ctx._materialize:
            given = [
                ops.full(tuple(o.shape), 0, o.dtype) if g is None and o.dtype.is_inexact else g
                for g, o in zip(given, outputs, strict=True)
            ]
        found = self.function.backward(self.ctx, *given)
        found = found if isinstance(found, tuple | list) else (found,)
        count = len(self.ctx.needs_input_grad)
        extra = found[count:]
        if len(found) < count or any(g is not None for g in extra):
            raise AutogradError(
                f"{self.name}.backward returned {len(found)} gradients for the {count} arguments "
                "of forward; return one for each, None where there is none"
            )
        pairs = zip(self.places, inputs, strict=True)
        return [self._fitting(found[place], given, place) for place, given in pairs]

    def _fitting(self, gradient: Any, given: Any, place: int) -> Any:
        """A gradient in the shape of what it belongs to: summed where that was broadcast to it."""
        if gradient is None or tuple(gradient.shape) == tuple(given.shape):
            return gradient
        if not _broadcasts(tuple(given.shape), tuple(gradient.shape)):
            raise AutogradError(
                f"{self.name}.backward returned a gradient of shape {tuple(gradient.shape)} for "
                f"argument {place}, of shape {tuple(given.shape)}; return one of its shape"
            )
        return summed_to(gradient, tuple(given.shape))


def _broadcasts(shape: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether a shape broadcasts to another one."""
    if len(shape) > len(other):
        return False
    pairs = zip(shape, other[len(other) - len(shape) :], strict=True)
    return all(a in (1, b) for a, b in pairs)


class Function:
    """Base of operations with a derivative of their own, used through `apply`.

    `forward(ctx, *args)` computes without recording; `backward(ctx, *grads)` gets the cotangents of
    the outputs and returns one for each argument, None where there is none. Written with tensors,
    backward can itself be differentiated and compiled. Follows `torch.autograd.Function`.

    >>> class Square(ag.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * grad
    >>> x = ag.tensor([1.0, 3.0], requires_grad=True)
    >>> Square.apply(x).sum().backward()
    >>> x.grad
    tensor([2., 6.])
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs. Takes (ctx, *args), or (*args) when `setup_context` is given."""
        raise NotImplementedError("a custom Function must define forward")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """One gradient for each argument of forward, from those of the outputs."""
        raise NotImplementedError("this custom Function defines no backward")

    setup_context: Callable[[Any, Any, Any], None] | None = None
    # Under `vmap`: (info, in_dims, *args) -> (outputs, out_dims), of the arguments of all examples;
    # without one, forward and backward are mapped as any other code.
    vmap: Callable[..., Any] | None = None
    generate_vmap_rule = False

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward and put it on the tape."""
        if crossroads.pushed:
            return crossroads.current().applied(cls, args, kwargs)
        return cls.apply_here(*args, **kwargs)

    @classmethod
    def apply_here(cls, *args: Any, **kwargs: Any) -> Any:
        """As `apply`, on the tape of the current interpreter."""
        places = [i for i, a in enumerate(args) if is_tensor(a)]
        recording = mode.enabled
        edges = tuple(edge_of(args[i]) if recording else (None, 0) for i in places)
        wants = {i: e[0] is not None for i, e in zip(places, edges, strict=True)}
        ctx = FunctionCtx(tuple(wants.get(i, False) for i in range(len(args))))
        with no_grad():
            if cls.setup_context is None:
                result = cls.forward(ctx, *args, **kwargs)
            else:
                result = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, result)
        outputs = result if isinstance(result, tuple) else (result,)
        if any(wants.values()):
            outputs = cls.recorded(ctx, args, places, edges, outputs)
        return outputs if isinstance(result, tuple) else outputs[0]

    @classmethod
    def recorded(
        cls, ctx: FunctionCtx, args: Any, places: list[int], edges: Any, outputs: Any
    ) -> tuple[Any, ...]:
        """The outputs on the tape, by the edges of the tensors at some places of the arguments."""
        inputs = [args[i] for i in places]
        known = {id(x) for x in inputs}
        # An input that is returned as it is gets a twin, so that the input keeps its own place.
        found: tuple[Any, ...] = tuple(
            o.shadow() if id(o) in known and id(o) not in ctx._dirty else o for o in outputs
        )
        tensors = [o for o in found if is_tensor(o)]
        node = GradientNode(_Applied(cls, ctx, places), {}, inputs, edges, tensors)
        for i, out in enumerate(tensors):
            if out.dtype.is_inexact and id(out) not in ctx._constant:
                if out._node is LEAF:
                    raise AutogradError(f"{cls.__name__} overwrites a leaf that requires grad")
                out._node, out._index = node, i
        return found


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a custom backward as not differentiable itself: it runs without recording.

    >>> class Double(ag.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...     @staticmethod
    ...     @ag.autograd.function.once_differentiable
    ...     def backward(ctx, grad):
    ...         return grad * 2
    """

    @functools.wraps(backward)
    def wrapped(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            return backward(ctx, *grads)

    return wrapped
