"""Gradient clipping, parameters as one vector, sequences of several lengths, parametrizations:
`torch.nn.utils`."""

from argand.nn.utils import parametrizations, parametrize, rnn
from argand.nn.utils.clip import (
    clip_grad_norm_,
    clip_grad_value_,
    get_total_norm,
    parameters_to_vector,
    vector_to_parameters,
)

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "rnn",
    "vector_to_parameters",
]
