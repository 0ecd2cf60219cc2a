"""Eager tensors: NumPy memory, PyTorch's surface, and the tape behind them."""
