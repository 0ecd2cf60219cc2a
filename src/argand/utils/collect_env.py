"""`argand.utils.collect_env`: what a report of an error should say about the installation, as
`torch.utils.collect_env`, and as ``python -m argand.utils.collect_env``.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from typing import Any, NamedTuple

from argand.base.naming import naming
from argand.base.settings import settings
from argand.version import __version__

_PACKAGES = """argand numpy llvmlite ml_dtypes safetensors rich torch torchvision torchaudio timm
transformers lightning torchmetrics onnx onnxruntime keras"""


class SystemEnv(NamedTuple):
    """What `get_env_info` returns: PyTorch's names of the fields, None where there is nothing.

    >>> from argand.utils.collect_env import get_env_info
    >>> get_env_info().is_cuda_available
    'False'
    """

    torch_version: str
    is_debug_build: str
    cuda_compiled_version: str
    gcc_version: str | None
    clang_version: str | None
    cmake_version: str | None
    os: str
    libc_version: str
    python_version: str
    python_platform: str
    is_cuda_available: str
    cuda_runtime_version: str | None
    cuda_module_loading: str
    nvidia_driver_version: str | None
    nvidia_gpu_models: str | None
    cudnn_version: str | None
    is_xpu_available: str
    pip_version: str
    pip_packages: str
    conda_packages: str | None
    hip_compiled_version: str
    hip_runtime_version: str
    miopen_runtime_version: str
    caching_allocator_config: str
    is_xnnpack_available: str
    cpu_info: str


def _first_line(*command: str) -> str | None:
    """The first line that a program prints, if it is there."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.splitlines()
    return lines[0] if lines and done.returncode == 0 else None


def _installed() -> str:
    found = []
    for name in _PACKAGES.split():
        try:
            found.append(f"{name}=={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return "\n".join(found)


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    return f"{name} ({platform.machine()})"


def _cpu() -> str:
    lines = (
        f"Architecture: {platform.machine()}",
        f"CPU(s): {os.cpu_count()}",
        f"Threads of kernels: {settings.threads}",
        f"Target of kernels: {settings.target or 'this processor'}",
    )
    return "\n".join(lines)


def get_env_info() -> SystemEnv:
    """The versions and the machine, as `torch.utils.collect_env.get_env_info`.

    >>> from argand.utils.collect_env import get_env_info
    >>> get_env_info().torch_version == ag.__version__
    True
    """
    none: dict[str, Any] = dict.fromkeys(SystemEnv._fields)
    known = {
        "torch_version": sys.modules[naming.package].__version__,
        "is_debug_build": "False",
        "cuda_compiled_version": "None",
        "gcc_version": _first_line("gcc", "--version"),
        "clang_version": _first_line("clang", "--version"),
        "cmake_version": _first_line("cmake", "--version"),
        "os": _system(),
        "libc_version": "-".join(platform.libc_ver()),
        "python_version": f"{sys.version} ({sys.maxsize.bit_length() + 1}-bit runtime)",
        "python_platform": platform.platform(),
        "is_cuda_available": "False",
        "cuda_module_loading": "N/A",
        "is_xpu_available": "False",
        "pip_version": f"pip{sys.version_info.major}",
        "pip_packages": _installed(),
        "is_xnnpack_available": "False",
        "cpu_info": _cpu(),
    }
    known |= dict.fromkeys(
        (
            "hip_compiled_version",
            "hip_runtime_version",
            "miopen_runtime_version",
            "caching_allocator_config",
        ),
        "N/A",
    )
    return SystemEnv(**{**none, **known})


_TITLES = {
    "torch_version": "PyTorch version",
    "is_debug_build": "Is debug build",
    "cuda_compiled_version": "CUDA used to build PyTorch",
    "hip_compiled_version": "ROCM used to build PyTorch",
    "os": "\nOS",
    "gcc_version": "GCC version",
    "clang_version": "Clang version",
    "cmake_version": "CMake version",
    "libc_version": "Libc version",
    "python_version": "\nPython version",
    "python_platform": "Python platform",
    "is_cuda_available": "Is CUDA available",
    "cuda_runtime_version": "CUDA runtime version",
    "nvidia_gpu_models": "GPU models and configuration",
    "nvidia_driver_version": "Nvidia driver version",
    "cudnn_version": "cuDNN version",
    "is_xpu_available": "Is XPU available",
    "is_xnnpack_available": "Is XNNPACK available",
}


def pretty_str(envinfo: SystemEnv) -> str:
    """The text of what was found.

    >>> from argand.utils.collect_env import get_env_info, pretty_str
    >>> "Python version" in pretty_str(get_env_info())
    True
    """
    said = envinfo._asdict()
    lines = [
        f"{title}: {'Could not collect' if said[name] is None else said[name]}"
        for name, title in _TITLES.items()
    ]
    packages = "\n".join(
        f"[{envinfo.pip_version}] {line}" for line in envinfo.pip_packages.splitlines()
    )
    computed = f"Computed by: Argand {__version__}, in place of PyTorch"
    return "\n".join(
        (computed, *lines, "", "CPU:", envinfo.cpu_info, "", "Versions of libraries:", packages)
    )


def get_pretty_env_info() -> str:
    """`pretty_str` of `get_env_info`.

    >>> from argand.utils.collect_env import get_pretty_env_info
    >>> get_pretty_env_info().startswith("Computed by: Argand")
    True
    """
    return pretty_str(get_env_info())


def main() -> None:
    """Print what was found."""
    print("Collecting environment information...")
    print(get_pretty_env_info())


if __name__ == "__main__":
    main()
