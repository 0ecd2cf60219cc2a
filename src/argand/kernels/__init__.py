"""Kernels: each takes some regions of a Program and emits their loop nest."""
