"""Files of traced and scripted modules: `.argand` archives."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from argand.export import load as load_program
from argand.jit.modules import RecursiveScriptModule, ScriptFunction, ScriptModule
from argand.jit.writing import EXTRA, loaded
from argand.tensor.device import device


def save(m: Any, f: Any, _extra_files: Mapping[str, Any] | None = None) -> None:
    """Write what `trace` or `script` gave to a file: a `.argand` archive, which is data alone.

    Args:
        m: the module or the function.
        f: the file's name, or a binary file that is open.
        _extra_files: further contents by name, strings or bytes, which `load` gives back.

    Raises AttributeError for another module: trace or script it first.

    >>> import io
    >>> file = io.BytesIO()
    >>> ag.jit.save(ag.jit.trace(lambda x: x * 2, ag.ones(2)), file)
    >>> _ = file.seek(0)
    >>> ag.jit.load(file)(ag.ones(3))
    tensor([2., 2., 2.])
    """
    if not isinstance(m, ScriptModule | ScriptFunction):
        raise AttributeError(
            f"{type(m).__name__!r} object has no attribute 'save': jit.save takes what jit.trace "
            "or jit.script gave"
        )
    m.save(f, _extra_files=_extra_files)


def load(
    f: Any,
    map_location: Any = None,
    _extra_files: dict[str, Any] | None = None,
    _restore_shapes: bool = False,
) -> Any:
    """The module of a file that `save` wrote; its methods run compiled, without their Python.

    Args:
        f: the file's name, or a binary file that is open.
        map_location: the device; tensors are on the CPU.
        _extra_files: a dictionary whose values become what the file has under its keys, as bytes.

    Raises ValueError where there is no such file, FormatError for what is no archive of Argand's:
    one that PyTorch wrote has code in it, export that to ONNX.

    >>> import io
    >>> file = io.BytesIO(ag.jit.trace(nn.Linear(2, 3), ag.ones(1, 2)).save_to_buffer())
    >>> ag.jit.load(file)
    RecursiveScriptModule(original_name=Linear)
    """
    if isinstance(f, str | os.PathLike):
        if not os.path.exists(f):
            raise ValueError(f"The provided filename {os.fspath(f)} does not exist")
        if os.path.isdir(f):
            raise ValueError(f"The provided filename {os.fspath(f)} is a directory")
    if map_location is not None:
        device(map_location)  # which must be one that is there
    program = load_program(f)
    for name in _extra_files or ():
        _extra_files[name] = program.assets.get(EXTRA + name, b"")  # type: ignore[index]  # not None
    return loaded(program, RecursiveScriptModule)


__all__ = ["load", "save"]
