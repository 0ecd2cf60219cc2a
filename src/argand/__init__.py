"""Argand: deep learning, define-by-run and compiled to native code, in pure Python.

>>> import argand as ag
>>> x = ag.tensor([1.0, 2.0], requires_grad=True)
>>> (x**2).sum().backward()
>>> x.grad
tensor([2., 4.])
"""

from __future__ import annotations

import importlib
import math as _math
from typing import Any

import argand.ops as _ops  # noqa: F401  # fills the registry
from argand.base.dim import Dim
from argand.base.dtype import (
    DType as dtype,  # noqa: N813  # PyTorch's name
)
from argand.base.dtype import (
    bfloat16,
    bool_,
    complex64,
    complex128,
    float8_e4m3fn,
    float8_e4m3fnuz,
    float8_e5m2,
    float8_e5m2fnuz,
    float8_e8m0fnu,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
    uint16,
    uint32,
    uint64,
)
from argand.base.errors import ArgandError
from argand.base.errors import unknown_name as _unknown_name
from argand.base.layout import jagged, layout, sparse_coo, sparse_csc, sparse_csr, strided
from argand.base.naming import published as _published
from argand.base.settings import settings
from argand.ir.overrides import open_to_all as _open_to_all
from argand.runtime.threads import get_num_threads, set_num_threads
from argand.tensor.core import Size, Tensor
from argand.tensor.device import device
from argand.tensor.generators import Generator, default_generator
from argand.tensor.legacy import (
    BFloat16Tensor,
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
    set_default_tensor_type,
)
from argand.tensor.surface import functions as _functions
from argand.tensor.switches import (
    are_deterministic_algorithms_enabled,
    can_cast,
    get_default_device,
    get_deterministic_debug_mode,
    get_float32_matmul_precision,
    is_deterministic_algorithms_warn_only_enabled,
    result_type,
    set_default_device,
    set_deterministic_debug_mode,
    set_float32_matmul_precision,
    use_deterministic_algorithms,
)
from argand.transform.mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from argand.version import __version__ as __version__

# Other names of the dtypes; from here on `bool`, `int` and `float` are not Python's.
half, double = float16, float64
short, long = int16, int64
cfloat, cdouble = complex64, complex128
bool, int, float = bool_, int32, float32

pi, e, inf, nan, newaxis = _math.pi, _math.e, _math.inf, _math.nan, None

# Memory formats are PyTorch's hints; ours are chosen by the compiler.
contiguous_format, preserve_format = "contiguous_format", "preserve_format"
channels_last = "channels_last"
channels_last_3d = "channels_last_3d"

globals().update(_functions)
can_cast, promote_types = _open_to_all(can_cast), _open_to_all(promote_types)
result_type = _open_to_all(result_type)
_published("argand", {f.__name__: f for f in (can_cast, promote_types, result_type)})

# Loaded on first use: a module, or an attribute of one.
_LAZY: dict[str, tuple[str, str | None]] = (
    {
        "_C": ("argand._C", None),
        "__config__": ("argand.__config__", None),
        "accelerator": ("argand.accelerator", None),
        "array_api": ("argand.array_api", None),
        "amp": ("argand.amp", None),
        "autocast": ("argand.amp.autocast_mode", "autocast"),
        "autograd": ("argand.autograd", None),
        "backends": ("argand.backends", None),
        "compile": ("argand.compile.api", "compile"),
        "compiler": ("argand.compiler", None),
        "cond": ("argand.compile.control", "cond"),
        "cpu": ("argand.cpu", None),
        "cuda": ("argand.cuda", None),
        "data": ("argand.data", None),
        "distributed": ("argand.distributed", None),
        "distributions": ("argand.distributions", None),
        "export": ("argand.export", None),
        "fft": ("argand.fft", None),
        "fit": ("argand.fit", None),
        "func": ("argand.func", None),
        "futures": ("argand.futures", None),
        "lobpcg": ("argand._lobpcg", "lobpcg"),
        "quasirandom": ("argand.quasirandom", None),
        "vmap": ("argand.func", "vmap"),
        "fx": ("argand.fx", None),
        "get_device_module": ("argand.devices", "get_device_module"),
        "hspmm": ("argand.sparse.products", "hspmm"),
        "hub": ("argand.hub", None),
        "install_as_torch": ("argand.alias.install", "install_as_torch"),
        "io": ("argand.io", None),
        "jit": ("argand.jit", None),
        "library": ("argand.library", None),
        "linalg": ("argand.linalg", None),
        "load": ("argand.io", "load"),
        "masked": ("argand.masked", None),
        "metrics": ("argand.metrics", None),
        "mps": ("argand.mps", None),
        "mtia": ("argand.mtia", None),
        "multiprocessing": ("argand.multiprocessing", None),
        "nested": ("argand.nested", None),
        "nn": ("argand.nn", None),
        "onnx": ("argand.onnx", None),
        "optim": ("argand.optim", None),
        "overrides": ("argand.overrides", None),
        "profiler": ("argand.profiler", None),
        "random": ("argand.random", None),
        "return_types": ("argand.return_types", None),
        "save": ("argand.io", "save"),
        "serialization": ("argand.serialization", None),
        "serve": ("argand.serve", None),
        "signal": ("argand.signal", None),
        "smm": ("argand.sparse.products", "smm"),
        "sparse": ("argand.sparse", None),
        "sparse_compressed_tensor": ("argand.sparse.csr", "sparse_compressed_tensor"),
        "sparse_coo_tensor": ("argand.sparse.coo", "sparse_coo_tensor"),
        "sparse_csc_tensor": ("argand.sparse.csr", "sparse_csc_tensor"),
        "sparse_csr_tensor": ("argand.sparse.csr", "sparse_csr_tensor"),
        "special": ("argand.special", None),
        "spmm": ("argand.sparse.products", "spmm"),
        "testing": ("argand.testing", None),
        "torch_version": ("argand.torch_version", None),
        "types": ("argand.types", None),
        "utils": ("argand.utils", None),
        "vision": ("argand.vision", None),
        "while_loop": ("argand.compile.control", "while_loop"),
        "xpu": ("argand.xpu", None),
    }
    | {
        name: ("argand.amp.state", name)
        for name in (
            "autocast_decrement_nesting",
            "autocast_increment_nesting",
            "clear_autocast_cache",
            "get_autocast_cpu_dtype",
            "get_autocast_dtype",
            "get_autocast_gpu_dtype",
            "is_autocast_cache_enabled",
            "is_autocast_cpu_enabled",
            "is_autocast_enabled",
            "set_autocast_cache_enabled",
            "set_autocast_cpu_dtype",
            "set_autocast_cpu_enabled",
            "set_autocast_dtype",
            "set_autocast_enabled",
            "set_autocast_gpu_dtype",
        )
    }
    | {
        name: ("argand.base.symbolic", name)
        for name in ("sym_float", "sym_int", "sym_ite", "sym_max", "sym_min")
    }
    | {name: ("argand.base.symbolic", name) for name in ("sym_not", "sym_sqrt", "sym_sum")}
    | {
        "GradScaler": ("argand.amp", "GradScaler"),
        "adaptive_max_pool1d": ("argand.nn.functional", "adaptive_max_pool1d_with_indices"),
    }
    | {
        name: ("argand.nn.functional.native", name)
        for name in (
            "batch_norm",
            "embedding",
            "instance_norm",
            "native_batch_norm",
            "native_group_norm",
            "native_layer_norm",
        )
    }
    | {
        name: ("argand.nn.functional.sampling", name)
        for name in ("grid_sampler", "grid_sampler_2d", "grid_sampler_3d")
    }
    | {
        "max_pool2d_with_indices_backward": (
            "argand.nn.functional.indexed",
            "max_pool2d_with_indices_backward",
        )
    }
    | {
        name: ("argand.nn.functional", name)
        for name in (
            "adaptive_avg_pool1d",
            "alpha_dropout",
            "avg_pool1d",
            "avg_pool2d",
            "bilinear",
            "celu",
            "celu_",
            "channel_shuffle",
            "conv1d",
            "conv2d",
            "conv3d",
            "conv_tbc",
            "conv_transpose1d",
            "conv_transpose2d",
            "conv_transpose3d",
            "cosine_similarity",
            "dropout",
            "feature_alpha_dropout",
            "group_norm",
            "hardshrink",
            "layer_norm",
            "max_pool1d",
            "max_pool2d",
            "max_pool3d",
            "native_channel_shuffle",
            "pairwise_distance",
            "pdist",
            "pixel_shuffle",
            "pixel_unshuffle",
            "rms_norm",
            "rrelu",
            "rrelu_",
            "selu",
            "selu_",
            "threshold",
            "threshold_",
        )
    }
)


def __getattr__(name: str) -> Any:
    found = _LAZY.get(name)
    if found is None:
        raise _unknown_name("argand", name, (*__all__, *_LAZY))
    module = importlib.import_module(found[0])
    value = module if found[1] is None else getattr(module, found[1])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_LAZY})


__all__ = [
    "ArgandError",
    "BFloat16Tensor",
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "Dim",
    "DoubleTensor",
    "FloatTensor",
    "Generator",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "Size",
    "Tensor",
    "are_deterministic_algorithms_enabled",
    "bfloat16",
    "bool",
    "can_cast",
    "cdouble",
    "cfloat",
    "channels_last",
    "channels_last_3d",
    "complex128",
    "complex64",
    "contiguous_format",
    "default_generator",
    "device",
    "double",
    "dtype",
    "e",
    "enable_grad",
    "float",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float16",
    "float32",
    "float64",
    "get_default_device",
    "get_default_dtype",
    "get_deterministic_debug_mode",
    "get_float32_matmul_precision",
    "get_num_threads",
    "half",
    "inf",
    "inference_mode",
    "int",
    "int16",
    "int32",
    "int64",
    "int8",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_grad_enabled",
    "jagged",
    "layout",
    "long",
    "nan",
    "newaxis",
    "no_grad",
    "pi",
    "preserve_format",
    "promote_types",
    "result_type",
    "set_default_device",
    "set_default_dtype",
    "set_default_tensor_type",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "set_grad_enabled",
    "set_num_threads",
    "settings",
    "short",
    "sparse_coo",
    "sparse_csc",
    "sparse_csr",
    "strided",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "use_deterministic_algorithms",
    *sorted(_functions),
]
