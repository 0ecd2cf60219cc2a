"""Files of tensors: PyTorch's, safetensors, NumPy's, Keras's. No file can run code."""

from argand.io.files import load, load_keras_config, save
from argand.io.safetensors import load_file, load_metadata, save_file
from argand.io.sharded import save_sharded

__all__ = [
    "load",
    "load_file",
    "load_keras_config",
    "load_metadata",
    "save",
    "save_file",
    "save_sharded",
]
