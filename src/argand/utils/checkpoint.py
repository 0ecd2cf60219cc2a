"""`argand.utils.checkpoint`: trade time for memory, as `torch.utils.checkpoint`."""

from argand.tensor.checkpoint import checkpoint, checkpoint_sequential

__all__ = ["checkpoint", "checkpoint_sequential"]
