"""`argand.autograd.functional`: products with Jacobians and Hessians, and these as a whole."""

from argand.tensor.functional import hessian, hvp, jacobian, jvp, vhp, vjp

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
