"""The graph that ops' rules add to (`ir/translation.py`), as ONNX's nodes.

What an operator takes is read off its schema: operands of a dtype that it doesn't take are cast to
a wider one and results back, and the dtypes of the results follow. Sizes are numbers where they are
known; else they are computed from the shapes of the inputs, once for each.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from argand.base.conversion import number
from argand.base.dim import Dim, Extent, Shape, same
from argand.base.dtype import ALL, DType, as_dtype, bool_, compute_dtype, float32, from_numpy, int64
from argand.base.shape import same_shape
from argand.ir.families import Composite
from argand.ir.op import Literal
from argand.ir.program import Node, Operand, Program, Value
from argand.ir.translation import UntranslatableError
from argand.onnx import scalars, sizes
from argand.onnx.package import onnx
from argand.onnx.refs import Expanded, Failure, Place, Ref, Source

_PROTO = {
    "bool": "BOOL",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "float8_e8m0fnu": "FLOAT8E8M0",
}
_WIDER = {
    "bool": ("int32", "int64", "float32"),
    "uint8": ("int32", "int64", "float32"),
    "int8": ("int32", "int64", "float32"),
    "uint16": ("int32", "int64", "float32"),
    "int16": ("int32", "int64", "float32"),
    "uint32": ("int64", "uint64", "float64"),
    "int32": ("int64", "float64"),
    "uint64": ("float64",),
    "int64": ("float64", "float32"),
    "float16": ("float32",),
    "bfloat16": ("float32",),
    "float32": ("float64",),
}
# Operators that runtimes have for integers of 32 and 64 bits; narrow ones wrap when cast back.
_ARITHMETIC = {
    *("Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "Neg", "Abs", "Sign", "Pow", "Clip", "Relu"),
    *("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Where", "MatMul", "TopK"),
    *("ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin", "ArgMax", "ArgMin"),
}
_TYPED = ("_i", "_f", "_s", "_t", "_g")  # ends of attributes' names in symbolic functions
_COMBINING = ("add", "mul", "max", "min")
_NARROW = ("uint8", "int8", "uint16", "int16")


@functools.cache
def schema_of(kind: str, opset: int) -> Any:
    """An operator's schema; UntranslatableError where the opset lacks it."""
    try:
        return onnx().defs.get_schema(kind, opset, "")
    except Exception:
        pass
    known = onnx().defs.get_schema(kind, onnx().defs.onnx_opset_version(), "")
    while (first := known.since_version) > 1:
        try:
            known = onnx().defs.get_schema(kind, first - 1, "")
        except Exception:
            break
    raise UntranslatableError(
        f"its operator {kind} is there from opset {first} on, and opset {opset} was asked for"
    )


def elem_type(dtype: DType) -> int:
    """ONNX's number of a dtype."""
    if dtype.is_complex:
        raise UntranslatableError(f"ONNX's operators take no complex numbers ({dtype.name})")
    name = _PROTO.get(dtype.name, dtype.name.upper().replace("FLOAT8_", "FLOAT8"))
    try:
        return int(onnx().TensorProto.DataType.Value(name))
    except ValueError:
        raise UntranslatableError(f"ONNX has no dtype {dtype.name}") from None


def type_text(dtype: DType) -> str:
    """A dtype as schemas write it."""
    names = {"float32": "float", "float64": "double", "float8_e8m0fnu": "float8e8m0"}
    return f"tensor({names.get(dtype.name, dtype.name.replace('float8_', 'float8'))})"


class Model:
    """What all graphs of one model share: names, initializers, failures; and how a node becomes
    part of one, `translate(graph, node)`."""

    def __init__(self, opset: int, translate: Callable[..., Any]) -> None:
        self.opset = opset
        self.translate = translate
        self.initializers: dict[str, Any] = {}
        self.constants: dict[Any, Ref] = {}
        self.taken: set[str] = set()
        self.failures: list[Failure] = []
        self.domains: set[str] = set()
        self.symbols: dict[str, Source] = {}

    def fresh(self, hint: str) -> str:
        """A name that nothing has: this one, or numbered."""
        name, count = hint, 0
        while name in self.taken:
            count += 1
            name = f"{hint}_{count}"
        self.taken.add(name)
        return name


class GraphBuilder:
    """One graph: the model's, or a branch's, which sees the names of those around it."""

    def __init__(self, model: Model, around: GraphBuilder | None = None) -> None:
        self.model = model
        self.around = around
        self.nodes: list[Any] = []
        self.env: dict[Value, Ref | Expanded] = {}
        self.place: Place = Place() if around is None else around.place
        self.result_shape: Shape = ()  # of the node whose rule is at work
        self._sizes: dict[Any, Ref] = {}

    @property
    def opset(self) -> int:
        """The version of the operators."""
        return self.model.opset

    @property
    def root(self) -> GraphBuilder:
        """The model's graph."""
        return self if self.around is None else self.around.root

    # -- operators -----------------------------------------------------------------------------

    def op1(self, kind: str, *inputs: Any, **attrs: Any) -> Ref:
        """An operator of one result."""
        found: Ref = self.op(kind, *inputs, **attrs)
        return found

    def op(self, kind: str, *inputs: Any, outputs: int = 1, dtype: Any = None, **attrs: Any) -> Any:
        """An operator on values, literals, arrays or None (left out): its results."""
        if "::" in kind or any(name[-2:] in _TYPED for name in attrs):
            return self._foreign(kind, inputs, outputs, dtype, attrs)
        schema = schema_of(kind, self.opset)
        refs = [None if x is None else self.ref(x) for x in inputs]
        if attrs.get("reduction") in _COMBINING:
            refs, narrowed = self._in_full(refs)
        else:
            refs, narrowed = self._fitted(schema, refs)
        types = _bound(schema, refs)
        names = self._node(kind, refs, outputs, attrs)
        results = []
        for i, name in enumerate(names):
            formal = schema.outputs[min(i, len(schema.outputs) - 1)].type_str
            found = dtype if dtype is not None else _output_dtype(schema, formal, types)
            result = Ref(name, found)
            results.append(self.cast(result, narrowed[formal]) if formal in narrowed else result)
        return results[0] if outputs == 1 else tuple(results)

    def _node(
        self, kind: str, refs: Sequence[Ref | None], outputs: int, attrs: Any, domain: str = ""
    ) -> list[str]:
        """Append a node; the names of its results."""
        names = [self.model.fresh(self._hint(kind)) for _ in range(outputs)]
        given = [r.name if r is not None else "" for r in refs]
        while given and not given[-1]:
            given.pop()
        node = onnx().helper.make_node(
            kind,
            given,
            names,
            name=self.model.fresh("/".join(x for x in (self.place.module, kind) if x)),
            doc_string=self.place.note or None,
            domain=domain or None,
            **{k: v for k, v in attrs.items() if v is not None},
        )
        self.nodes.append(node)
        return names

    def _foreign(self, kind: str, inputs: Any, outputs: int, dtype: Any, attrs: Any) -> Any:
        """An operator as symbolic functions add it: of another domain, or with attributes whose
        last letter says of what type they are."""
        domain, _, name = kind.rpartition("::")
        plain = {k[:-2] if k[-2:] in _TYPED else k: v for k, v in attrs.items()}
        if domain in ("", "aten", "onnx"):
            return self.op(name, *inputs, outputs=outputs, dtype=dtype, **plain)
        self.model.domains.add(domain)
        refs = [None if x is None else self.ref(x) for x in inputs]
        first = next((r.dtype for r in refs if r is not None), float32)
        made = [Ref(n, dtype or first) for n in self._node(name, refs, outputs, plain, domain)]
        return made[0] if outputs == 1 else tuple(made)

    def _hint(self, kind: str) -> str:
        own = self.place.op or kind
        return "/".join(x for x in (self.place.module, own.replace(".", "_")) if x)

    def _in_full(self, refs: list[Ref | None]) -> tuple[list[Ref | None], dict[str, DType]]:
        """Operands of a scatter that combines, 16-bit floats in float32 and booleans as int32."""
        first = refs[0]
        assert first is not None
        wide = as_dtype("int32") if first.dtype is bool_ else compute_dtype(first.dtype)
        if wide is first.dtype:
            return refs, {}
        cast = [r if r is None or r.dtype is not first.dtype else self.cast(r, wide) for r in refs]
        return cast, {"T": first.dtype}

    def _fitted(
        self, schema: Any, refs: list[Ref | None]
    ) -> tuple[list[Ref | None], dict[str, DType]]:
        """The operands in dtypes that the operator takes, and for the schema's type variables that
        were cast the dtypes that results are to have."""
        allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
        formals = [_formal(schema, i) for i in range(len(refs))]
        wide: dict[str, DType] = {}
        narrowed: dict[str, DType] = {}
        for formal, ref in zip(formals, refs, strict=True):
            if ref is None or formal in wide or formal not in allowed:
                continue
            wide[formal] = _fit(schema.name, ref.dtype, allowed[formal])
            if wide[formal] is not ref.dtype:
                narrowed[formal] = ref.dtype
        fitted = [
            ref if ref is None or formal not in wide else self.cast(ref, wide[formal])
            for formal, ref in zip(formals, refs, strict=True)
        ]
        return fitted, narrowed

    def cast(self, x: Any, dtype: DType) -> Ref:
        """A value converted to a dtype."""
        ref = self.ref(x)
        if ref.dtype is dtype:
            return ref
        saturate = None
        if dtype.kind == "s":
            if self.opset < (24 if dtype.name == "float8_e8m0fnu" else 19):
                raise UntranslatableError(f"opset {self.opset} has no dtype {dtype.name}")
            saturate = 0  # what is too large is NaN
        found = self.op1("Cast", ref, to=elem_type(dtype), dtype=dtype, saturate=saturate)
        return found._replace(shape=ref.shape)

    # -- values --------------------------------------------------------------------------------

    def ref(self, x: Any) -> Ref:
        """A value, a literal or an array as a value of the graph."""
        if isinstance(x, Ref):
            return x
        if isinstance(x, Expanded):
            return self._written_out(x)
        if isinstance(x, Literal):
            return self.constant(x.value, x.dtype)
        return self.constant(x)

    def _written_out(self, x: Expanded) -> Ref:
        key = ("expanded", x.source.name, tuple(map(sizes.key_of, x.shape)))
        found = self._remembered(key)
        if found is None:
            if x.source.shape is not None and same_shape(x.source.shape, x.shape):
                return x.source
            found = self.op1("Expand", x.source, self.sizes(x.shape))._replace(shape=x.shape)
            self._sizes[key] = found
        return found

    def _remembered(self, key: Any) -> Ref | None:
        builder: GraphBuilder | None = self
        while builder is not None:
            if key in builder._sizes:
                return builder._sizes[key]
            builder = builder.around
        return None

    def constant(self, value: Any, dtype: DType | None = None) -> Ref:
        """A number or an array as a value."""
        array = np.asarray(value) if dtype is None else np.asarray(number(value, dtype))
        found = from_numpy(array.dtype)
        elem_type(found)
        key = (found.name, array.shape, array.tobytes())
        if key not in self.model.constants:
            name = self.model.fresh("constant")
            self.model.initializers[name] = array
            self.model.constants[key] = Ref(name, found, array.shape)
        return self.model.constants[key]

    def sizes(self, shape: Sequence[Extent]) -> Any:
        """Sizes as a vector of int64."""
        return sizes.vector(self.root, tuple(shape))

    def size(self, extent: Extent) -> Any:
        """A size as an int64 without dimensions."""
        return sizes.scalar(self.root, extent)

    def filled(self, shape: Sequence[Extent], value: Any, dtype: DType) -> Any:
        """One number, or symbolic size, everywhere."""
        one = self.cast(self.size(value), dtype) if isinstance(value, Dim) else None
        one = self.constant(value, dtype) if one is None else one
        return Expanded(one._replace(shape=()), tuple(shape)) if shape else one

    def choice(self, condition: Any, then: Any, otherwise: Any) -> Any:
        """The results of one of two branches."""
        count = len(then.output)
        dtypes = [_dtype_of(o) for o in then.output]
        names = [self.model.fresh(self._hint("If")) for _ in range(count)]
        node = onnx().helper.make_node(
            "If",
            [self.ref(condition).name],
            names,
            name=self.model.fresh("/".join(x for x in (self.place.module, "If") if x)),
            doc_string=self.place.note or None,
            then_branch=then,
            else_branch=otherwise,
        )
        self.nodes.append(node)
        return tuple(Ref(n, d) for n, d in zip(names, dtypes, strict=True))

    def formula(self, expression: Any, inputs: Sequence[Any]) -> Any:
        """A scalar expression, element by element."""
        return scalars.formula(self, expression, inputs)

    def reshape(self, x: Any, shape: Sequence[Extent]) -> Any:
        """A value in another shape."""
        return sizes.reshape(self, self.ref(x), tuple(shape))

    def reduce(self, kind: str, x: Any, dims: Sequence[int], keepdim: bool) -> Ref:
        """A reduction along dimensions."""
        ref = self.ref(x)
        if not dims:
            return ref
        if ref.dtype is bool_:
            return self.cast(self.reduce(kind, self.cast(ref, int64), dims, keepdim), bool_)
        if self.opset >= (13 if kind == "ReduceSum" else 18):
            return self.op1(kind, ref, np.array(dims, np.int64), keepdims=int(keepdim))
        return self.op1(kind, ref, axes=list(dims), keepdims=int(keepdim))

    # -- programs ------------------------------------------------------------------------------

    def value(self, operand: Operand) -> Any:
        """What stands for an operand of the program: a Ref, an Expanded or a Literal."""
        return operand if isinstance(operand, Literal) else self._found(operand)

    def _found(self, value: Value) -> Ref | Expanded:
        builder: GraphBuilder | None = self
        while builder is not None:
            if value in builder.env:
                return builder.env[value]
            builder = builder.around
        raise KeyError(value)

    def set(self, value: Value, found: Any) -> None:
        """Let something stand for a value of the program."""
        found = self.ref(found) if isinstance(found, Literal) else found
        self.env[value] = found._replace(shape=value.shape)

    def inline(self, program: Program, inputs: Sequence[Any]) -> Any:
        """The results of a Program, node by node."""
        for value, given in zip(program.inputs, inputs, strict=True):
            self.set(value, given)
        self.run(program)
        found = tuple(self.ref(self.value(o)) for o in program.outputs)
        return found if len(found) > 1 else found[0]

    def run(self, program: Program) -> None:
        """Add the nodes of a program whose inputs are known."""
        outer, read = self.place, _read(program)
        for node in program.nodes:
            if node.location is not None or node.module or not outer.op:
                self.place = Place(node.op.name, node.module, node.location)
            try:
                found = self.model.translate(self, node)
                if _hidden_read(node, found, read):
                    found = self.by_body(node)
            except UntranslatableError as error:
                self.model.failures.append(Failure(self.place, str(error)))
                found = tuple(Ref("?", o.dtype) for o in node.outputs)
            found = found if type(found) is tuple else (found,)
            for value, ref in zip(node.outputs, found, strict=False):
                self.set(value, ref)
        self.place = outer

    def translated(self, node: Node) -> Any:
        """A node by its op's own rule."""
        values = [self.value(i) for i in node.inputs]
        if not node.op.onnx_broadcasts:
            values = [v if isinstance(v, Literal) else self.ref(v) for v in values]
        else:
            values = self._covering(values, node.outputs[0].shape)
        self.result_shape = node.outputs[0].shape
        params = dict(node.params)
        if node.regions:
            params["regions"] = node.regions
        found = node.op.onnx(self, values, params)
        if node.op.onnx_broadcasts and self.ref(found).name in self.model.initializers:
            return Expanded(found._replace(shape=()), node.outputs[0].shape)  # of no operand
        return found

    def by_body(self, node: Node) -> Any:
        """A composite by its body, which gives the hidden outputs too."""
        values = [self.ref(self.value(i)) for i in node.inputs]
        return Composite.onnx(node.op, self, values, node.params)  # type: ignore[arg-type]  # a Composite

    def _covering(self, values: list[Any], shape: Shape) -> list[Any]:
        """Operands that broadcast to a shape: those that were expanded to it as they were before,
        where the others have all of it."""
        left = [i for i, v in enumerate(values) if isinstance(v, Expanded)]
        found = [v.source if isinstance(v, Expanded) else v for v in values]
        known = [v.shape for v in found if not isinstance(v, Literal) and v.shape is not None]
        if left and not _covers(known, shape):
            found[left[0]] = self.ref(values[left[0]])
        return found

    def branch(self, program: Program, inputs: Sequence[Any]) -> Any:
        """A Program as a graph of its own, which reads what is around it."""
        inner = GraphBuilder(self.model, self)
        for value, given in zip(program.inputs, inputs, strict=True):
            inner.set(value, given)
        inner.run(program)
        outputs = []
        for operand in program.outputs:
            found = inner.ref(inner.value(operand))
            outputs.append(inner.op("Identity", found)._replace(shape=operand.shape))
        return inner.graph("branch", [], outputs)

    def loop(self, goes_on: Program, body: Program, inputs: Sequence[Any]) -> Any:
        """A `while_loop`: the condition is computed before it, and at the end of each round."""
        count = len(body.outputs)
        first = self.inline(goes_on, inputs)
        inner = GraphBuilder(self.model, self)
        number = Ref(self.model.fresh("round"), int64, ())
        went_on = Ref(self.model.fresh("goes_on"), bool_, ())
        entries = [Ref(self.model.fresh("carried"), v.dtype, v.shape) for v in body.inputs[:count]]
        read = inputs[count:]
        given = inner.inline(body, [*entries, *read])
        found = [inner.named(x) for x in (given if count > 1 else (given,))]
        again = inner.named(inner.inline(goes_on, [*found, *read]))
        graph = inner.graph(
            "round", [inner.info(x) for x in (number, went_on, *entries)], [again, *found]
        )
        names = [self.model.fresh(self._hint("Loop")) for _ in range(count)]
        node = onnx().helper.make_node(
            "Loop",
            ["", first.name, *(self.ref(x).name for x in inputs[:count])],
            names,
            name=self.model.fresh("/".join(x for x in (self.place.module, "Loop") if x)),
            doc_string=self.place.note or None,
            body=graph,
        )
        self.nodes.append(node)
        return tuple(Ref(n, v.dtype, v.shape) for n, v in zip(names, body.outputs, strict=True))

    def named(self, x: Ref) -> Ref:
        """A value under a name of its own, which an output of a graph needs."""
        found: Ref = self.op("Identity", x)
        return found._replace(shape=x.shape)

    def graph(self, name: str, inputs: Sequence[Any], outputs: Sequence[Ref]) -> Any:
        """The GraphProto."""
        infos = [self.info(o) for o in outputs]
        return onnx().helper.make_graph(self.nodes, self.model.fresh(name), list(inputs), infos)

    def info(self, x: Ref) -> Any:
        """The declared type of a value."""
        shape = None if x.shape is None else [sizes.declared(s) for s in x.shape]
        return onnx().helper.make_tensor_value_info(x.name, elem_type(x.dtype), shape)


def _read(program: Program) -> set[Value]:
    """The values that nodes of a program read, or that are its results."""
    found = {v for node in program.nodes for v in node.values}
    return found | {o for o in program.results if isinstance(o, Value)}


def _hidden_read(node: Node, found: Any, read: set[Value]) -> bool:
    """Whether somebody reads an output that a composite's rule didn't give."""
    given = len(found) if type(found) is tuple else 1
    return isinstance(node.op, Composite) and any(o in read for o in node.outputs[given:])


def _dtype_of(info: Any) -> DType:
    """The dtype of a declared value."""
    return from_numpy(onnx().helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type))


def _covers(shapes: Sequence[Shape], shape: Shape) -> bool:
    rank = len(shape)
    return all(
        any(len(s) >= rank - d and same(s[d - rank + len(s)], size) for s in shapes)
        for d, size in enumerate(shape)
    ) and any(len(s) == rank for s in shapes)


def _formal(schema: Any, i: int) -> str:
    """The type variable, or type, of an operand."""
    found = schema.inputs[min(i, len(schema.inputs) - 1)]
    homogeneous = found.option.name != "Variadic" or found.is_homogeneous
    return str(found.type_str) if homogeneous else f"{found.type_str}{i}"


def _fit(kind: str, dtype: DType, allowed: Sequence[str]) -> DType:
    """The dtype itself, or the first wider one that an operator takes."""
    narrow = kind in _ARITHMETIC and dtype.name in _NARROW
    narrow = narrow or (dtype is bool_ and kind in ("Pad", "Where"))
    if type_text(dtype) in allowed and not narrow:
        return dtype
    for name in _WIDER.get(dtype.name, ()):
        if type_text(as_dtype(name)) in allowed:
            return as_dtype(name)
    if type_text(dtype) in allowed:
        return dtype
    raise UntranslatableError(f"its operator {kind} doesn't take {dtype.name}")


def _bound(schema: Any, refs: Sequence[Ref | None]) -> dict[str, DType]:
    """The dtypes of the schema's type variables."""
    return {_formal(schema, i): r.dtype for i, r in enumerate(refs) if r is not None}


def _output_dtype(schema: Any, formal: str, types: Mapping[str, DType]) -> DType:
    """The dtype of a result: that of a type variable, or the only one that the schema allows."""
    if formal in types:
        return types[formal]
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    return _by_text()[next(iter(allowed.get(formal, [formal])))]


@functools.cache
def _by_text() -> dict[str, DType]:
    return {type_text(d): d for d in ALL}


__all__ = ["GraphBuilder", "Model", "elem_type"]
