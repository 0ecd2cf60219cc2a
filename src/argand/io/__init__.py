"""Files: safetensors, and nested objects of tensors. No file can run code."""

from argand.io.files import load, save
from argand.io.safetensors import load_file, load_metadata, save_file

__all__ = ["load", "load_file", "load_metadata", "save", "save_file"]
