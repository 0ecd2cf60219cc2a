"""Reductions along rows, and over batches of rows."""
