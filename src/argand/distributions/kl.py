"""Kullback and Leibler's divergence, by a table of pairs of families."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from argand.base.errors import ArgumentError

__all__ = ["kl_divergence", "register_kl"]

Rule = Callable[[Any, Any], Any]

_RULES: dict[tuple[type, type], Rule] = {}
_FOUND: dict[tuple[type, type], Rule | None] = {}


class _FamilyError(ArgumentError, TypeError):
    """Something else than a class of distributions."""


def register_kl(type_p: Any, type_q: Any) -> Callable[[Rule], Rule]:
    """A decorator that makes a function of (p, q) the divergence of two families.

    The most specific pair counts, where subclasses are registered too.

    >>> D = ag.distributions
    >>> class Narrow(D.Normal):
    ...     pass
    >>> @D.register_kl(Narrow, Narrow)
    ... def narrow(p, q):
    ...     return ag.zeros(p.batch_shape)
    >>> D.kl_divergence(Narrow(0.0, 1.0), Narrow(1.0, 1.0))
    tensor(0.)
    """
    for family in (type_p, type_q):
        if not isinstance(family, type):  # a base of families that isn't one itself will do
            raise _FamilyError(f"register_kl: expected a class of distributions, got {family}")

    def decorator(rule: Rule) -> Rule:
        _RULES[type_p, type_q] = rule
        _FOUND.clear()
        return rule

    return decorator


def kl_divergence(p: Any, q: Any) -> Any:
    """The mean of ln(p(x) / q(x)) over x of p, of the shape of the batch.

    Raises NotImplementedError where no rule is registered for the two families. Follows
    `torch.distributions.kl_divergence`; a uniform distribution on [0, 1] is in the support of
    ContinuousBernoulli here, where PyTorch says infinity.

    >>> D = ag.distributions
    >>> D.kl_divergence(D.Normal(0.0, 1.0), D.Normal(1.0, 1.0))
    tensor(0.5000)
    """
    pair = type(p), type(q)
    if pair not in _FOUND:
        _FOUND[pair] = _rule_of(*pair)
    rule = _FOUND[pair]
    if rule is None:
        raise NotImplementedError(
            f"no divergence of {pair[0].__name__} from {pair[1].__name__} is registered; "
            "`register_kl` gives them one"
        )
    return rule(p, q)


def _rule_of(type_p: type, type_q: type) -> Rule | None:
    """The rule of the closest classes, p's first; a warning where q's first gives another."""
    pairs = [(p, q) for p, q in _RULES if issubclass(type_p, p) and issubclass(type_q, q)]
    if not pairs:
        return None

    def away(pair: tuple[type, type]) -> tuple[int, int]:
        return type_p.__mro__.index(pair[0]), type_q.__mro__.index(pair[1])

    by_p, by_q = min(pairs, key=away), min(pairs, key=lambda pair: away(pair)[::-1])
    if _RULES[by_p] is not _RULES[by_q]:
        warnings.warn(
            f"ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}); "
            f"register_kl({by_p[0].__name__}, {by_q[1].__name__}) would settle it",
            RuntimeWarning,
            stacklevel=3,
        )
    return _RULES[by_p]
