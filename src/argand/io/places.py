"""`map_location`: where the storages of a file go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.errors import ArgumentError, DeviceError
from argand.io.storages import Storage
from argand.tensor.device import check_device, device

Placer = Callable[[Storage, str], Storage]


def placer(map_location: Any, name: str) -> Placer:
    """What puts a storage where `map_location` says: a device, a function of the storage and the
    place that it was saved at, or a dictionary of such places.

    Raises DeviceError for a place that is not there.
    """
    if map_location is None:
        return lambda storage, location: _placed(storage, location, name)
    if isinstance(map_location, str | device):
        check_device(map_location)
        return lambda storage, location: storage
    if isinstance(map_location, dict):
        return lambda storage, location: _placed(
            storage, str(map_location.get(location, location)), name
        )
    if not callable(map_location):
        raise TypeError(
            "map_location must be a device, its name, a dictionary of names or a function, got "
            f"{type(map_location).__name__}"
        )
    return lambda storage, location: _chosen(map_location, storage, location, name)


def check_place(map_location: Any, name: str) -> None:
    """Refuse a place that is not there, for a file that doesn't say where its tensors were."""
    if isinstance(map_location, dict) or callable(map_location):
        raise ArgumentError(
            f"{name}: it does not say on which devices its tensors were, so map_location can only "
            "be a device"
        )
    placer(map_location, name)


def _placed(storage: Storage, location: str, name: str) -> Storage:
    try:
        check_device(location)
    except ArgumentError:
        raise DeviceError(
            f"{name}: its tensors were saved on {location!r}, and Argand computes on the CPU; "
            "load them with map_location='cpu'"
        ) from None
    return storage


def _chosen(choose: Any, storage: Storage, location: str, name: str) -> Storage:
    chosen = choose(storage, location)
    if chosen is None:
        return _placed(storage, location, name)
    if not isinstance(chosen, Storage):
        raise TypeError(
            f"map_location must return the storage that it is given, or None, got "
            f"{type(chosen).__name__}"
        )
    return chosen


__all__ = ["Placer", "check_place", "placer"]
