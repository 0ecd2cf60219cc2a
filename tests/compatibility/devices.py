"""What Argand answers for devices and libraries that are not there, against PyTorch without them.

    python tests/compatibility/devices.py            # what differs
    python tests/compatibility/devices.py --write    # the table in docs/compatibility.md

It needs an interpreter with torch 2.13 (CPU) and Argand. Every public name of `torch.cuda`,
`torch.backends` and the like is looked up, and called where it is a function: the value must be the
same, or the error of PyTorch's type. Where PyTorch only fails by accident (a function that it was
built without), any error of ours will do.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
PAGE = HERE.parents[2] / "docs" / "compatibility.md"
BEGIN, END = "<!-- devices: begin -->", "<!-- devices: end -->"

# The names to walk; None: those that the module lists.
NAMESPACES: dict[str, str | None] = {
    "accelerator": None,
    "amp": None,
    "backends.cpu": None,
    "backends.cuda": None,
    "backends.cudnn": "allow_tf32 benchmark benchmark_limit deterministic enabled flags "
    "fp32_precision is_acceptable is_available set_flags version",
    "backends.cusparselt": None,
    "backends.kleidiai": "is_available",
    "backends.mha": "get_fastpath_enabled set_fastpath_enabled",
    "backends.miopen": "flags immediate set_flags",
    "backends.mkl": "VERBOSE_OFF VERBOSE_ON is_available verbose",
    "backends.mkldnn": "VERBOSE_OFF VERBOSE_ON VERBOSE_ON_CREATION allow_tf32 deterministic "
    "enabled flags fp32_precision is_acl_available is_available set_flags verbose",
    "backends.mps": None,
    "backends.nnpack": None,
    "backends.openmp": "is_available",
    "backends.opt_einsum": "enabled get_opt_einsum is_available strategy",
    "backends.quantized": "engine supported_engines",
    "cpu": None,
    "cpu.amp": "GradScaler autocast",
    "cuda": None,
    "cuda.amp": None,
    "cuda.memory": None,
    "cuda.nvtx": "mark range range_end range_pop range_push range_start",
    "cuda.random": None,
    "mps": None,
    "mtia": None,
    "nn.attention": None,
    "version": "__version__ cuda debug hip rocm xpu",
    "xpu": None,
}

# What is missing on purpose.
LEFT_OUT = {
    "machinery of CUDA": "backends.cuda.SDPAParams backends.cuda.cuFFTPlanCache "
    "backends.cuda.cuFFTPlanCacheAttrContextProp backends.cuda.cuFFTPlanCacheManager "
    "cuda.CudaError cuda.DeferredCudaCallError cuda.GreenContext cuda.caching_allocator_disabled "
    "cuda.cudaStatus cuda.graphs cuda.jiterator cuda.memory.caching_allocator_disabled cuda.nccl "
    "cuda.profiler cuda.sparse cuda.streams cuda.tunable mps.profiler xpu.streams",
    "storages of CUDA's memory": " ".join(
        f"cuda.{kind}Storage"
        for kind in [
            "BFloat16",
            "Bool",
            "Byte",
            "Char",
            "ComplexDouble",
            "ComplexFloat",
            "Double",
            "Float",
            "Half",
            "Int",
            "Long",
            "Short",
        ]
    ),
    "a registry of other people's kernels": "nn.attention.WARN_FOR_UNFUSED_KERNELS "
    "nn.attention.activate_flash_attention_impl nn.attention.current_flash_attention_impl "
    "nn.attention.list_flash_attention_impls nn.attention.register_flash_attention_impl "
    "nn.attention.restore_flash_attention_impl",
}

# Answers that are Argand's own.
DIFFERENT = {
    "PyTorch is linked with the library, Argand is not": "backends.mkl.is_available "
    "backends.mkldnn.is_available backends.nnpack.is_available backends.nnpack.set_flags "
    "backends.openmp.is_available backends.quantized.engine backends.quantized.supported_engines",
    "the version is Argand's": "version.__version__",
    "a number that chooses among CUDA's libraries": "backends.cuda.preferred_blas_library "
    "backends.cuda.preferred_linalg_library backends.cuda.preferred_rocm_fa_library",
    "PyTorch gives a text that says that the driver's package is missing, Argand raises": (
        "cuda.list_gpu_processes cuda.memory.list_gpu_processes"
    ),
    "raised at the call; by PyTorch on entering the block, or never": "cuda.nvtx.range "
    "cuda.use_mem_pool cuda.memory.use_mem_pool xpu.use_mem_pool",
}

# What functions are called with; nothing where none is listed.
ARGUMENTS = {
    **dict.fromkeys(("manual_seed", "manual_seed_all"), (1,)),
    **dict.fromkeys(("set_device", "set_device_idx", "set_device_index"), (0,)),
    **dict.fromkeys(("get_device_name", "get_device_properties", "get_device_capability"), (0,)),
    **dict.fromkeys(("device", "device_index", "stream", "StreamContext", "verbose"), (0,)),
    **dict.fromkeys(("set_stream", "check_error", "caching_allocator_alloc"), (0,)),
    **dict.fromkeys(("caching_allocator_delete", "get_stream_from_external"), (0,)),
    **dict.fromkeys(("CUDAPluggableAllocator", "XPUPluggableAllocator"), ("a", "b", "c")),
    **dict.fromkeys(("change_current_allocator", "use_mem_pool", "graph"), (None,)),
    **dict.fromkeys(("enable_cudnn_sdp", "enable_flash_sdp", "enable_math_sdp"), (True,)),
    **dict.fromkeys(("enable_mem_efficient_sdp", "set_fastpath_enabled"), (True,)),
    **dict.fromkeys(("mark", "range", "range_push", "range_start"), ("text",)),
    **dict.fromkeys(("compile_shader", "load_metallib"), ("text",)),
    **dict.fromkeys(("can_device_access_peer", "is_macos_or_newer"), (0, 0)),
    "ExternalStream": (0,),
    "SDPBackend": (1,),
    "allow_fp16_bf16_reduction_math_sdp": (False,),
    "attach_out_of_memory_observer": (print,),
    "autocast": ("cpu",),
    "get_memory_info": (0,),
    "is_autocast_available": ("cpu",),
    "make_graphed_callables": (print, ()),
    "range_end": (0,),
    "sdpa_kernel": ([],),
    "set_per_process_memory_fraction": (0.5,),
    "set_rng_state_all": ([None],),
    "set_sync_debug_mode": (0,),
    "set_flags": (True,),
}
# Tensors are made by each side: these take one.
ON_TENSORS = ("device_of", "is_acceptable", "set_rng_state")
# Functions that others take; modules and classes are present, and that is all there is to compare.
PRESENT = {"custom_bwd", "custom_fwd", "can_use_cudnn_attention", "can_use_efficient_attention"}
PRESENT |= {"can_use_flash_attention", "cuBLASModule"}
PRESENT |= {"mps.Event"}  # PyTorch fails to make one, and fails again when it deletes it
_ACCIDENTS = (AttributeError, KeyError, TypeError, ImportError, OSError)


def names(namespace: str, torch: Any) -> list[str]:
    """The public names of a namespace of PyTorch."""
    listed = NAMESPACES[namespace]
    if listed is not None:
        return listed.split()
    return sorted(_module(torch, namespace).__all__)


def _module(package: Any, namespace: str) -> Any:
    """A namespace of PyTorch or of Argand; some of PyTorch's are no modules."""
    try:
        return importlib.import_module(f"{package.__name__}.{namespace}")
    except ImportError:
        found = package
        for part in namespace.split("."):
            found = getattr(found, part)
        return found


def outcome(package: Any, namespace: str, name: str) -> tuple[str, Any]:
    """What comes of a name: a value, or the result or error of a call."""
    value = getattr(_module(package, namespace), name)
    if not callable(value) or PRESENT & {name, f"{namespace}.{name}"}:
        return "value", None if callable(value) or inspect.ismodule(value) else value
    arguments: tuple[Any, ...] = ARGUMENTS.get(name, ())
    if name in ON_TENSORS:
        arguments = (package.ones(2),)
    elif name == "autocast" and namespace != "amp":
        arguments = ()
    try:
        return "value", value(*arguments)
    except Exception as error:
        return "error", error


def shown(value: Any) -> str:
    """A value as both write it; an object by its class alone."""
    plain = str | int | float | bool | dict | list | tuple | type(None)
    is_enum = "Backend" in type(value).__name__  # one is a class of C++
    return repr(value) if isinstance(value, plain) and not is_enum else "an object"


def difference(namespace: str, name: str) -> str:
    """How a name of Argand differs from PyTorch's; "" where it doesn't."""
    torch, argand = (importlib.import_module(package) for package in ("torch", "argand"))
    if not hasattr(_module(argand, namespace), name):
        return "missing"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (kind, theirs), (our_kind, ours) = (
            outcome(package, namespace, name) for package in (torch, argand)
        )
    if kind != our_kind:
        return f"{our_kind} {ours!r}, PyTorch: {kind} {theirs!r}"
    if kind == "error":
        same = isinstance(theirs, _ACCIDENTS) or isinstance(ours, type(theirs))
        return "" if same else f"{type(ours).__name__}, PyTorch: {type(theirs).__name__}"
    return "" if shown(theirs) == shown(ours) else f"{shown(ours)}, PyTorch: {shown(theirs)}"


def reasons(table: dict[str, str]) -> dict[str, str]:
    """The reason of each name."""
    return {name: reason for reason, listed in table.items() for name in listed.split()}


def compared() -> dict[str, dict[str, str]]:
    """The differences of every name, by namespace."""
    torch = importlib.import_module("torch")
    return {
        space: {name: difference(space, name) for name in names(space, torch)}
        for space in NAMESPACES
    }


def table(found: dict[str, dict[str, str]]) -> str:
    """How many names of each namespace answer alike, and which don't, in Markdown."""
    version = importlib.import_module("torch").__version__.partition("+")[0]
    lines = [
        f"Names of torch {version} for the CPU.",
        "",
        "| namespace | names | as PyTorch | other answers | left out |",
        "|---|---:|---:|---|---|",
    ]
    for space, differences in found.items():
        missing = [n for n, text in differences.items() if text == "missing"]
        other = [n for n, text in differences.items() if text and text != "missing"]
        alike = len(differences) - len(missing) - len(other)
        cells = (", ".join(f"`{n}`" for n in listed) for listed in (other, missing))
        lines.append(f"| `{space}` | {len(differences)} | {alike} | {' | '.join(cells)} |")
    lines.append("")
    for title, listed in (("Other answers", DIFFERENT), ("Left out", LEFT_OUT)):
        lines += [f"{title}:", "", *(f"* {reason}." for reason in listed), ""]
    return "\n".join(lines)


def main() -> None:
    """Print what differs and isn't listed; write the table if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the table in docs/")
    arguments = parser.parse_args()
    found = compared()
    known = reasons(DIFFERENT) | reasons(LEFT_OUT)
    for space, differences in found.items():
        for name, text in differences.items():
            if bool(text) is not (f"{space}.{name}" in known):
                print(f"{space}.{name}: {text or 'listed, and the same'}")
    if arguments.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{table(found)}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
