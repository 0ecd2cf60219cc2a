"""Losses and optimizers by name, for `model.compile("adam", "cross_entropy")`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.errors import ArgumentError, did_you_mean
from argand.ir.op import ops
from argand.nn import functional as F
from argand.nn.module import Module
from argand.optim.adam import Adam, Adamax, AdamW
from argand.optim.optimizer import Optimizer
from argand.optim.rmsprop import Adadelta, Adagrad, RMSprop
from argand.optim.sgd import SGD

# Keras's names come with Keras's learning rates.
_OPTIMIZERS: dict[str, tuple[Any, float]] = {
    "sgd": (SGD, 1e-2),
    "adam": (Adam, 1e-3),
    "adamw": (AdamW, 1e-3),
    "adamax": (Adamax, 1e-3),
    "rmsprop": (RMSprop, 1e-3),
    "adagrad": (Adagrad, 1e-3),
    "adadelta": (Adadelta, 1e-3),
}


def _log_of_probabilities(p: Any) -> Any:
    """log(p), with p kept away from 0 by Keras's epsilon."""
    return ops.log(ops.clamp(p, 1e-7, 1.0))


def sparse_categorical_crossentropy(input: Any, target: Any) -> Any:
    """-log(p[target]) for probabilities p (N, classes) and class numbers."""
    return F.nll_loss(_log_of_probabilities(input), target)


def categorical_crossentropy(input: Any, target: Any) -> Any:
    """-sum(target * log(p)) for probabilities p and one-hot targets."""
    terms = ops.mul(_log_of_probabilities(input), target)
    return ops.mean(ops.neg(ops.sum(terms, -1)))


_LOSSES: dict[str, Callable[..., Any]] = {
    "cross_entropy": F.cross_entropy,
    "nll": F.nll_loss,
    "mse": F.mse_loss,
    "mean_squared_error": F.mse_loss,
    "mae": F.l1_loss,
    "l1": F.l1_loss,
    "mean_absolute_error": F.l1_loss,
    "huber": F.huber_loss,
    "smooth_l1": F.smooth_l1_loss,
    "bce": F.binary_cross_entropy,
    "binary_crossentropy": F.binary_cross_entropy,
    "bce_with_logits": F.binary_cross_entropy_with_logits,
    "kl_div": F.kl_div,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
    "categorical_crossentropy": categorical_crossentropy,
}


def _look_up(kind: str, name: str, known: dict[str, Any]) -> Any:
    found = known.get(name.lower())
    if found is None:
        near = did_you_mean(name, known)
        raise ArgumentError(
            f"no {kind} is called {name!r}{near}; there are: {', '.join(sorted(known))}"
        )
    return found


def loss_of(loss: Any) -> Any:
    """A loss by name, or the function or module itself."""
    if loss is None or isinstance(loss, Module):
        return loss
    if isinstance(loss, type) and issubclass(loss, Module):
        return loss()
    if callable(loss):
        return loss
    if isinstance(loss, str):
        return _look_up("loss", loss, _LOSSES)
    raise TypeError(f"a loss is a name, a function or a module, got {type(loss).__name__}")


def optimizer_of(optimizer: Any, model: Module) -> Optimizer | None:
    """An optimizer by name or class, made for the model's parameters; or the optimizer itself."""
    if optimizer is None or isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        cls, lr = _look_up("optimizer", optimizer, _OPTIMIZERS)
        return cls(model.parameters(), lr=lr)  # type: ignore[no-any-return]
    if callable(optimizer):
        return optimizer(model.parameters())  # type: ignore[no-any-return]
    raise TypeError(
        f"an optimizer is a name, an Optimizer or its class, got {type(optimizer).__name__}"
    )
