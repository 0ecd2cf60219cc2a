"""An exported program as a module, to train, to compile or to be a part of another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.export.program import ExportedProgram
from argand.nn.module import Module
from argand.nn.parameter import Parameter


def module_at(root: Module, path: str, new: Callable[[], Module] = Module) -> Module:
    """The submodule of a path; `new` makes those that are not there."""
    owner = root
    for part in path.split(".") if path else ():
        if part not in owner._modules:
            owner._modules[part] = new()
        owner = owner.get_submodule(part)
    return owner


class ExportedModule(Module):
    """The parameters and buffers of an exported program under their names; `forward` calls it.

    The tensors are the program's own. A program does what it did in the mode that it was exported
    in: `train` and `eval` change nothing of that.
    """

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__()
        self.program = program
        for name, tensor in program.state_dict.items():
            path, _, last = name.rpartition(".")
            owner = module_at(self, path)
            if isinstance(tensor, Parameter):
                owner.register_parameter(last, tensor)
            else:
                owner.register_buffer(last, tensor)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the default signature gives."""
        return self.program(*args, **kwargs)

    def extra_repr(self) -> str:
        """The signature."""
        return repr(self.program.default)


def unflatten(module: ExportedProgram, flat_args_adapter: Any = None) -> Module:
    """A module with the parameters and buffers under their paths, whose `forward` is the default
    signature, as `ExportedProgram.module`; its parts hold tensors and can't be called alone.

    >>> program = ag.export.export(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), (ag.ones(4, 2),))
    >>> made = ag.export.unflatten(program)
    >>> made.get_submodule("0").weight.shape, made(ag.ones(4, 2)).shape
    (argand.Size([3, 2]), argand.Size([4, 3]))
    """
    return ExportedModule(module)


__all__ = ["ExportedModule", "module_at", "unflatten"]
