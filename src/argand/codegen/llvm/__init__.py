"""LLVM: the only room that imports llvmlite."""
