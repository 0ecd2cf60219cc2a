"""`argand.distributed`: a group of one process, as `torch.distributed` answers in it.

Collective calls give what they give in a group of size 1; a larger group is refused.

>>> import argand.distributed as dist
>>> dist.is_initialized()
False
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from argand.base.errors import ArgandError, ArgumentError
from argand.base.settings import of_pytorch
from argand.tensor.core import Tensor


class DistError(ArgandError, RuntimeError, ValueError):
    """A call for other processes, of which there are none."""


class _Combination(enum.Enum):
    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7


class ReduceOp:
    """What combines the tensors of processes."""

    RedOpType = _Combination
    SUM, AVG, PRODUCT = _Combination.SUM, _Combination.AVG, _Combination.PRODUCT
    MIN, MAX = _Combination.MIN, _Combination.MAX
    BAND, BOR, BXOR = _Combination.BAND, _Combination.BOR, _Combination.BXOR


@dataclass(frozen=True)
class Placement:
    """How a tensor would be spread over processes, of which there is one."""


@dataclass(frozen=True)
class Replicate(Placement):
    """Each process has all of it."""


@dataclass(frozen=True)
class Shard(Placement):
    """Each process has a part along a dimension."""

    dim: int


@dataclass(frozen=True)
class Partial(Placement):
    """Each process has a part of a sum."""

    reduce_op: str = "sum"


class Backend(str):
    """The name of a way of communicating; none is used."""

    GLOO, NCCL, MPI, UNDEFINED = "gloo", "nccl", "mpi", "undefined"


class ProcessGroup:
    """The group of this process alone."""

    def rank(self) -> int:
        """0."""
        return 0

    def size(self) -> int:
        """1."""
        return 1


class Work:
    """A collective call, which is complete."""

    def wait(self, timeout: Any = None) -> bool:
        """True: it is complete."""
        return True

    def is_completed(self) -> bool:
        """True."""
        return True


class group:  # noqa: N801  # PyTorch's name
    """The groups that have names."""

    WORLD: ProcessGroup | None = None


class GroupMember:
    """The group of all processes, and the mark of those that are in none."""

    WORLD: ProcessGroup | None = None
    NON_GROUP_MEMBER = -100


default_pg_timeout = datetime.timedelta(minutes=30)


def is_available() -> bool:
    """True: programs that ask may use a group of one process.

    >>> import argand.distributed as dist
    >>> dist.is_available()
    True
    """
    return True


def is_initialized() -> bool:
    """Whether `init_process_group` was called."""
    return group.WORLD is not None


def init_process_group(
    backend: Any = None,
    init_method: str | None = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    **options: Any,
) -> None:
    """Make the group of this process; a `world_size` beyond 1 is refused.

    >>> import argand.distributed as dist
    >>> dist.init_process_group("gloo", rank=0, world_size=1)
    >>> dist.get_world_size()
    1
    >>> dist.destroy_process_group()
    """
    size = world_size if world_size >= 0 else int(of_pytorch("WORLD_SIZE") or 1)
    if size > 1:
        raise DistError(
            f"init_process_group: a group of {size} processes is not there; a program runs in one "
            "process, on all its cores: set world_size (or WORLD_SIZE) to 1"
        )
    if is_initialized():
        raise DistError("init_process_group: the group is there already")
    group.WORLD = GroupMember.WORLD = ProcessGroup()


def destroy_process_group(group: Any = None) -> None:
    """Forget the group."""
    _forget()


def _forget() -> None:
    group.WORLD = GroupMember.WORLD = None


def _check() -> None:
    if not is_initialized():
        raise DistError("the process group is not there: call init_process_group first")


def get_rank(group: Any = None) -> int:
    """0, the number of this process."""
    _check()
    return 0


def get_world_size(group: Any = None) -> int:
    """1, the number of processes."""
    _check()
    return 1


def get_backend(group: Any = None) -> str:
    """The name of a backend; none communicates."""
    _check()
    return "gloo"


def new_group(ranks: Any = None, *args: Any, **options: Any) -> ProcessGroup:
    """The group of this process."""
    _check()
    return ProcessGroup()


def is_gloo_available() -> bool:
    """False: there is no communication."""
    return False


def is_nccl_available() -> bool:
    """False: there is no GPU."""
    return False


def is_mpi_available() -> bool:
    """False: there is no communication."""
    return False


def is_torchelastic_launched() -> bool:
    """False: nobody starts several processes."""
    return False


def _done(async_op: bool) -> Work | None:
    _check()
    return Work() if async_op else None


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Nothing is waited for."""
    return _done(async_op)


def all_reduce(
    tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Nothing changes: the sum, mean or maximum over one process is the tensor itself."""
    return _done(async_op)


def reduce(
    tensor: Tensor, dst: int = 0, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Nothing changes."""
    return _done(async_op)


def broadcast(
    tensor: Tensor, src: int = 0, group: Any = None, async_op: bool = False
) -> Work | None:
    """Nothing changes."""
    _check_rank("broadcast", src)
    return _done(async_op)


def all_gather(
    tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """The tensor, into the only one of the list."""
    _check_one("all_gather", tensor_list)
    tensor_list[0].copy_(tensor)
    return _done(async_op)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """The tensor, into the other one."""
    output_tensor.copy_(input_tensor.reshape(output_tensor.shape))
    return _done(async_op)


def gather(
    tensor: Tensor,
    gather_list: list[Tensor] | None = None,
    dst: int = 0,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """The tensor, into the only one of the list."""
    _check_one("gather", gather_list or [])
    assert gather_list is not None
    gather_list[0].copy_(tensor)
    return _done(async_op)


def scatter(
    tensor: Tensor,
    scatter_list: list[Tensor] | None = None,
    src: int = 0,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """The only one of the list, into the tensor."""
    _check_one("scatter", scatter_list or [])
    assert scatter_list is not None
    tensor.copy_(scatter_list[0])
    return _done(async_op)


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """The object, into the only place of the list."""
    _check_one("all_gather_object", object_list)
    _check()
    object_list[0] = obj


def gather_object(
    obj: Any, object_gather_list: list[Any] | None = None, dst: int = 0, group: Any = None
) -> None:
    """The object, into the only place of the list."""
    all_gather_object(object_gather_list or [None], obj)
    if object_gather_list is not None:
        object_gather_list[0] = obj


def broadcast_object_list(object_list: list[Any], src: int = 0, *args: Any, **kw: Any) -> None:
    """Nothing changes."""
    _check_rank("broadcast_object_list", src)
    _check()


def _check_one(name: str, tensors: list[Any]) -> None:
    if len(tensors) != 1:
        raise DistError(f"{name}: the list has {len(tensors)} places, for a group of 1 process")


def _check_rank(name: str, rank: int) -> None:
    if rank != 0:
        raise ArgumentError(f"{name}: there is no process {rank}, only 0")


def _needs_another(name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        raise DistError(f"{name} needs a second process; a program runs in one")

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "Raises an error: it needs a second process."
    return call


send, recv = _needs_another("send"), _needs_another("recv")
isend, irecv = _needs_another("isend"), _needs_another("irecv")

__all__ = [
    "Backend",
    "DistError",
    "GroupMember",
    "ProcessGroup",
    "ReduceOp",
    "Work",
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_object",
    "all_reduce",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "default_pg_timeout",
    "destroy_process_group",
    "gather",
    "gather_object",
    "get_backend",
    "get_rank",
    "get_world_size",
    "group",
    "init_process_group",
    "irecv",
    "is_available",
    "is_gloo_available",
    "is_initialized",
    "is_mpi_available",
    "is_nccl_available",
    "is_torchelastic_launched",
    "isend",
    "new_group",
    "recv",
    "reduce",
    "scatter",
    "send",
]
