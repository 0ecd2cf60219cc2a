"""Modules for several devices, of which there is one here: they pass through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from argand.base.errors import ArgumentError
from argand.base.notices import no_effect
from argand.ir.op import ops
from argand.nn.module import Module
from argand.tensor.core import Tensor
from argand.tensor.joining import chunk

__all__ = [
    "DataParallel",
    "DistributedDataParallel",
    "data_parallel",
    "gather",
    "parallel_apply",
    "replicate",
    "scatter",
]

_ONE = "there is one device"
_ALONE = "there is one process"


class _PassThrough(Module):
    """A module whose calls go to `module`."""

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What `module` gives."""
        return self.module(*inputs, **kwargs)


class DataParallel(_PassThrough):
    """`module` on the only device; `device_ids` and `output_device` have no effect, and say so.

    The parameters are named ``module.<name>``, as in PyTorch.

    >>> list(nn.DataParallel(nn.Linear(1, 1)).state_dict())
    ['module.weight', 'module.bias']
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__(module)
        given = {"device_ids": (device_ids, None), "output_device": (output_device, None)}
        no_effect("DataParallel", _ONE, **given)
        self.device_ids: list[int] = []
        self.output_device, self.dim = output_device, dim


class DistributedDataParallel(_PassThrough):
    """`module` in the only process; the options of how gradients are exchanged have no effect, and
    say so.

    >>> ddp = nn.parallel.DistributedDataParallel(nn.Linear(1, 1))
    >>> ddp(ag.ones(1, 1)).shape
    argand.Size([1, 1])
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        init_sync: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        delay_all_reduce_named_params: Any = None,
        param_to_hook_all_reduce: Any = None,
        mixed_precision: Any = None,
        device_mesh: Any = None,
        skip_all_reduce_unused_params: bool = False,
    ) -> None:
        super().__init__(module)
        given = {"device_ids": (device_ids, None), "output_device": (output_device, None)}
        no_effect("DistributedDataParallel", _ONE, **given)
        no_effect(
            "DistributedDataParallel",
            _ALONE,
            broadcast_buffers=(broadcast_buffers, True),
            init_sync=(init_sync, True),
            process_group=(process_group, None),
            bucket_cap_mb=(bucket_cap_mb, None),
            find_unused_parameters=(find_unused_parameters, False),
            check_reduction=(check_reduction, False),
            gradient_as_bucket_view=(gradient_as_bucket_view, False),
            static_graph=(static_graph, False),
            delay_all_reduce_named_params=(delay_all_reduce_named_params, None),
            param_to_hook_all_reduce=(param_to_hook_all_reduce, None),
            device_mesh=(device_mesh, None),
            skip_all_reduce_unused_params=(skip_all_reduce_unused_params, False),
        )
        if mixed_precision is not None:
            raise ArgumentError("DistributedDataParallel: mixed_precision is not available here")
        self.device_ids, self.output_device, self.dim = device_ids, output_device, dim

    def no_sync(self) -> Any:
        """A context in which gradients aren't exchanged, as they never are."""
        return nullcontext()


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Any = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """``module(*inputs, **module_kwargs)``: on the only device.

    >>> nn.parallel.data_parallel(nn.Identity(), ag.ones(2))
    tensor([1., 1.])
    """
    no_effect(
        "data_parallel", _ONE, device_ids=(device_ids, None), output_device=(output_device, None)
    )
    given = inputs if isinstance(inputs, tuple) else () if inputs is None else (inputs,)
    return module(*given, **(module_kwargs or {}))


def replicate(network: Module, devices: Sequence[Any], detach: bool = False) -> list[Any]:
    """The module, as often as there are devices: all of them are the one that there is.

    >>> len(nn.parallel.replicate(nn.Linear(1, 1), [0, 1]))
    2
    """
    return [network] * len(devices)


def scatter(inputs: Any, target_gpus: Sequence[Any], dim: int = 0) -> Any:
    """The parts of tensors along `dim`, one for each device; containers part by part, and what
    holds no tensor as often as there are devices.

    >>> nn.parallel.scatter(ag.arange(4), [0, 1])
    (tensor([0, 1]), tensor([2, 3]))
    """
    count = len(target_gpus)
    if isinstance(inputs, Tensor):
        return tuple(chunk(inputs, count, dim))
    if isinstance(inputs, tuple) and hasattr(inputs, "_fields"):
        return [type(inputs)(*parts) for parts in _parts(inputs, target_gpus, dim)]
    if isinstance(inputs, tuple | list) and inputs:
        return [type(inputs)(parts) for parts in _parts(inputs, target_gpus, dim)]
    if isinstance(inputs, dict) and inputs:
        columns = _parts(tuple(inputs.values()), target_gpus, dim)
        return [type(inputs)(zip(inputs, parts, strict=True)) for parts in columns]
    return [inputs] * count


def _parts(values: Sequence[Any], devices: Sequence[Any], dim: int) -> list[tuple[Any, ...]]:
    return list(zip(*(scatter(v, devices, dim) for v in values), strict=False))


def gather(outputs: Sequence[Any], target_device: Any, dim: int = 0) -> Any:
    """The tensors of several devices as one, along `dim`; containers part by part.

    >>> nn.parallel.gather([ag.tensor([1]), ag.tensor([2])], "cpu")
    tensor([1, 2])
    """
    first = outputs[0]
    if isinstance(first, Tensor):
        rows = [ops.reshape(x, (1,)) if not x.ndim else x for x in outputs]
        return ops.cat(*rows, dim=dim)
    if first is None:
        return None
    if isinstance(first, dict):
        return type(first)((k, gather([o[k] for o in outputs], target_device, dim)) for k in first)
    parts = [gather(list(p), target_device, dim) for p in zip(*outputs, strict=True)]
    return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)


def parallel_apply(
    modules: Sequence[Module],
    inputs: Sequence[Any],
    kwargs_tup: Sequence[Mapping[str, Any]] | None = None,
    devices: Sequence[Any] | None = None,
) -> list[Any]:
    """What each module gives for its inputs, one after the other.

    >>> nn.parallel.parallel_apply([nn.Identity(), nn.ReLU()], [ag.ones(1), -ag.ones(1)])
    [tensor([1.]), tensor([0.])]
    """
    named = kwargs_tup if kwargs_tup is not None else [{}] * len(inputs)
    if not len(modules) == len(inputs) == len(named):
        raise ArgumentError(f"parallel_apply: {len(modules)} modules for {len(inputs)} inputs")
    return [
        module(*(given if isinstance(given, tuple | list) else (given,)), **keywords)
        for module, given, keywords in zip(modules, inputs, named, strict=True)
    ]
