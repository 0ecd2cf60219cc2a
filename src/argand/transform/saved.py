"""What a node of the tape keeps of tensors: themselves, their memory, or what a hook made of them.

The tape knows tensors only through a few attributes (`_node`, `_index`, `_version`, `shadow`).
"""

from __future__ import annotations

import weakref
from typing import Any, ClassVar

from argand.base.dtype import DType
from argand.base.errors import AutogradError
from argand.base.userstack import Location, Place, location_of
from argand.transform.mode import mode, no_grad


class StandIn:
    """The dtype and shape of a value that was not saved."""

    __slots__ = ("dtype", "shape")

    def __init__(self, dtype: DType, shape: Any) -> None:
        self.dtype = dtype
        self.shape = shape


class Saved:
    """A tensor saved for backward, and the version that it had."""

    __slots__ = ("tensor", "version")

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor
        self.version = tensor._version

    def value(self, node: Any) -> Any:
        """The tensor; an error when its memory has been overwritten since."""
        tensor = self.tensor
        if tensor._version != self.version:
            what = f"a {tensor.dtype.name} operand of shape {tuple(tensor.shape)}"
            raise _overwritten(node, what, tensor._overwritten_at)
        return self.tensor


class SavedOutput:
    """An output saved for backward. Its memory, not the tensor: that would hold its own node.

    The tensor is looked at for its version only, as long as it lives; a write tells the node that
    made it (`Node.output_is_lost`), which may outlive it.
    """

    __slots__ = ("array", "kind", "lost", "tensor", "value", "version")

    def __init__(self, tensor: Any) -> None:
        self.kind = type(tensor)
        self.array = tensor._array
        self.tensor = weakref.ref(tensor)
        self.version = tensor._version
        self.lost: tuple[Place | None] | None = None
        self.value = None if self.array is not None else tensor._symbolic()

    def remade(self, node: Any, index: int) -> Any:
        """The output again; an error when its memory has been overwritten since."""
        if self.lost is not None:
            raise _overwritten(node, "its own result", location_of(self.lost[0]))
        tensor = self.tensor()
        if tensor is not None and tensor._version != self.version:
            raise _overwritten(node, "its own result", tensor._overwritten_at)
        graph = node if mode.enabled else None
        return self.kind._remade(self.array, self.value, graph, index)


def _overwritten(node: Any, what: str, where: Location | None) -> AutogradError:
    return AutogradError(
        f"the backward of {node.op.name} needs {what}, which has been overwritten in place since"
        + (f", at {where}" if where else "")
        + "; use the out-of-place operation there, or clone() the tensor before"
    )


class Packed:
    """What the hooks of `saved_tensors_hooks` keep in the place of a tensor.

    What they give back is put where the tensor was on the tape.
    """

    __slots__ = ("packed", "source", "unpack")

    made: ClassVar[bool] = False  # whether there ever was one

    def __init__(self, tensor: Any) -> None:
        pack, self.unpack = mode.saving[-1]
        self.source = weakref.ref(tensor)
        Packed.made = True
        version = tensor._version
        with no_grad():
            self.packed = pack(tensor)
        if tensor._version != version:
            raise AutogradError(
                "a saved tensor pack hook is modifying its input in place, which the operation's "
                "result and backward would see; let it work on x.clone()"
            )

    def value(self) -> Any:
        """The tensor that the hook gives back."""
        tensor = self.unpack(self.packed)
        if not hasattr(tensor, "_tape"):
            raise TypeError(
                "the output of a saved tensor unpack_hook must be a Tensor, got "
                f"{type(tensor).__name__}"
            )
        return tensor


def keep(tensor: Any) -> Saved | Packed:
    """What keeps a tensor: itself, or what the hooks make of it."""
    return Packed(tensor) if mode.saving else Saved(tensor)


def keep_output(tensor: Any) -> SavedOutput | Packed:
    """What keeps an output: its memory, or what the hooks make of an alias apart from its node,
    which the tensor itself would keep alive."""
    return Packed(tensor.shadow()) if mode.saving else SavedOutput(tensor)
