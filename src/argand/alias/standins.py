"""Stand-ins for what PyTorch has and Argand lacks: to use one raises an error that says so."""

from __future__ import annotations

import difflib
from abc import ABCMeta
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from argand.base.errors import ArgandError

# The way round what is missing, by the beginning of its path; the longest one counts.
_WAYS_ROUND = {
    "torch.ao": "there is no quantization: models run in float32, float64, float16 or bfloat16",
    "torch.quantization": "there is no quantization: models run in float32, float64, float16 or "
    "bfloat16",
    "torch._C": "it belongs to PyTorch's C++ library, which isn't here",
    "torch._dynamo": "it belongs to PyTorch's compiler; functions are compiled by `torch.compile`",
    "torch._inductor": "it belongs to PyTorch's compiler; functions are compiled by "
    "`torch.compile`",
    "torch._subclasses": "tensors without memory are not there: make the model on the CPU",
    "torch.distributed": "programs run in one process, a group of size 1",
    "torch.export": "torch.export.export gives a program; `print(program.graph)` shows what was "
    "traced",
    "torch.onnx": "torch.onnx.export exports a module",
    "torch.package": "save the weights with `torch.save`, and ship the code as a package",
    "torch.profiler": "measure with `time.perf_counter`, or with cProfile",
    "torch.sparse": "a sparse tensor's `to_dense()` gives a plain one",
    "torch.utils.cpp_extension": "extensions are linked against PyTorch's C++ library, which isn't "
    "here; write the function with tensors and compile it with `torch.compile`",
}


class MissingError(ArgandError, NotImplementedError, RuntimeError):
    """Something that PyTorch has and Argand lacks was used."""


class Missing(ABCMeta):
    """The class of stand-ins. One can be imported, subclassed, asked for in `isinstance` and
    annotated with; to call it raises MissingError."""

    path: str
    nearest: str

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise cls.error()

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") or "path" not in vars(cls):
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        return stand_in(f"{cls.path}.{name}")

    def __iter__(cls) -> Iterator[Any]:
        raise cls.error()

    def __getitem__(cls, item: Any) -> Any:
        return cls

    def __repr__(cls) -> str:
        return f"<{cls.path}, which Argand lacks>" if "path" in vars(cls) else super().__repr__()

    def error(cls) -> MissingError:
        """The error of its use."""
        nearest = f"; the nearest that is there is {cls.nearest}" if cls.nearest else ""
        way = _way_round(cls.path)
        return MissingError(f"{cls.path} is not in Argand{nearest}{f'; {way}' if way else ''}")


def stand_in(path: str, known: Iterable[str] = ()) -> Any:
    """The stand-in for a name; `known` are the names that its module has."""
    module, _, name = path.rpartition(".")
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.75)
    contents = {
        "path": path,
        "nearest": f"{module}.{close[0]}" if close else "",
        "__module__": module,
        "__doc__": f"`{path}` of PyTorch, which Argand lacks.",
    }
    raised = name.endswith(("Error", "Exception", "Warning"))
    return Missing(name, (Exception,) if raised else (), contents)


def _way_round(path: str) -> str:
    beginnings = [text for text in _WAYS_ROUND if path.startswith(text)]
    return _WAYS_ROUND[max(beginnings, key=len)] if beginnings else ""
