"""The CPU backend: programs become native code through LLVM."""

from argand.backends.cpu.capability import capabilities, get_cpu_capability
from argand.backends.cpu.compiler import compile_program

__all__ = ["capabilities", "compile_program", "get_cpu_capability"]
