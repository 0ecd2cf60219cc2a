"""What a checkpoint is made of: the state of anything that training depends on."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from argand.base.errors import ArgandError
from argand.data.fetch import stateful
from argand.data.randomness import PROCESS
from argand.nn.module import Module
from argand.optim.optimizer import Optimizer
from argand.optim.saved import saved_groups
from argand.tensor.core import Tensor
from argand.tensor.generators import Generator, default_generator

_SHOWN = 5


class CheckpointError(ArgandError, RuntimeError, ValueError):
    """A checkpoint that does not fit the program, or none that is whole; nothing was loaded.

    >>> issubclass(ag.fit.CheckpointError, RuntimeError)
    True
    """


class _Kind:
    """How the state of one kind of object is taken and given back."""

    def __init__(
        self,
        fits: Callable[[Any], bool],
        take: Callable[[Any], Any],
        give: Callable[[Any, Any], Any],
    ) -> None:
        self.fits, self.take, self.give = fits, take, give


def _refill(x: Any, items: Any) -> None:
    x.clear()
    (x.extend if isinstance(x, list | deque) else x.update)(items)


_KINDS = (
    _Kind(stateful, lambda x: x.state_dict(), lambda x, s: x.load_state_dict(s)),
    _Kind(
        lambda x: isinstance(x, Generator),
        lambda x: x.get_state(),
        lambda x, s: x.set_state(s),
    ),
    _Kind(
        lambda x: isinstance(x, random.Random),
        lambda x: x.getstate(),
        lambda x, s: x.setstate(s),
    ),
    _Kind(
        lambda x: isinstance(x, np.random.Generator),
        lambda x: x.bit_generator.state,
        lambda x, s: setattr(x.bit_generator, "state", s),
    ),
    _Kind(
        lambda x: isinstance(x, np.random.RandomState),
        lambda x: x.get_state(legacy=False),
        lambda x, s: x.set_state(s),
    ),
    _Kind(lambda x: isinstance(x, dict | set), lambda x: x, _refill),
    _Kind(lambda x: isinstance(x, list | deque), list, _refill),
)


def _kind_of(part: Any) -> _Kind | None:
    return next((kind for kind in _KINDS if kind.fits(part)), None)


def check_part(name: str, part: Any) -> None:
    """Refuse an object whose state can't be taken."""
    if _kind_of(part) is None:
        raise TypeError(
            f"{name}: a {type(part).__name__} has no state that can be kept: expected an object "
            "with state_dict() and load_state_dict(), a generator of random numbers, or a list, "
            "dict or set, which is filled again; plain values go to save(step, name=value)"
        )


def state_of(part: Any) -> Any:
    """The state of an object."""
    kind = _kind_of(part)
    assert kind is not None
    return kind.take(part)


def restore(part: Any, state: Any) -> None:
    """Give an object a state that `state_of` returned."""
    kind = _kind_of(part)
    assert kind is not None
    kind.give(part, state)


# -- whether a state fits --------------------------------------------------------------------------


def title(part: Any) -> str:
    """What a checkpoint says of a part beside its state: the class, where another one's state would
    do harm."""
    return type(part).__name__ if isinstance(part, Optimizer) else ""


def misfit(part: Any, state: Any, made_by: str) -> str:
    """Why a state is not one of this object, or nothing."""
    if isinstance(part, Module):
        return _other_model(part, state)
    if isinstance(part, Optimizer):
        if made_by not in ("", title(part)):
            return f"it is of {made_by}, and the program has {title(part)}"
        try:
            saved_groups(state, part.param_groups)
        except (TypeError, ValueError) as e:
            return str(e)
    wanted = _container(part)
    if wanted is not None and _container(state) is not wanted:
        return f"it is a {type(state).__name__}, and the program has a {type(part).__name__}"
    return ""


def _container(x: Any) -> type | None:
    """What kind of plain container something is, which is filled again from one of its kind."""
    if stateful(x):
        return None
    kinds = (dict, dict), (set, set), (list | deque, list)
    return next((kind for classes, kind in kinds if isinstance(x, classes)), None)


def _other_model(model: Any, state: Any) -> str:
    if not isinstance(state, Mapping):
        return "it is of something else than a model"
    ours, theirs = _shapes(model.state_dict()), _shapes(state)
    unlike = [
        f"{name} {theirs[name]} instead of {ours[name]}"
        for name in ours
        if name in theirs and ours[name] != theirs[name]
    ]
    only_ours = [f"{name} {ours[name]}" for name in ours if name not in theirs]
    only_theirs = [f"{name} {theirs[name]}" for name in theirs if name not in ours]
    parts = [
        _listed("only the model has", only_ours),
        _listed("only the checkpoint has", only_theirs),
        _listed("of another shape in the checkpoint", unlike),
    ]
    return "it is of another model:" + "".join(parts) if any(parts) else ""


def _shapes(state: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: str(tuple(x.shape)) if isinstance(x, Tensor) else type(x).__name__
        for name, x in state.items()
    }


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"\n  {what}: {', '.join(names[:_SHOWN])}{more}"


def missing_parts(saved: Iterable[str], asked: Iterable[str]) -> str:
    """Which parts only a checkpoint, or only the program has; nothing where they are the same."""
    saved, asked = list(saved), list(asked)
    lacking = [name for name in asked if name not in saved]
    over = [name for name in saved if name not in asked]
    said = [f"it has no {', '.join(lacking)}"] if lacking else []
    said += [f"the program does not keep its {', '.join(over)}"] if over else []
    return "; ".join(said)


# -- random numbers --------------------------------------------------------------------------------


def random_state() -> dict[str, Any]:
    """The states of the global generators: Argand's, Python's and NumPy's."""
    return {
        "argand": default_generator.states(),
        "python": PROCESS["python"].get(),
        "numpy": PROCESS["numpy"].get(),
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Go back to what `random_state` returned."""
    default_generator.set_states(state["argand"])
    PROCESS["python"].set(state["python"])
    PROCESS["numpy"].set(state["numpy"])
