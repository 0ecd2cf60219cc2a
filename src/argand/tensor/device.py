"""Devices: any of PyTorch's can be named, and tensors are on the CPU. To use another is an error
that says so."""

from __future__ import annotations

import threading
from typing import Any, NoReturn

from argand.base.errors import ArgumentError, DeviceError, did_you_mean
from argand.ir.bind import watch

_TYPES = (
    *("cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga"),
    *("maia", "xla", "lazy", "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone"),
)


class device:  # noqa: N801  # PyTorch's name
    """Names where tensors are: ``device("cuda:1")``, ``device("cuda", 1)``, ``device(type="cpu")``.

    Every device of PyTorch's can be named, compared, printed and hashed, so programs that choose
    one run as they are; only "cpu" can be used, and "meta" for tensors without values (see
    `Tensor.is_meta`); any other raises DeviceError when a tensor or a module is to be there. A
    number alone means an accelerator, and there is none: DeviceError. ``with ag.device("cpu"):``
    makes it the default device of the block. Raises ArgumentError for a name that is none. As
    `torch.device`.

    >>> ag.device("cuda:1").type, ag.device("cuda:1").index
    ('cuda', 1)
    >>> ag.device("cuda" if ag.cuda.is_available() else "cpu") == ag.ones(2).device
    True
    """

    __slots__ = ("_index", "_type")

    _type: str
    _index: int | None

    def __new__(cls, type: Any = None, index: int | None = None, *, device: Any = None) -> device:
        named = device if type is None else type
        if isinstance(named, cls) and index is None:
            return named
        if isinstance(named, int) and index is None:
            _refuse_number(named)
        if not isinstance(named, str):
            raise TypeError(f"a device is named by a string such as 'cpu', got {named!r}")
        kind, number = _parsed(named)
        if index is not None:
            if number is not None:
                raise ArgumentError(f"device({named!r}, {index!r}) names the index twice")
            number = _checked_index(index)
        return _make(kind, number)

    @property
    def type(self) -> str:
        """The kind of device.

        >>> ag.device("cuda:1").type
        'cuda'
        """
        return self._type

    @property
    def index(self) -> int | None:
        """Which one of its kind; None for the current one.

        >>> ag.device("cuda:1").index
        1
        """
        return self._index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        number = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{number})"

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (str(self),)

    def __enter__(self) -> device:
        _check_default(self)
        _default.stack.append(self)
        watch(self.type == "meta")  # calls that make tensors have to look at it
        return self

    def __exit__(self, *exc: Any) -> None:
        watch(-(_default.stack.pop().type == "meta"))


def _make(kind: str, index: int | None) -> device:
    found: device = object.__new__(device)
    found._type, found._index = kind, index
    return found


_CPU = _make("cpu", None)


class _Default(threading.local):
    """The devices that were made the default one, the innermost last."""

    def __init__(self) -> None:
        self.stack = [_CPU]


_default = _Default()


def _parsed(name: str) -> tuple[str, int | None]:
    """The kind and the number of a device written as "kind" or "kind:number"."""
    kind, colon, number = name.partition(":")
    if kind not in _TYPES:
        hint = did_you_mean(kind, _TYPES)
        raise ArgumentError(f"unknown device {name!r}: expected one of {', '.join(_TYPES)}{hint}")
    if not colon:
        return kind, None
    if not (number.isascii() and number.isdigit()) or number != str(int(number)):
        raise ArgumentError(
            f"unknown device {name!r}: after the colon comes a number, as in cuda:0"
        )
    return kind, int(number)


def _checked_index(index: Any) -> int:
    if not isinstance(index, int):
        raise TypeError(f"the index of a device is a number, got {index!r}")
    if index < 0:
        raise ArgumentError(f"the index of a device is 0 or more, got {index}")
    return index


def _refuse_number(index: int) -> NoReturn:
    _checked_index(index)
    raise DeviceError(
        f"device {index} is an accelerator, and there is none: Argand computes on the CPU; use "
        "device='cpu'"
    )


def cpu() -> device:
    """The CPU."""
    return _CPU


def default_device() -> device:
    """The device of new tensors in this thread."""
    return _default.stack[-1]


def make_default(wanted: Any) -> None:
    """Have new tensors of this thread on a device; None means the CPU."""
    _check_default(wanted)
    before = _default.stack[-1]
    made = _default.stack[-1] = _CPU if wanted is None else device(wanted)
    watch((made.type == "meta") - (before.type == "meta"))


def _check_default(wanted: Any) -> None:
    if not is_meta_device(wanted):
        check_device(wanted)


def is_meta_device(wanted: Any) -> bool:
    """Whether a device, or the name of one, is that of tensors without values."""
    if wanted is None or wanted is _CPU or wanted == "cpu":
        return False
    return device(wanted).type == "meta"


def check_device(wanted: Any) -> None:
    """Refuse a device that isn't there; None means the default."""
    if wanted is None or wanted is _CPU or wanted == "cpu":
        return
    named = device(wanted)
    if named.type != "cpu":
        raise DeviceError(
            f"device {str(named)!r} is not available: Argand computes on the CPU; use "
            f"device='cpu'{_HINTS.get(named.type, '')}"
        )


_HINTS = {
    kind: f", or choose with `'{kind}' if ag.{kind}.is_available() else 'cpu'`"
    for kind in ("cuda", "mps", "xpu", "mtia")
}
_HINTS["meta"] = "; what is without values stays so"
