"""Backends: what runs a Program. `cpu` compiles it; `reference` interprets it with NumPy."""
