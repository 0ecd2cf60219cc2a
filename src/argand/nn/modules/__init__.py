"""`argand.nn.modules`: PyTorch's path for parts of `argand.nn` that have no other."""
