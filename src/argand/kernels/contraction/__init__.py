"""Contractions: matrix products, `einsum`, convolutions and their gradients."""
