"""What a file has of a traced or scripted module: its programs, and the tree around them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from argand.base.errors import FormatError
from argand.export import DEFAULT, ExportedProgram
from argand.export.modules import module_at
from argand.jit.methods import Method
from argand.nn.module import Module
from argand.nn.parameter import Parameter

EXTRA = "extra/"
"""What the names of extra files begin with in the archive."""

_PLAIN = (str, int, float, bool, type(None))


def write(made: Any, f: Any, extra: Mapping[str, Any] | None) -> None:
    """The archive of a module or a function."""
    assets = {EXTRA + name: content for name, content in (extra or {}).items()}
    program = whole_program(made)
    program.save(f, assets=assets, card={"jit": _described(made)})


def whole_program(made: Any) -> ExportedProgram:
    """All methods as the signatures of one program, with all tensors of the module."""
    program = ExportedProgram()
    if not isinstance(made, Module):
        made._main.add_to(program)
        return program
    if not made._methods:
        raise RuntimeError(f"{made.original_name} has no program of its own, so it can't be saved")
    for kind, tensors in (
        ("parameter", made.named_parameters()),
        ("buffer", made.named_buffers()),
    ):
        for name, tensor in tensors:
            program.add_state(name, tensor, kind)
    for method in made._methods.values():
        method.add_to(program)
    return program


def _described(made: Any) -> dict[str, Any]:
    """What a file keeps of a module beside its programs."""
    if not isinstance(made, Module):
        return {"function": made.name}
    seen: dict[int, str] = {}
    same = {}
    parameters = made.named_parameters(remove_duplicate=False)
    for name, tensor in (*parameters, *made.named_buffers(remove_duplicate=False)):
        if seen.setdefault(id(tensor), name) != name:
            same[name] = seen[id(tensor)]
    return {
        "modules": {path: _description(module) for path, module in made.named_modules()},
        "same": same,
    }


def _description(module: Any) -> dict[str, Any]:
    inner = getattr(module, "_inner", None) or module
    attributes = {
        name: value
        for name, value in vars(inner).items()
        if not name.startswith("_") and name != "training" and _is_plain(value)
    }
    name = module.original_name if hasattr(module, "original_name") else type(module).__name__
    return {
        "name": name,
        "training": module.training,
        "attributes": attributes,
        "transient": sorted(module._transient),
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    finite = not isinstance(value, float) or value - value == 0
    return type(value) in _PLAIN and finite


def loaded(program: ExportedProgram, new: Callable[[], Any]) -> Any:
    """The module of a program, with the tree that its card describes; `new` makes each of it."""
    described = program.card.get("jit", {})
    described = described if isinstance(described, dict) else {}
    made = new()
    made.__dict__["_name"] = str(described.get("function", "ExportedProgram"))
    for path, fields in _items(described, "modules"):
        _describe(module_at(made, path, new), fields)
    for name, tensor in program.state_dict.items():
        _place(made, name, tensor, new)
    for name, other in _items(described, "same"):
        if isinstance(other, str) and other in program.state_dict:
            _place(made, name, program.state_dict[other], new)
    for key in program.signatures:
        name = "forward" if key == DEFAULT else key
        made.__dict__["_methods"][name] = Method(name, None, program)
    return made


def _items(described: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    found = described.get(key, {})
    if not isinstance(found, dict):
        raise FormatError(f"card: jit.{key} must be a dictionary, got {type(found).__name__}")
    return list(found.items())


def _describe(module: Any, fields: Any) -> None:
    if not isinstance(fields, dict):
        raise FormatError("card: jit.modules must have dictionaries in it")
    module.__dict__["_name"] = str(fields.get("name", "Module"))
    module.__dict__["training"] = bool(fields.get("training", True))
    module._transient.update(map(str, fields.get("transient", ())))
    attributes = fields.get("attributes", {})
    for name, value in attributes.items() if isinstance(attributes, dict) else ():
        if not name.startswith("_") and not hasattr(type(module), name):
            module.__dict__[name] = value


def _place(made: Any, name: str, tensor: Any, new: Callable[[], Any]) -> None:
    path, _, last = name.rpartition(".")
    owner: Module = module_at(made, path, new)
    kind = "_parameters" if isinstance(tensor, Parameter) else "_buffers"
    owner.__dict__[kind][last] = tensor


def copied(made: Any, memo: dict[int, Any], new: Callable[[], Any]) -> Any:
    """The module on tensors of its own: its Python, and its programs."""
    inner = copy.deepcopy(made._inner, memo)
    program = None
    if not made._follows:
        program = copy.deepcopy(whole_program(made), memo)
        program.card = {"jit": _described(made)}
    if inner is None:
        assert program is not None
        found = loaded(program, new)
        found.__class__ = type(made)
        return found
    found = type(made).around(inner, follows=made._follows)
    for name, method in made._methods.items():
        function = inner if name == "forward" else getattr(inner, name)
        again = Method(name, function, program, is_script=method.is_script)
        again.example, again.constant = method.example, method.constant
        found.__dict__["_methods"][name] = again
    return found


__all__ = ["EXTRA", "copied", "loaded", "whole_program", "write"]
