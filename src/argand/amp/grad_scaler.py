"""`GradScaler`: gradients of a scaled loss, and steps that infinities are left out of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from argand.base.domains import check_counts, check_numbers
from argand.base.errors import ArgumentError, TraceError
from argand.base.notices import notice
from argand.ir.bind import tracing
from argand.ir.op import ops
from argand.tensor.core import Tensor, wrap
from argand.tensor.inplace import assign
from argand.transform.mode import no_grad


class GradScaler:
    """Multiplies the loss, so that small gradients of float16 don't vanish, and divides them again.

    ``scale(loss).backward()``, then ``step(optimizer)``, which divides the gradients and steps if
    all are finite, then ``update()``, which makes the scale smaller when some were not and larger
    after `growth_interval` steps in which all were. ``unscale_(optimizer)`` divides before, for
    clipping. With a `device` other than "cpu" it is disabled, with a warning. As
    `torch.amp.GradScaler`.

    >>> w = nn.Parameter(ag.tensor([1.0]))
    >>> opt, scaler = optim.SGD([w], lr=0.1), ag.amp.GradScaler("cpu", init_scale=4.0)
    >>> scaler.scale((3 * w).sum()).backward()
    >>> w.grad
    tensor([12.])
    >>> scaler.step(opt); scaler.update()
    >>> w.detach()
    tensor([0.7000])
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled and device != "cpu":
            notice(
                f"GradScaler({device!r}) is disabled: Argand computes on the CPU; use "
                "GradScaler('cpu')",
            )
            enabled = False
        self._enabled = bool(enabled)
        check_numbers("(0, inf)", init_scale=init_scale, backoff_factor=backoff_factor)
        self.set_growth_factor(growth_factor)
        self.set_backoff_factor(backoff_factor)
        self.set_growth_interval(growth_interval)
        self._scale = wrap(np.array(init_scale, np.float32))  # compiled functions read it
        self._growth_tracker = 0
        self._found: dict[int, bool] = {}  # by optimizer: whether its gradients are not all finite
        self._stepped: set[int] = set()

    def scale(self, outputs: Any) -> Any:
        """Tensors, or a list of them, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if isinstance(outputs, Iterable):
            scaled = (self.scale(each) for each in outputs)
            return type(outputs)(scaled) if isinstance(outputs, list | tuple) else scaled
        raise ValueError("GradScaler.scale takes a Tensor, or several")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer by the scale; once between two updates."""
        if not self._enabled:
            return
        if tracing():
            raise TraceError(
                "GradScaler looks at the values of gradients, and a compiled function doesn't know "
                "them; compile the forward and the backward, and step outside"
            )
        if id(optimizer) in self._stepped:
            raise RuntimeError("unscale_() is called after step()")
        if id(optimizer) in self._found:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()"
            )
        self._found[id(optimizer)] = self._unscaled(optimizer)

    def _unscaled(self, optimizer: Any) -> bool:
        """Divide the gradients; whether one is not finite."""
        found = False
        inverse = 1.0 / float(self._scale)
        with no_grad():
            for p in (p for group in optimizer.param_groups for p in group["params"]):
                if p.grad is None:
                    continue
                if p.grad.dtype.name == "float16":
                    raise ValueError("GradScaler can't unscale float16 gradients")
                found = found or not bool(ops.all(ops.isfinite(p.grad)))
                assign(p.grad, ops.mul(p.grad, inverse))
        return found

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step()`` with gradients divided by the scale, unless one is not finite."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("GradScaler.step takes no closure")
        if id(optimizer) in self._stepped:
            raise RuntimeError("step() has already been called since the last update()")
        if id(optimizer) not in self._found:
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        return None if self._found[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Adapt the scale to what the steps since the last update found, or set it."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._set(float(new_scale))
        elif not self._found:
            raise AssertionError("GradScaler.update comes after step(): no gradients were checked")
        elif any(self._found.values()):
            self._set(self.get_scale() * self._backoff_factor)
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                grown = np.float32(self.get_scale() * self._growth_factor)
                if np.isfinite(grown):
                    self._set(float(grown))
                self._growth_tracker = 0
        self._found.clear()
        self._stepped.clear()

    def _set(self, scale: float) -> None:
        with no_grad():
            self._scale.fill_(scale)

    def get_scale(self) -> float:
        """The scale; 1 when disabled."""
        return float(self._scale) if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """The factor by which the scale grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set the factor by which the scale grows."""
        check_numbers("(1, inf)", growth_factor=new_factor)
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """The factor by which the scale shrinks."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set the factor by which the scale shrinks."""
        check_numbers("(0, 1)", backoff_factor=new_factor)
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """How many steps with finite gradients make the scale grow."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set how many steps with finite gradients make the scale grow."""
        check_counts(1, growth_interval=new_interval)
        self._growth_interval = new_interval

    def is_enabled(self) -> bool:
        """Whether it does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes, under PyTorch's keys; empty when disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a scaler stopped, here or in PyTorch."""
        if not self._enabled:
            return
        missing = set(self.state_dict()) - set(state_dict)
        if missing:
            raise ArgumentError(
                f"the state of a GradScaler lacks {', '.join(sorted(missing))}; was it saved by a "
                "disabled one?"
            )
        self._set(float(state_dict["scale"]))
        self.set_growth_factor(state_dict["growth_factor"])
        self.set_backoff_factor(state_dict["backoff_factor"])
        self.set_growth_interval(state_dict["growth_interval"])
        self._growth_tracker = int(state_dict["_growth_tracker"])
