"""`argand.utils`: PyTorch's places for the data loader and for checkpointing."""
