"""Linear algebra on the last two dimensions, computed by NumPy also in compiled programs."""

from argand.ops.linalg import determinant, eigen, exponential, factor, singular, solve, triangular

__all__ = ["determinant", "eigen", "exponential", "factor", "singular", "solve", "triangular"]
