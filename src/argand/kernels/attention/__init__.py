"""Scaled dot-product attention as one nest: tiles of scores with an online softmax."""
