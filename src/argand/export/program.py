"""Exported programs: signatures on shared weights, without the Python that they came from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

from argand.base.errors import ArgumentError
from argand.base.late import resolve
from argand.base.scripting import exporting
from argand.base.tree import tree_map
from argand.compile.signature import parameter_names
from argand.export.capture import Captured, capture, check_effects
from argand.export.declared import leaf_shapes
from argand.export.graph_signature import ExportGraphSignature, graph_signature_of
from argand.export.signature import Signature, SizeRange, as_tensor, signature_of
from argand.export.traced import TracedSignature
from argand.ir.verify import verify
from argand.nn.module import Module
from argand.nn.parameter import Parameter
from argand.tensor.core import Tensor
from argand.tensor.generators import default_generator

DEFAULT = "serving_default"
"""The signature that calling the program calls, by TensorFlow's name."""


AnySignature = Signature | TracedSignature


class ModuleCallEntry(NamedTuple):
    """A module of an exported program, by its path."""

    fqn: str


class ExportedProgram:
    """One or several signatures over one set of weights, as `export` and `load` give it.

    Calling it calls the signature `serving_default` (or the only one there is). It runs compiled;
    where grad mode is on, an argument is a tensor and a parameter wants a gradient, gradients are
    recorded. What the program writes (running statistics, a cache) is its state; calls change it.

    >>> model = nn.Linear(2, 3)
    >>> program = ag.export.export(model, (ag.ones(4, 2),), dynamic_shapes=({0: ag.Dim("n")},))
    >>> program
    <exported program: serving_default(input: f32(n, 2)) -> (output: f32(n, 3)), 2 tensors>
    >>> ag.equal(program(ag.ones(7, 2)), model(ag.ones(7, 2)))
    True
    """

    def __init__(self) -> None:
        self.signatures: dict[str, AnySignature] = {}
        self.assets: dict[str, bytes] = {}
        self.card: dict[str, Any] = {}
        self.origin: dict[str, Any] = {}  # format, producer and versions of ops, of a file
        self.samples: list[Any] = []  # of a file
        self.examples: dict[str, Any] = {}  # (args, kwargs) of each signature
        self._state: dict[str, Tensor] = {}
        self._roles: dict[str, str] = {}

    # -- calling -------------------------------------------------------------------------------

    @property
    def default(self) -> AnySignature:
        """The signature that `program(...)` calls."""
        if DEFAULT in self.signatures:
            return self.signatures[DEFAULT]
        if len(self.signatures) == 1:
            return next(iter(self.signatures.values()))
        names = ", ".join(self.signatures)
        raise ArgumentError(
            f"the program has no signature {DEFAULT!r}; call program.signatures[name](...) with "
            f"one of {names}"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.default(*args, **kwargs)

    # -- state ---------------------------------------------------------------------------------

    @property
    def state_dict(self) -> dict[str, Tensor]:
        """The parameters and buffers by name, as they are."""
        return {n: t for n, t in self._state.items() if self._roles[n] in _SAVED}

    @property
    def constants(self) -> dict[str, Tensor]:
        """The other tensors that the program reads or writes: an optimizer's moments, tables."""
        return {n: t for n, t in self._state.items() if self._roles[n] not in _SAVED}

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """The parameters with their names.

        >>> program = ag.export.export(nn.Linear(2, 3), (ag.ones(4, 2),))
        >>> [name for name, _ in program.named_parameters()]
        ['weight', 'bias']
        """
        return ((n, t) for n, t in self._state.items() if self._roles[n] == "parameter")

    def parameters(self) -> Iterator[Tensor]:
        """The parameters, for an optimizer."""
        return (t for _, t in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their names."""
        return ((n, t) for n, t in self._state.items() if self._roles[n] == "buffer")

    def buffers(self) -> Iterator[Tensor]:
        """The buffers."""
        return (t for _, t in self.named_buffers())

    def role(self, name: str) -> str:
        """What a tensor of the state is: "parameter", "buffer", "constant" or "generator"."""
        return self._roles[name]

    @property
    def state(self) -> Mapping[str, Tensor]:
        """All tensors that calls read or write, by name."""
        return self._state

    def add_state(self, name: str, tensor: Tensor, role: str) -> None:
        """Give the program a tensor; signatures know it by its name."""
        self._state[name] = tensor
        self._roles[name] = role

    # -- showing -------------------------------------------------------------------------------

    @property
    def range_constraints(self) -> dict[str, SizeRange]:
        """The sizes that the symbols of all signatures may have."""
        found: dict[str, SizeRange] = {}
        for signature in self.signatures.values():
            found |= signature.ranges
        return found

    @property
    def example_inputs(self) -> Any:
        """The arguments that the default signature was exported with: (args, kwargs)."""
        return self.examples.get(self.default.name)

    @property
    def program(self) -> Any:
        """The program of the default signature; `print` shows it."""
        return self.default.program

    @property
    def graph_module(self) -> Any:
        """The default signature as an `fx.GraphModule`: its inputs are the parameters, buffers and
        constants, then the arguments of a call; its outputs are what a call changes, then what it
        returns. `graph_signature` names them. Edit a copy of it: the program stays as it is.

        >>> program = ag.export.export(nn.Linear(2, 3), (ag.ones(4, 2),))
        >>> [node.name for node in program.graph_module.graph.nodes][:3]
        ['p_weight', 'p_bias', 'input_1']
        """
        return resolve("export.graph")(self)

    @property
    def graph(self) -> Any:
        """The graph of `graph_module`.

        >>> print(ag.export.export(lambda x: x.relu(), (ag.ones(2),)).graph)
        graph():
            %x : [num_users=1] = placeholder[target=x]
            %relu : [num_users=1] = call_function[target=torch.ops.aten.relu.default](args = (%x,),
            kwargs = {})
            return (relu,)
        """
        return self.graph_module.graph

    @property
    def graph_signature(self) -> ExportGraphSignature:
        """What the default signature takes and gives, by PyTorch's names."""
        return graph_signature_of(self.default, self.role)

    @property
    def module_call_graph(self) -> list[ModuleCallEntry]:
        """The modules of the program, with the paths under which it has them."""
        paths = dict.fromkeys(node.module for node in self.program.nodes)
        return [ModuleCallEntry(path) for path in ("", *(p for p in paths if p))]

    @property
    def tensor_constants(self) -> dict[str, Tensor]:
        """As `constants`."""
        return self.constants

    @property
    def dialect(self) -> str:
        """ "ARGAND": the ops are Argand's own."""
        return "ARGAND"

    def validate(self) -> None:
        """Check the programs of all signatures; ProgramError where one is damaged."""
        for signature in self.signatures.values():
            verify(signature.settled.program)

    def run_decompositions(self, decomp_table: Any = None, **options: Any) -> ExportedProgram:
        """The program itself: its ops are Argand's primitives already."""
        return self

    def explain(self) -> str:
        """The signatures, and what runs natively, as text."""
        lines = []
        for signature in self.signatures.values():
            lines.append(repr(signature))
            lines += [f"  {line}" for line in signature.explain()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        shown = "; ".join(repr(s)[len("<signature ") : -1] for s in self.signatures.values())
        return f"<exported program: {shown}, {len(self._state)} tensors>"

    # -- signatures ----------------------------------------------------------------------------

    def add_signature(
        self,
        name: str,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        dynamic_shapes: Any = None,
        input_names: Sequence[str] = (),
        output_names: Sequence[str] = (),
        drops_effects: bool = False,
    ) -> Signature:
        """Export one more function; tensors that it shares with the others stay shared. What it
        changes in Python objects is an error, or left out (`drops_effects`).

        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> program = ag.export.export(model, (ag.ones(1, 2),))
        >>> program.add_signature("encode", model[0], (ag.ones(1, 2),))
        <signature encode(input: f32(1, 2)) -> (output: f32(1, 3))>
        >>> len(program.state_dict)
        2
        """
        if name in self.signatures:
            raise ArgumentError(f"there is a signature {name!r} already")
        given = tree_map(as_tensor, (tuple(args), dict(kwargs or {})))
        shapes = leaf_shapes(function, given, dynamic_shapes)
        called = getattr(function, "__name__", type(function).__name__)
        with nullcontext() if drops_effects else exporting():  # else it is traced for `jit`
            found = capture(function, given, shapes, called)
        if not drops_effects:
            check_effects(found)
        signature = signature_of(
            name,
            found,
            self._name_state(function, found),
            parameter_names(function),
            input_names=input_names,
            output_names=output_names,
        )
        self.examples[name] = given
        self.signatures[name] = signature.bind_state(self._state)
        return signature

    def _name_state(self, function: Any, found: Captured) -> list[str | int]:
        """Name the state of what was traced: a tensor has one name for all signatures. Gives the
        names, and the numbers of the leaves that are written."""
        own = _named_tensors(function)
        known = {id(t): name for name, t in self._state.items()}
        names: list[str | int] = []
        for value, tensor in zip(found.program.state, found.state, strict=True):
            if isinstance(tensor, int):
                names.append(tensor)
                continue
            if id(tensor) not in known:
                name, role = own.get(id(tensor), (value.name, _role(tensor)))
                while name in self._state:
                    name += "_"
                self.add_state(name, tensor, role)
                known[id(tensor)] = name
            value.name = known[id(tensor)]
            names.append(value.name)
        return names

    def add_traced(self, signature: TracedSignature) -> None:
        """Add a signature that is traced when it is called."""
        self.signatures[signature.name] = signature.bind_state(self._state, self._kept)

    def _kept(self, found: Captured) -> list[str | int]:
        return self._name_state(None, found)

    # -- copies --------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> ExportedProgram:
        """The same program on tensors of its own."""
        made = copy.copy(self)
        memo[id(self)] = made
        made._state = {name: copy.deepcopy(t, memo) for name, t in self._state.items()}
        made.signatures = {n: made._bound(copy.copy(s)) for n, s in self.signatures.items()}
        return made

    def _bound(self, signature: AnySignature) -> AnySignature:
        if isinstance(signature, TracedSignature):
            return signature.copy().bind_state(self._state, self._kept)
        return signature.bind_state(self._state)

    def __copy__(self) -> ExportedProgram:
        """A program with the same signatures and tensors."""
        made = ExportedProgram()
        vars(made).update({k: copy.copy(v) for k, v in vars(self).items()})
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle: as the file that `save` would write."""
        archive = resolve("export.archive")
        return archive.of_bytes, (archive.as_bytes(self),)

    # -- as a module ---------------------------------------------------------------------------

    def module(self, check_guards: bool = True) -> Module:
        """A module with the parameters and buffers, whose `forward` is the default signature.

        >>> program = ag.export.export(nn.Linear(2, 3), (ag.ones(4, 2),))
        >>> sorted(program.module().state_dict())
        ['bias', 'weight']
        """
        made: Module = resolve("export.module")(self)
        return made

    def save(self, path: Any, **options: Any) -> None:
        """Write the program to a file; see `argand.export.save`."""
        resolve("export.archive").save(self, path, **options)


_SAVED = ("parameter", "buffer")


def _role(tensor: Tensor) -> str:
    if tensor is default_generator.state:
        return "generator"
    return "parameter" if isinstance(tensor, Parameter) else "constant"


def _named_tensors(function: Any) -> dict[int, tuple[str, str]]:
    """The names and roles of a module's tensors, by their ids."""
    owner = function if isinstance(function, Module) else getattr(function, "__self__", None)
    found: dict[int, tuple[str, str]] = {}
    if isinstance(owner, Module):
        for name, parameter in owner.named_parameters():
            found.setdefault(id(parameter), (name, "parameter"))
        for name, buffer in owner.named_buffers():
            found.setdefault(id(buffer), (name, "buffer"))
    return found


# -- export ----------------------------------------------------------------------------------------


def export(
    mod: Any,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_shapes: Any = None,
    strict: bool = False,
    preserve_module_call_signature: Sequence[str] = (),
    name: str = DEFAULT,
    input_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
) -> ExportedProgram:
    """Trace a module or a function into a program that needs none of its Python.

    The function runs once, on stand-ins for its arguments. All that it computes with tensors is
    recorded: gradients and an optimizer's step too, so a training step can be a signature. Tensors
    that it reaches are the program's weights (the same tensors, not copies) and its state.

    Args:
        mod: a module, in the mode (`eval`, `train`) that it is to be exported in; a function; or a
            dictionary of signatures ``{"encode": (function, args), ...}``, with kwargs and
            dynamic_shapes behind.
        args, kwargs: example arguments: tensors, numbers and strings, in lists, tuples and
            dictionaries. Floats are inputs; ints, bools and strings are constants of the program.
        dynamic_shapes: the sizes that vary, by argument: ``{"x": {0: ag.Dim("batch")}}`` or
            ``(("batch", None),)``. `Dim.DYNAMIC` makes a symbol, `Dim.AUTO` one unless the function
            ties the size to a number.
        strict, preserve_module_call_signature: PyTorch's; there is one way to trace.
        name: the signature's name.
        input_names, output_names: names for the tensors in order, in place of those of arguments
            and of the keys of a dictionary that is returned.

    Raises TraceError where the function does what a program can't: a branch on a tensor's values
    (see `ag.cond`), a change of Python objects. ShapeError where it ties a declared size to a
    number.

    >>> program = ag.export.export(lambda x, y: x @ y, (ag.ones(2, 3), ag.ones(3, 2)))
    >>> program(ag.ones(2, 3), ag.ones(3, 2))
    tensor([[3., 3.],
            [3., 3.]])
    """
    made = ExportedProgram()
    if isinstance(mod, Mapping):
        for signature, (function, *rest) in mod.items():
            given = dict(zip(("args", "kwargs", "dynamic_shapes"), rest, strict=False))
            made.add_signature(signature, function, **given)
        return made
    if not callable(mod):
        raise TypeError(f"export takes a module or a function, got {type(mod).__name__}")
    if not isinstance(args, tuple | list):
        raise TypeError(f"export takes the arguments in a tuple, got {type(args).__name__}")
    made.add_signature(
        name,
        mod,
        args,
        kwargs,
        dynamic_shapes=dynamic_shapes,
        input_names=input_names,
        output_names=output_names,
    )
    return made


__all__ = ["DEFAULT", "AnySignature", "ExportedProgram", "export"]
