"""Saving and loading without the elements of tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from argand.base.errors import ArgumentError

_skipping: ContextVar[bool] = ContextVar("skipping", default=False)


@contextmanager
def skip_data(materialize_fake_tensors: bool = False) -> Iterator[None]:
    """A block in which PyTorch's files are written and read without the elements of their tensors.

    What is saved has room for the elements, zeros, that another program may fill; what is loaded
    has zeros. Follows `torch.serialization.skip_data`, whose tensors without memory are not there:
    `materialize_fake_tensors` must be False.

    >>> import io
    >>> file = io.BytesIO()
    >>> ag.save(ag.ones(2), file)
    >>> with ag.serialization.skip_data():
    ...     ag.load(io.BytesIO(file.getvalue()))
    tensor([0., 0.])
    """
    if materialize_fake_tensors:
        raise ArgumentError("skip_data: tensors always have memory; leave materialize_fake_tensors")
    token = _skipping.set(True)
    try:
        yield
    finally:
        _skipping.reset(token)


def is_skipping() -> bool:
    """Whether elements are left out now."""
    return _skipping.get()
