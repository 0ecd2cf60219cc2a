"""The device of a tensor. Only the CPU for now; asking for another is a clear error."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError, did_you_mean

_OTHERS = ("cuda", "mps", "xpu", "meta", "hip", "xla", "mkldnn", "vulkan", "hpu", "mtia")


class device:  # noqa: N801  # PyTorch's name  # PyTorch's name
    """Where a tensor is stored: ``device("cpu")``, the only one; ArgumentError for others.

    >>> ag.device("cpu").type
    'cpu'
    >>> ag.device("cpu") == ag.ones(2).device
    True
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __new__(cls, kind: Any = "cpu", index: int | None = None) -> device:
        if isinstance(kind, device):
            return kind
        if not isinstance(kind, str):
            raise TypeError(f"a device is named by a string such as 'cpu', got {kind!r}")
        name, _, number = kind.partition(":")
        if name in _OTHERS or isinstance(kind, int):
            raise ArgumentError(
                f"device {kind!r} is not available: Argand computes on the CPU; use device='cpu'"
            )
        if name != "cpu" or (number and not number.isdigit()):
            hint = did_you_mean(name, ("cpu", *_OTHERS))
            raise ArgumentError(f"unknown device {kind!r}{hint}")
        if index is None and not number:
            return _CPU if "_CPU" in globals() else _make("cpu", None)
        return _make("cpu", int(number) if number else index)

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


def _make(kind: str, index: int | None) -> device:
    found: device = object.__new__(device)
    found.type = kind
    found.index = index
    return found


_CPU = _make("cpu", None)


def cpu() -> device:
    """The CPU."""
    return _CPU


def check_device(wanted: Any) -> None:
    """Refuse a device that isn't there; None means the default."""
    if wanted is not None and wanted is not _CPU and wanted != "cpu":
        device(wanted)
