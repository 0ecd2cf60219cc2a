"""Argand's families against PyTorch's: what a case finds, for the tests and for the table."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from family_cases import Case, tensors

import argand as ag
from argand import distributions as dist

METHODS = ("log_prob", "cdf", "icdf", "entropy", "perplexity", "enumerate_support")
MOMENTS = ("mean", "mode", "variance", "stddev")
# PyTorch's own are off, or wrong: what is compared with SciPy or closed forms instead.
UNEQUAL = {
    ("Kumaraswamy", "mode"): "PyTorch's formula is another number's",
    ("Weibull", "mode"): "PyTorch gives NaN for a concentration below 1, where it is 0",
    ("GeneralizedPareto", "log_prob"): "PyTorch compares float64 with float32, and fails",
    ("GeneralizedPareto", "cdf"): "PyTorch compares float64 with float32, and fails",
}
LOOSE = {
    "VonMises": 1e-6,  # PyTorch's Bessel functions are polynomials of single precision
    "Multinomial": 1e-6,  # PyTorch takes lgamma of the count in float32
}
# Of these gradients, PyTorch's of the upper triangle are those of a symmetric matrix.
ONE_TRIANGLE = {"Wishart"}


def close(found: Any, expected: Any, tolerance: float) -> str:
    """What is wrong with numbers, nothing if they agree relative to the larger of 1 and them."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape:
        return f"shape {found.shape}, not {expected.shape}"
    finite = np.isfinite(expected)
    if not np.array_equal(found[~finite], expected[~finite], equal_nan=True):
        return "infinite elsewhere"
    found, expected = found[finite], expected[finite]
    error = np.abs(found - expected) / np.maximum(1, np.abs(expected))
    # NaN is off too
    return "" if not (~(error <= tolerance)).any() else f"off by {error.max()}"


class Compared:
    """One case with both, for one dtype and shape of the batch."""

    def __init__(self, torch: Any, case: Case, dtype: str, shape: tuple[int, ...]) -> None:
        self.torch, self.case, self.dtype = torch, case, dtype
        self.tolerance = 2e-5 if dtype == "float32" else LOOSE.get(case.name, 1e-9)
        values = case.draw(np.random.default_rng(3), shape)
        theirs = tensors(values, lambda v: self._theirs(v).requires_grad_())
        ours = tensors(values, lambda v: self._ours(v).requires_grad_())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.theirs = case.make(torch.distributions, theirs)
            self.ours = case.make(dist, ours)
            torch.manual_seed(0)
            self.value = self.theirs.sample((4,))
        self.parameters = [(ours[k], theirs[k]) for k in ours if isinstance(ours[k], ag.Tensor)]

    def _theirs(self, v: Any) -> Any:
        return self.torch.tensor(np.asarray(v), dtype=getattr(self.torch, self.dtype))

    def _ours(self, v: Any) -> Any:
        return ag.tensor(np.asarray(v), dtype=getattr(ag, self.dtype))

    def differences(self) -> Iterator[str]:
        """What differs, in words."""
        for name in METHODS:
            yield from self._difference(name, *self._calls(name))
        for name in MOMENTS:
            yield from self._difference(
                name, lambda n=name: getattr(self.ours, n), lambda n=name: getattr(self.theirs, n)
            )
        for name in ("batch_shape", "event_shape"):
            if tuple(getattr(self.ours, name)) != tuple(getattr(self.theirs, name)):
                yield name
        for name in ("has_rsample", "has_enumerate_support"):
            if getattr(self.ours, name) != getattr(self.theirs, name):
                yield name
        if repr(self.ours) != repr(self.theirs).replace("torch.Size", "argand.Size"):
            yield f"repr {self.ours!r}"
        yield from self._samples()

    def _calls(self, name: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
        ours, theirs = getattr(self.ours, name), getattr(self.theirs, name)
        if name in ("entropy", "perplexity", "enumerate_support"):
            return ours, theirs
        value = self.value.numpy()
        if name == "icdf":
            value = np.random.default_rng(1).uniform(0.05, 0.95, value.shape).astype(self.dtype)
        return (
            lambda: ours(ag.from_numpy(value)),
            lambda: theirs(self.torch.from_numpy(value)),
        )

    def _difference(
        self, name: str, ours: Callable[[], Any], theirs: Callable[[], Any]
    ) -> Iterator[str]:
        if (self.case.name, name) in UNEQUAL:
            return
        expected, found = _outcome(theirs), _outcome(ours)
        if isinstance(expected, Exception) or isinstance(found, Exception):
            if not (isinstance(expected, Exception) and isinstance(found, type(expected))):
                yield f"{name}: {found!r}, not {expected!r}"
            return
        if str(found.dtype).split(".")[-1] != str(expected.dtype).split(".")[-1]:
            yield f"{name}: dtype {found.dtype}"
        wrong = close(found.detach().numpy(), expected.detach().numpy(), self.tolerance)
        if wrong:
            yield f"{name}: {wrong}"
        if name not in MOMENTS and found.requires_grad != expected.requires_grad:
            yield f"{name}: requires_grad is {found.requires_grad}"
        if name not in MOMENTS and self.dtype == "float64" and found.requires_grad:
            yield from self._gradients(name, found, expected)

    def _gradients(self, name: str, found: Any, expected: Any) -> Iterator[str]:
        """Of the sum of the finite elements."""
        if self.case.name in ("Gamma", "Chi2", "InverseGamma") and name == "cdf":
            return  # of the incomplete gamma function PyTorch has only one
        if self.case.name in ONE_TRIANGLE and self.case.label == "scale_tril":
            return
        finite = self.torch.isfinite(expected)
        ours = [p for p, _ in self.parameters]
        theirs = [p for _, p in self.parameters]
        wanted = self.torch.autograd.grad(
            expected[finite].sum(), theirs, allow_unused=True, retain_graph=True
        )
        mask = ag.tensor(finite.numpy())
        given = ag.autograd.grad(
            ag.where(mask, found, 0).sum(), ours, allow_unused=True, retain_graph=True
        )
        for n, (g, w) in enumerate(zip(given, wanted, strict=True)):
            zeros = np.zeros(tuple(ours[n].shape))
            wrong = close(
                zeros if g is None else g.numpy(),
                zeros if w is None else w.numpy(),
                max(1e-7, 100 * LOOSE.get(self.case.name, 0)),
            )
            if wrong:
                yield f"{name}: gradient {n} {wrong}"

    def _samples(self) -> Iterator[str]:
        """Samples of the shape and dtype, inside the support; and those of expanded ones."""
        found = self.ours.sample((4,))
        if tuple(found.shape) != tuple(self.value.shape):
            yield f"sample: shape {found.shape}"
        if str(found.dtype).split(".")[-1] != str(self.value.dtype).split(".")[-1]:
            yield f"sample: dtype {found.dtype}"
        shape = (5, *self.theirs.batch_shape)
        ours, theirs = self.ours.expand(shape), self.theirs.expand(shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's Wishart
            expected = theirs.sample((2,))
        if tuple(ours.sample((2,)).shape) != tuple(expected.shape):
            yield "sample of expanded"
        if self.case.name != "GeneralizedPareto":
            one = self.value[:1]
            wrong = close(
                ours.log_prob(ag.from_numpy(one.numpy())).detach().numpy(),
                theirs.log_prob(one).detach().numpy(),
                self.tolerance,
            )
            if wrong:
                yield f"log_prob of expanded: {wrong}"


def _outcome(call: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call()
        except Exception as error:  # which one is compared
            return error


def compare(torch: Any, case: Case, dtypes: tuple[str, ...]) -> list[str]:
    """All differences of a case."""
    found = []
    with contextlib.suppress(AttributeError):
        torch.set_num_threads(1)
    for dtype in dtypes:
        for shape in case.shapes:
            compared = Compared(torch, case, dtype, shape)
            found += [f"{dtype} {shape}: {d}" for d in compared.differences()]
    return found
