"""The CPU backend: programs become native code through LLVM."""

from argand.backends.cpu.compiler import compile_program

__all__ = ["compile_program"]
