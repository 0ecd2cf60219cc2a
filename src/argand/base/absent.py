"""Functions of devices that are not there, made from tables: each answers as PyTorch's does in an
installation without that device, or raises DeviceError where that one raises.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any, NoReturn

from argand.base.errors import CallError, DeviceError


class Absent:
    """Makes the functions of one module of a device: ``Absent("cuda", "a CUDA device")``."""

    def __init__(self, module: str, device: str) -> None:
        self.module, self.device = module, device

    def error(self, name: str) -> DeviceError:
        """What is raised by a function that needs the device."""
        root = self.module.partition(".")[0]
        ask = f"; ask ag.{root}.is_available() first" if root in _ASKED else ""
        return DeviceError(
            f"ag.{self.module}.{name} needs {self.device}, and there is none: Argand computes on "
            f"the CPU{ask}"
        )

    def answers(self, table: dict[str, Any]) -> dict[str, Any]:
        """Functions that return a value, by what they take: ``{"manual_seed(seed)": None}``."""
        return {text.partition("(")[0]: self._answer(text, table[text]) for text in table}

    def refuses(self, names: str) -> dict[str, Any]:
        """Functions that raise DeviceError, whatever they are given."""
        return {name: self._refusal(name) for name in names.split()}

    def classes(self, names: str) -> dict[str, Any]:
        """Classes that have no instances: to make one raises DeviceError."""
        return {name: self._class(name, self.error) for name in names.split()}

    def types(self, names: str) -> dict[str, Any]:
        """Classes of tensors that have no instances: to make one raises a TypeError."""
        return {name: self._class(name, self._type_error) for name in names.split()}

    def _answer(self, text: str, value: Any) -> Callable[..., Any]:
        name, _, listed = text.removesuffix(")").partition("(")
        signature = _signature(listed)

        def call(*args: Any, **kwargs: Any) -> Any:
            signature.bind(*args, **kwargs)
            return copy.copy(value)

        call.__signature__ = signature  # type: ignore[attr-defined]  # what inspect reads
        shown = "" if value is None else f"\n{value!r}"
        needed = ", ".join("0" for p in signature.parameters.values() if p.default is p.empty)
        said = "Changes nothing" if value is None else f"Returns {value!r}"
        return self._named(
            call,
            name,
            f"{said}, as `torch.{self.module}.{name}` without {self.device}.\n\n"
            f">>> ag.{self.module}.{name}({needed}){shown}\n",
        )

    def _refusal(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> NoReturn:
            raise self.error(name)

        return self._named(call, name, self._refusal_text(name, "DeviceError"))

    def _class(self, name: str, error: Callable[[str], Exception]) -> type:
        def new(cls: type, *args: Any, **kwargs: Any) -> NoReturn:
            raise error(name)

        raised = type(error(name)).__name__
        contents = {"__new__": new, "__doc__": self._refusal_text(name, raised)}
        return type(name, (), contents | {"__module__": f"argand.{self.module}"})

    def _type_error(self, name: str) -> CallError:
        return CallError(
            f"there are no tensors of ag.{self.module}.{name}: Argand computes on the CPU; use "
            f"ag.{name}"
        )

    def _refusal_text(self, name: str, raised: str) -> str:
        return (
            f"Raises {raised}, as `torch.{self.module}.{name}` raises without {self.device}.\n\n"
            f">>> ag.{self.module}.{name}()\nTraceback (most recent call last):\n"
            f"...\nargand.base.errors.{raised}: ...\n"
        )

    def _named(self, call: Callable[..., Any], name: str, text: str) -> Callable[..., Any]:
        call.__name__ = call.__qualname__ = name
        call.__module__, call.__doc__ = f"argand.{self.module}", text
        return call


_ASKED = ("accelerator", "cuda", "mps", "mtia", "xpu")


def _signature(listed: str) -> Signature:
    """Parameters written as in a `def`: ``seed, device=None``; a default is never looked at."""
    kind, parameters = Parameter.POSITIONAL_OR_KEYWORD, []
    for part in filter(None, listed.split(", ")):
        name, equals, _ = part.partition("=")
        parameters.append(Parameter(name, kind, default=None if equals else Parameter.empty))
    return Signature(parameters)


class NoStream:
    """The context of a stream of a device that isn't there: a block like any other.

    >>> with ag.cuda.stream(None):
    ...     print(1 + 1)
    2
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        """Nothing changes inside the block."""

    def __exit__(self, *exc: Any) -> None:
        """Nothing changed inside the block."""


def device_context(absent: Absent) -> type:
    """The class of contexts in which a device of a kind, by its number, is the current one."""

    class device:  # noqa: N801  # PyTorch's name
        """A block in which a device is the current one; to enter it raises DeviceError, unless the
        device is None or a negative number, which change nothing.

        >>> with ag.cuda.device(None):
        ...     print(1 + 1)
        2
        """

        def __init__(self, device: Any) -> None:
            self.idx = -1 if device is None else getattr(device, "index", device)

        def __enter__(self) -> None:
            if not isinstance(self.idx, int) or self.idx >= 0:
                raise absent.error("device")

        def __exit__(self, *exc: Any) -> None:
            """Nothing changed inside the block."""

    return device


def device_of(x: Any) -> NoStream:
    """A block in which the device of a tensor is the current one: the CPU, so nothing changes.

    >>> with ag.cuda.device_of(ag.ones(2)):
    ...     print(1 + 1)
    2
    """
    return NoStream(x)
