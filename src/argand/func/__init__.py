"""Functions of functions: `torch.func`."""

from argand.func.derivatives import (
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    vjp,
)
from argand.func.mapping import vmap
from argand.func.modules import (
    debug_unwrap,
    functionalize,
    replace_all_batch_norm_modules_,
    stack_module_state,
)
from argand.func.rearranging import rearrange
from argand.nn.utils.stateless import functional_call

__all__ = [
    "debug_unwrap",
    "functional_call",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "rearrange",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "vjp",
    "vmap",
]
