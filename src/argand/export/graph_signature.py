"""What an exported program takes and gives, by PyTorch's names (`torch.export.graph_signature`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum, auto
from typing import Any, NamedTuple


class InputKind(Enum):
    """What an input is."""

    USER_INPUT = auto()
    PARAMETER = auto()
    BUFFER = auto()
    CONSTANT_TENSOR = auto()
    CUSTOM_OBJ = auto()
    TOKEN = auto()


class OutputKind(Enum):
    """What an output is."""

    USER_OUTPUT = auto()
    LOSS_OUTPUT = auto()
    BUFFER_MUTATION = auto()
    PARAMETER_MUTATION = auto()
    GRADIENT_TO_PARAMETER = auto()
    GRADIENT_TO_USER_INPUT = auto()
    USER_INPUT_MUTATION = auto()
    TOKEN = auto()


class TensorArgument(NamedTuple):
    """A tensor by its name."""

    name: str


class InputSpec(NamedTuple):
    """An input: a parameter's or a buffer's `target` is its name in the module."""

    kind: InputKind
    arg: Any
    target: str | None
    persistent: bool | None = None

    def __str__(self) -> str:
        target = "" if self.target is None else f" target='{self.target}'"
        kept = "" if self.persistent is None else f" persistent={self.persistent}"
        return f"{self.arg.name}: {self.kind.name}{target}{kept}"


class OutputSpec(NamedTuple):
    """An output: a changed buffer's `target` is its name in the module."""

    kind: OutputKind
    arg: Any
    target: str | None

    def __str__(self) -> str:
        target = "" if self.target is None else f" target='{self.target}'"
        return f"{self.arg.name}: {self.kind.name}{target}"


class ExportGraphSignature(NamedTuple):
    """All inputs and outputs: parameters, buffers and constants, then what a call gives; what a
    call changes, then what it returns."""

    input_specs: list[InputSpec]
    output_specs: list[OutputSpec]

    def _targets(self, *kinds: InputKind) -> tuple[str, ...]:
        return tuple(str(s.target) for s in self.input_specs if s.kind in kinds)

    def _by_name(self, kind: InputKind) -> dict[str, str]:
        return {s.arg.name: str(s.target) for s in self.input_specs if s.kind is kind}

    @property
    def parameters(self) -> Collection[str]:
        """The names of parameters."""
        return self._targets(InputKind.PARAMETER)

    @property
    def buffers(self) -> Collection[str]:
        """The names of buffers."""
        return self._targets(InputKind.BUFFER)

    @property
    def lifted_tensor_constants(self) -> Collection[str]:
        """The names of other tensors."""
        return self._targets(InputKind.CONSTANT_TENSOR)

    @property
    def user_inputs(self) -> Collection[str]:
        """The inputs that a call gives."""
        given = [s for s in self.input_specs if s.kind is InputKind.USER_INPUT]
        return tuple(s.arg.name for s in given)

    @property
    def user_outputs(self) -> Collection[str]:
        """The outputs that a call returns."""
        given = [s for s in self.output_specs if s.kind is OutputKind.USER_OUTPUT]
        return tuple(s.arg.name for s in given)

    @property
    def inputs_to_parameters(self) -> Mapping[str, str]:
        """The parameter of each input that is one."""
        return self._by_name(InputKind.PARAMETER)

    @property
    def inputs_to_buffers(self) -> Mapping[str, str]:
        """The buffer of each input that is one."""
        return self._by_name(InputKind.BUFFER)

    @property
    def buffers_to_mutate(self) -> Mapping[str, str]:
        """The buffer that each of these outputs is the new value of."""
        kind = OutputKind.BUFFER_MUTATION
        return {s.arg.name: str(s.target) for s in self.output_specs if s.kind is kind}

    def __str__(self) -> str:
        lines = ["", "# inputs", *map(str, self.input_specs)]
        return "\n".join([*lines, "", "# outputs", *map(str, self.output_specs), ""])


_KINDS = {"parameter": ("p", InputKind.PARAMETER), "buffer": ("b", InputKind.BUFFER)}


def graph_signature_of(signature: Any, role: Any) -> ExportGraphSignature:
    """The description of a signature; `role` says what a tensor of the state is."""
    inputs, changed = [], []
    writes = signature.program.writes
    for i, name in enumerate(signature.state_names):
        if not isinstance(name, str):
            continue
        prefix, kind = _KINDS.get(role(name), ("c", InputKind.CONSTANT_TENSOR))
        arg = TensorArgument(f"{prefix}_{name.replace('.', '_')}")
        kept = True if kind is InputKind.BUFFER else None
        inputs.append(InputSpec(kind, arg, name, kept))
        if i in writes:
            is_buffer = kind is not InputKind.PARAMETER
            how = OutputKind.BUFFER_MUTATION if is_buffer else OutputKind.PARAMETER_MUTATION
            changed.append(OutputSpec(how, TensorArgument(f"{arg.name}_new"), name))
    given = [
        InputSpec(InputKind.USER_INPUT, TensorArgument(x.name), None) for x in signature.inputs
    ]
    returned = [
        OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(x.name), None) for x in signature.outputs
    ]
    return ExportGraphSignature([*inputs, *given], [*changed, *returned])


__all__ = [
    "ExportGraphSignature",
    "InputKind",
    "InputSpec",
    "OutputKind",
    "OutputSpec",
    "TensorArgument",
    "graph_signature_of",
]
