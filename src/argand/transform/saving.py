"""Hooks on what operations save for backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from argand.base.errors import AutogradError
from argand.ir import bind as crossroads
from argand.transform.mode import mode


class saved_tensors_hooks:  # noqa: N801  # PyTorch's name
    """Inside the block, `pack_hook(tensor)` gives what is kept in the place of each tensor that an
    operation saves for backward; `unpack_hook` of that, called by backward, gives the tensor again.

    The innermost hooks count. `pack_hook` must not write the tensor, and runs under `no_grad`; an
    operation's own result comes to it without history. What `unpack_hook` gives is not checked, but
    that it is a tensor (TypeError, in backward). A compiled function called in the block runs op by
    op. Follows `torch.autograd.graph.saved_tensors_hooks`.

    >>> def halved(t):
    ...     return t.to(ag.bfloat16)
    >>> x = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> with ag.autograd.graph.saved_tensors_hooks(halved, lambda t: t.to(ag.float32)):
    ...     y = x * x
    >>> y.sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> Any:
        if mode.saving_refused is not None:
            raise AutogradError(mode.saving_refused)
        mode.saving = (*mode.saving, (self.pack_hook, self.unpack_hook))
        crossroads.watch(1)  # the nodes that plans make know of no hooks
        return self

    def __exit__(self, *exc: object) -> None:
        crossroads.watch(-1)
        mode.saving = mode.saving[:-1]


class save_on_cpu(saved_tensors_hooks):  # noqa: N801  # PyTorch's name
    """`saved_tensors_hooks` that keep tensors on the CPU, which is where they are.

    `pin_memory` and `device_type` are PyTorch's, without effect.

    >>> x = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> with ag.autograd.graph.save_on_cpu():
    ...     (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(_same, _same)


def _same(tensor: Any) -> Any:
    return tensor


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Inside the block `saved_tensors_hooks` raises RuntimeError with this message.

    >>> with ag.autograd.graph.disable_saved_tensors_hooks("no hooks here"):
    ...     with ag.autograd.graph.save_on_cpu():
    ...         pass
    Traceback (most recent call last):
    argand.base.errors.AutogradError: no hooks here
    """
    if mode.saving:
        raise AutogradError(error_message)
    before, mode.saving_refused = mode.saving_refused, error_message
    try:
        yield
    finally:
        mode.saving_refused = before


class _Copies(saved_tensors_hooks):
    """Hooks that keep a copy of each tensor."""

    def __init__(self) -> None:
        super().__init__(lambda t: t.clone(), _same)

    def clear(self) -> None:
        """Nothing to do: the copies are the tape's."""


def allow_mutation_on_saved_tensors() -> Any:
    """Inside the block, what backward needs may be overwritten: operations save copies.

    PyTorch copies a tensor when it is overwritten, this when it is saved: more memory, the same
    gradients. Follows `torch.autograd.graph.allow_mutation_on_saved_tensors`.

    >>> x = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> with ag.autograd.graph.allow_mutation_on_saved_tensors():
    ...     y = x * 1
    ...     z = y * y
    ...     _ = y.zero_()
    >>> z.sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """
    return _Copies()
