"""Functions of modules: `torch.func`."""

from argand.nn.utils.stateless import functional_call

__all__ = ["functional_call"]
