"""An op: one object that answers every question about itself; and the registry of all ops.

A class that derives from a family and states its name's formula is registered when it is defined.
What a member must state is checked then (`Op.required`), so nothing is missing in a user's hands.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from argand.base.dim import Extent, Shape
from argand.base.dtype import DType
from argand.base.errors import StorageError, did_you_mean
from argand.base.misuse import FAILURES, explain
from argand.base.shape import shape_text
from argand.base.userstack import UserCall, register_call
from argand.ir import bind as crossroads
from argand.ir import entries, overrides
from argand.ir.bind import bind
from argand.ir.samples import ErrorSample, Sample
from argand.ir.translation import Graph, UntranslatableError

Params = dict[str, Any]
Tensors = Sequence[Any]  # or literals, or None where a cotangent is zero
Wants = Sequence[bool]  # for each input, whether its cotangent is needed
Saves = tuple[Sequence[int], Sequence[int]]  # numbers of inputs and of outputs


class TensorType(NamedTuple):
    """What is known of a value before it exists: dtype and shape."""

    dtype: DType
    shape: Shape

    def __str__(self) -> str:
        return f"{self.dtype.short}[{', '.join(map(str, self.shape))}]"


class Literal(NamedTuple):
    """A constant scalar operand of an elementwise op."""

    dtype: DType
    value: Any

    @property
    def shape(self) -> Shape:
        """A literal has no dimensions."""
        return ()


class Op:
    """Base of the families; see `ir/families.py`.

    A subclass with `abstract = True` in its own body is a family; any other is a member and becomes
    an entry of the registry under its class name in snake case.
    """

    abstract: ClassVar[bool] = True
    required: ClassVar[tuple[str, ...]] = ("samples",)
    name: ClassVar[str] = ""

    # Test data that the op carries; the conformance test runs all of the registry.
    samples: ClassVar[Any] = None
    error_samples: ClassVar[Sequence[ErrorSample]] = ()
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64")
    tolerance: ClassVar[dict[str, float]] = {}
    differentiable: ClassVar[bool] = True

    # Counts the changes of an op's meaning or parameters, for programs in files.
    version: ClassVar[int] = 1
    # A random or effectful op is never merged with its twin.
    merges: ClassVar[bool] = True
    # How many outputs a call returns; further ones are for the adjoint.
    visible: ClassVar[int] = 1
    # A view shares its input's memory in eager code.
    is_view: ClassVar[bool] = False
    # A call may find in the values of its operands that it can't be computed.
    can_fail: ClassVar[bool] = True
    # Sums of products of two operands, which the contraction kernels compute.
    is_contraction: ClassVar[bool] = False
    # A node is its one region, a part of the program around it, with that program's symbols.
    is_fusion: ClassVar[bool] = False
    # A result of the shape of its operands is stored in the layout of theirs.
    follows_layout: ClassVar[bool] = False
    # The operator of ONNX that computes the same of the same operands, where that is all to say.
    onnx_name: ClassVar[str] = ""
    # In an ONNX graph operands need not be expanded to one shape before it.
    onnx_broadcasts: ClassVar[bool] = False
    # How many operands, from the first on, PyTorch's function takes as tensors only; the op and the
    # operators take numbers.
    tensors: ClassVar[int] = 0
    # What a call goes through first: the native entry that runs its plan, or `apply`.
    entry: Callable[..., Any] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "abstract" in cls.__dict__:
            if cls.abstract:
                return
        else:
            cls.abstract = False
        if not cls.__dict__.get("name"):
            cls.name = snake_case(cls.__name__)
        missing = [r for r in cls.required if getattr(cls, r, None) is getattr(Op, r, None)]
        if missing:
            raise TypeError(
                f"op {cls.name} does not state {', '.join(missing)}, which its family "
                f"{family_of(cls)} asks of every member"
            )
        if not cls.__doc__:
            raise TypeError(f"op {cls.name} has no docstring (it is the public documentation)")
        registry.add(cls())

    def prepare(self, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Normalise a user's call: the tensor inputs and the static parameters."""
        return args, kwargs

    def as_call(self, inputs: Sequence[Any], params: Params) -> tuple[Sequence[Any], Params] | None:
        """The arguments from which `prepare` makes these inputs and parameters again, by which
        nodes of files are checked; None where `infer` refuses all that doesn't fit."""
        return inputs, params

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        """The types of the outputs; raises ShapeError or DTypeError for inputs that don't fit."""
        raise TypeError(f"op {self.name} has no shape rule")

    def run(self, *arrays: Any, **params: Any) -> Any:
        """The outputs as NumPy arrays: one array, or a tuple when there are several."""
        raise TypeError(f"op {self.name} has no NumPy implementation")

    def adjoint(self, grads: Tensors, inputs: Tensors, outputs: Tensors, params: Params) -> Tensors:
        """The cotangent of every input (None: zero) from those of the outputs (None: zero).

        Written with ops, so it can be traced and differentiated again. Only the inputs and outputs
        that `saves` names are there; the others are stand-ins with a dtype and a shape.
        """
        raise TypeError(f"op {self.name} has no derivative")

    def stored_order(self, operand: int) -> tuple[int, ...] | None:
        """The order of an operand's dimensions in memory, outermost first, in which the op reads it
        fastest; None where it is the order of its shape."""
        return None

    def reads_columns(self, operand: int, inputs: Sequence[Any], params: Params) -> bool:
        """Whether the last dimension of an operand, in the order that it is stored in, is what the
        tiles of a contraction are wide in: where it is constant, it may be stored in panels."""
        return False

    def reads_image(self, operand: int) -> bool:
        """Whether an operand is images (N, C, H, W), which are read fastest channels-last."""
        return False

    @property
    def gives_image(self) -> bool:
        """Whether the results are images (N, C, H, W), stored channels-last."""
        return False

    def on_host(self, inputs: Sequence[Any], params: dict[str, Any]) -> bool:
        """Whether there is no machine code for what the op computes."""
        return False

    def batched(self, size: Extent, inputs: Any, params: Params) -> Any:
        """The results of `size` calls at once, as `ir/batching.py` says; None where the op knows no
        way: a composite is then computed by its body, the calls of any other one by one."""
        return None

    def onnx(self, g: Graph, inputs: Tensors, params: Params) -> Any:
        """The op in an ONNX graph (`ir/translation.py`): what stands for its outputs."""
        raise UntranslatableError("ONNX has no operator for it")

    def stores(self, params: Params) -> bool:
        """Whether it takes 8-bit floats, which are stored and cast but not computed with."""
        return False

    def multiply_adds(
        self, inputs: Sequence[Any], outputs: Sequence[Any], params: Params
    ) -> Extent:
        """How many products the op adds up, as far as it is a sum of products of two operands;
        by which the work of models is told. `inputs` and `outputs` have shapes."""
        return 0

    def constant(self, params: dict[str, Any]) -> Any:
        """The number, or symbolic size, that all elements equal; None where they may differ."""
        return None

    def write_back(self, whole: Any, part: Any, params: dict[str, Any]) -> Any:
        """`whole` with what this view of it shows replaced by `part`, for writes through views."""
        raise RuntimeError(
            f"can't write in place through {self.name}: several elements share one place in "
            "memory; clone() the tensor before writing"
        )

    def saves(self, params: Params) -> Saves:
        """The numbers of the inputs and outputs whose values the adjoint reads."""
        return range(64), ()

    def adjoint_for(
        self, wants: Wants, grads: Tensors, inputs: Tensors, outputs: Tensors, params: Params
    ) -> Tensors:
        """As `adjoint`, where only the cotangents of the inputs that `wants` marks are needed."""
        return self.adjoint(grads, inputs, outputs, params)

    def saves_for(self, wants: Wants, params: Params) -> Saves:
        """As `saves`, for `adjoint_for`."""
        return self.saves(params)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            entry = self.entry or entry_of(self)
            if crossroads.pushed:
                return crossroads.called(self, entry, args, kwargs)
            return entry(*args, **kwargs)
        except FAILURES as error:
            explain(error)
            raise

    def apply(self, *args: Any, **kwargs: Any) -> Any:
        """A call the general way, through `bind`; members may look at the operands before."""
        inputs, params = self.prepare(*args, **kwargs)
        if not self.stores(params):
            for dtype in (*[x.dtype for x in inputs], params.get("dtype")):
                if dtype is not None and dtype.kind == "s":
                    raise only_stored(self.name, dtype)
        outputs = bind(self, inputs, params)
        return outputs[0] if self.visible == 1 else tuple(outputs[: self.visible])

    @property
    def __signature__(self) -> inspect.Signature:
        """The arguments of a call: those of the member's own `apply`, or of `prepare`."""
        own = type(self).apply is not Op.apply
        return inspect.signature(self.apply if own else self.prepare)

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def _call_of(local: Mapping[str, Any]) -> UserCall:
    return UserCall(local["self"], local["self"].name, local["args"], local["kwargs"])


register_call(Op.__call__, _call_of)


def snake_case(name: str) -> str:
    """``LogSoftmax`` as ``log_softmax``, ``Conv2d`` as ``conv2d``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def family_of(cls: type[Op]) -> str:
    """The name of the family that a class belongs to."""
    for base in cls.__mro__:
        if base.__dict__.get("abstract"):
            return base.__name__
    return "Op"


def entry_of(op: Op) -> Callable[..., Any]:
    """What an op's calls go through first, made when it is called for the first time."""

    general = overrides.open_to_classes(op.apply, lambda: op)

    def renew() -> None:
        op.entry = entries.made(general)

    op.entry = general
    entries.when_installed(renew)
    return op.entry


def only_stored(name: str, dtype: DType) -> StorageError:
    """What is raised where an op would have to compute with 8-bit floats."""
    return StorageError(
        f"{name}: not implemented for {dtype.name}, which is stored but not computed with; convert "
        "it first, with .float() or .to(...)"
    )


class Registry:
    """All ops by name. Derived ops (``gelu.d0``) are made by their op when first asked for."""

    def __init__(self) -> None:
        self._ops: dict[str, Op] = {}

    def add(self, op: Op) -> None:
        """Register an op; a name can be taken once."""
        if op.name in self._ops:
            raise TypeError(f"an op named {op.name} is already registered")
        self._ops[op.name] = op

    def get(self, name: str) -> Op:
        """The op of a name."""
        found = self._ops.get(name)
        if found is None:
            base, dot, part = name.rpartition(".")
            derive = getattr(
                self._ops.get(base) or (self.get(base) if dot else None), "derive", None
            )
            if derive is None:
                raise KeyError(f"no op {name!r}{did_you_mean(name, self._ops)}")
            found = derive(part)
            self._ops[name] = found
        assert found is not None
        return found

    def __iter__(self) -> Any:
        return iter(sorted(n for n in self._ops if "." not in n))

    def __contains__(self, name: str) -> bool:
        return name in self._ops


registry = Registry()


class _Calls:
    """Every registered op as an attribute, for code that composes ops: ``ops.exp(x)``."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            op = registry.get(name)
        except KeyError as e:
            raise AttributeError(e.args[0]) from None
        setattr(self, name, op)
        return op


ops = _Calls()


def type_of(x: Any) -> TensorType:
    """The type of a tensor-like value."""
    return TensorType(x.dtype, tuple(x.shape))


def describe(*inputs: Any) -> str:
    """The operands of a failed call: ``f32(2, 3) and f32(4, 5)``."""
    return " and ".join(f"{x.dtype.short}{shape_text(x.shape)}" for x in inputs)


__all__ = [
    "ErrorSample",
    "Literal",
    "Op",
    "Sample",
    "TensorType",
    "describe",
    "ops",
    "registry",
    "type_of",
]
