"""`argand.utils.tensorboard`: events for TensorBoard, written by its own package."""

from argand.utils.tensorboard.writer import SummaryWriter

__all__ = ["SummaryWriter"]
