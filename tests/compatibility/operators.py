"""Argand's operators against PyTorch's own database of operators (`torch.testing._internal`).

    python tests/compatibility/operators.py --write          # all, and the table in docs/
    python tests/compatibility/operators.py --only cumsum,linalg.qr --details

It needs an interpreter with torch 2.13 (CPU), expecttest and Argand. Every sample of every operator
is run by both, in every dtype that PyTorch supports on a CPU: the values, dtypes and shapes of the
results, and the gradients of their weighted sum, must agree; error inputs must be refused. In 16
bits, where PyTorch rounds on the way, results may agree with its own in 64 bits, rounded once.
"""

from __future__ import annotations

import argparse
import inspect
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conversion import sharing, to_numpy, to_ours
from differences import (
    ADAPTED,
    COMPARED,
    NO_VALUES,
    TRIANGULAR,
    WIDE,
    known_reason,
    otherwise,
    why_absent,
)
from tables import DTYPES, Comparison, Results, Tally, add_options, finish
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils._pytree import tree_map_only

import argand as ag

TOLERANCES = {
    "float64": (1e-7, 1e-7),
    "complex128": (1e-7, 1e-7),
    "float32": (2e-4, 2e-5),
    "complex64": (2e-4, 2e-5),
    "float16": (5e-3, 5e-3),
    "bfloat16": (3e-2, 3e-2),
}
HALVES = ("float16", "bfloat16")
SECONDS = 400
"""How long one operator may take in one dtype."""


# -- calling ---------------------------------------------------------------------------------------


def full_name(op: Any) -> str:
    """An operator's name, with that of the variant."""
    return op.name + (f".{op.variant_test_name}" if op.variant_test_name else "")


def processed(op: Any, sample: Any, result: Any) -> Any:
    """What is compared of an operator's result."""
    return COMPARED[op.name][0](sample, result) if op.name in COMPARED else result


def references(op: Any, sample: Any, dtype: str) -> Iterator[Any]:
    """PyTorch's results, of which ours agrees with one: that of the dtype, and, of 16 bits and
    where this is less exact than ours, the one in 64 bits, rounded once."""
    function = TRIANGULAR[op.name](op.op) if op.name in TRIANGULAR else op.op
    given = sample.input, tuple(sample.args), dict(sample.kwargs)
    first, args, kwargs = given
    found = processed(op, sample, function(first, *args, **kwargs))
    yield found
    if dtype in (*HALVES, *WIDE.get(op.name, ((), ""))[0]):
        first, args, kwargs = tree_map_only(torch.Tensor, _in_64_bits, given)
        exact = processed(op, sample, function(first, *args, **kwargs))
        pairs = zip(leaves(exact), leaves(found), strict=True)
        yield [e.to(f.dtype) if isinstance(f, torch.Tensor) else f for e, f in pairs]


def _in_64_bits(x: Any) -> Any:
    wide = torch.complex128 if x.is_complex() else torch.float64
    return x.to(wide) if x.is_floating_point() or x.is_complex() else x


def ours(name: str, variant: str = "") -> Any:
    """The function of ours for an operator's name, or a method's; None where there is none."""
    for known in (f"{name}.{variant}", name):
        if known in ADAPTED:
            return ADAPTED[known]
    found: Any = ag
    try:
        for part in name.removeprefix("torch.").split("."):
            found = getattr(found, part)
    except AttributeError:
        found = None
    if callable(found) and not inspect.isclass(found) and name not in PYTHON_NAMES:
        return found
    return getattr(ag.Tensor, name, None) if "." not in name else None


PYTHON_NAMES = {"bool", "float", "int", "long", "half", "double", "short", "byte", "char", "cfloat"}


# -- comparing -------------------------------------------------------------------------------------


def leaves(x: Any) -> list[Any]:
    """The tensors and numbers in a result, in order."""
    if isinstance(x, tuple | list):
        return [leaf for part in x for leaf in leaves(part)]
    if isinstance(x, dict):
        return [leaf for part in x.values() for leaf in leaves(part)]
    return [x]


def difference(theirs: Any, mine: Any, values: bool = True) -> str:
    """In what two results differ; nothing where they agree."""
    a, b = leaves(theirs), leaves(mine)
    if len(a) != len(b):
        return f"{len(a)} results, ours {len(b)}"
    for x, y in zip(a, b, strict=True):
        found = _leaf_difference(x, y, values)
        if found:
            return found
    return ""


def _leaf_difference(x: Any, y: Any, values: bool = True) -> str:
    if not isinstance(x, torch.Tensor):
        if isinstance(x, torch.dtype | torch.device):
            x, y = (str(v).rpartition(".")[2] for v in (x, y))
        return "" if x == y or (x != x and y != y) else f"{x!r}, ours {y!r}"
    if not isinstance(y, ag.Tensor):
        return f"a tensor, ours {type(y).__name__}"
    name = str(x.dtype).removeprefix("torch.")
    if y.dtype.name != name:
        return f"dtype {name}, ours {y.dtype.name}"
    if tuple(x.shape) != tuple(y.shape):
        return f"shape {tuple(x.shape)}, ours {tuple(y.shape)}"
    if x.layout is not torch.strided or not values:
        return ""
    return _value_difference(to_numpy(x), y.detach().numpy(), name)


def _value_difference(a: Any, b: Any, name: str) -> str:
    if name not in TOLERANCES:
        if np.array_equal(a, b):
            return ""
    else:
        rtol, atol = TOLERANCES[name]
        if a.dtype.kind not in "fc" or a.dtype.itemsize == 2:
            a, b = a.astype(np.float64), b.astype(np.float64)
        if np.allclose(b, a, rtol, atol, equal_nan=True):
            return ""
    a, b = (x.astype(np.complex128 if x.dtype.kind == "c" else np.float64) for x in (a, b))
    bad = np.argwhere(~np.isclose(b, a, *TOLERANCES.get(name, (0, 0)), equal_nan=True))
    place = tuple(bad[0]) if len(bad) else (0,) * a.ndim
    return f"value {a[place]}, ours {b[place]} at {tuple(map(int, place))}"


def differentiable(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.requires_grad


def gradients(
    lib: Any, outputs: Sequence[Any], weights: Sequence[Any], inputs: Sequence[Any]
) -> list[Any]:
    """The gradients of the weighted sum of results; the graph stays for another time."""
    given = list(outputs), list(inputs), list(weights)
    return list(lib.autograd.grad(*given, retain_graph=True, allow_unused=True))


def gradient_difference(sample: Any, theirs: Any, mine_inputs: Any, mine: Any) -> str | None:
    """In what the gradients differ; None where PyTorch has none."""
    xs = [x for x in leaves((sample.input, sample.args, sample.kwargs)) if differentiable(x)]
    ys = [y for y in leaves(mine_inputs) if isinstance(y, ag.Tensor) and y.requires_grad]
    places = [i for i, y in enumerate(leaves(theirs)) if differentiable(y)]
    if not places or not xs:
        return None
    a, b = leaves(theirs), leaves(mine)
    rng = np.random.default_rng(0)
    weights = []
    for i in places:
        w = rng.normal(size=tuple(a[i].shape))
        w = w + 1j * rng.normal(size=w.shape) if a[i].dtype.is_complex else w
        weights.append(torch.tensor(w).to(a[i].dtype))
    try:
        expected = gradients(torch, [a[i] for i in places], weights, xs)
    except (RuntimeError, NotImplementedError):
        return None
    if not all(b[i].requires_grad for i in places):
        nothing = all(x is None or not x.any() for x in expected)
        return "" if nothing else "our result does not require grad"
    found = gradients(ag, [b[i] for i in places], [to_ours(w) for w in weights], ys)
    for k, (x, y) in enumerate(zip(expected, found, strict=True)):
        if x is None and y is None:
            continue
        if x is None or y is None:
            if bool(((y if x is None else x) == 0).all()):
                continue
            return f"gradient {k}: only {'ours' if x is None else 'theirs'} is there"
        text = _leaf_difference(x, y)
        if text:
            return f"gradient {k}: {text}"
    return ""


# -- running ---------------------------------------------------------------------------------------


class TooLongError(Exception):
    """An operator took more than its time."""


def _alarm(*_: Any) -> None:
    raise TooLongError(f"more than {SECONDS} s")


def short(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"


def add(tally: Tally, op: Any, dtype: str, problem: str) -> None:
    """Count a difference, with its reason where it has one."""
    tally.add(problem, known_reason(op.name, f"{dtype} {problem}"))


def run_operator(op: Any, dtype_name: str) -> Tally:
    """All samples of an operator in a dtype."""
    tally, dtype = Tally(), getattr(torch, dtype_name)
    function = ours(op.name, op.variant_test_name)
    inexact = dtype.is_floating_point or dtype.is_complex
    wants = inexact and dtype in op.supported_backward_dtypes("cpu")
    torch.manual_seed(0)
    samples = op.sample_inputs("cpu", dtype, requires_grad=wants)
    for number, sample in enumerate(samples):
        run_sample(op, function, sample.transform(_leaf), f"sample {number}", dtype_name, tally)
    return tally


def _leaf(x: Any) -> Any:
    """An argument as it is; a view that is a leaf anew, since PyTorch gives it no gradient."""
    if isinstance(x, torch.Tensor) and x.requires_grad and x.is_leaf and x._is_view():
        return x.detach().requires_grad_()
    return x


def run_sample(op: Any, function: Any, sample: Any, name: str, dtype: str, tally: Tally) -> None:
    """One sample, with its gradient."""
    try:
        mine_inputs = to_ours((sample.input, list(sample.args), dict(sample.kwargs)))
    except (NotImplementedError, AttributeError) as error:
        tally.samples += 1
        add(tally, op, dtype, f"{name}: input: {short(error)}")
        return
    others = references(op, sample, dtype)
    try:
        theirs = [next(others)]
    except TooLongError:
        raise
    except Exception:
        tally.unanswered += 1
        return
    tally.samples += 1
    what = f"{name} {describe(sample)}"
    try:
        first, args, kwargs = mine_inputs
        mine = processed(op, sample, function(first, *args, **kwargs))
        values = op.name not in NO_VALUES and not sample.kwargs.get("dropout_p")
        text = _differ(theirs, others, lambda result: difference(result, mine, values))
    except TooLongError:
        raise
    except Exception as error:
        text = short(error)
    if text:
        add(tally, op, dtype, f"{what}: {text}")
        return
    tally.equal += 1
    if not values:
        return
    try:
        text = _differ(
            theirs, others, lambda result: gradient_difference(sample, result, mine_inputs, mine)
        )
    except TooLongError:
        raise
    except Exception as error:
        text = f"gradient: {short(error)}"
    if text is None:
        return
    tally.gradients += 1
    if text:
        add(tally, op, dtype, f"{what}: {text}")
    else:
        tally.equal_gradients += 1


def _differ(
    results: list[Any], others: Iterator[Any], compare: Callable[[Any], str | None]
) -> str | None:
    """In what ours differs from the first of PyTorch's results, unless it agrees with another one;
    these are computed where they are needed, and kept in `results`."""
    text = compare(results[0])
    if not text:
        return text
    for result in results[1:]:
        if not compare(result):
            return ""
    for result in others:
        results.append(result)
        if not compare(result):
            return ""
    return text


def run_errors(op: Any) -> Tally:
    """The inputs that PyTorch refuses: we must too, whatever the type of the error."""
    tally = Tally()
    if op.error_inputs_func is None:
        return tally
    function = ours(op.name, op.variant_test_name)
    for number, case in enumerate(op.error_inputs("cpu")):
        sample = case.sample_input
        try:
            op.op(sample.input, *sample.args, **sample.kwargs)
        except Exception:
            pass
        else:
            continue  # an error of another place than the call
        try:
            first, args, kwargs = sharing((sample.input, list(sample.args), dict(sample.kwargs)))
        except (NotImplementedError, AttributeError, ValueError):
            continue  # what NumPy can't hold
        tally.samples += 1
        try:
            function(first, *args, **kwargs)
        except Exception:
            tally.equal += 1
        else:
            problem = f"error {number} {describe(sample)}: accepted ({case.error_regex})"
            add(tally, op, "errors", problem)
    return tally


def describe(sample: Any) -> str:
    """A sample in a few words."""

    def text(x: Any) -> str:
        if isinstance(x, torch.Tensor):
            return f"{str(x.dtype).removeprefix('torch.')}{list(x.shape)}"
        if isinstance(x, tuple | list):
            return "(" + ", ".join(map(text, x)) + ")"
        return repr(x)[:40]

    parts = [text(sample.input), *map(text, sample.args)]
    parts += [f"{k}={text(v)}" for k, v in sample.kwargs.items()]
    return f"({', '.join(parts)})"[:300]


def chosen(only: str) -> Iterator[Any]:
    names = set(only.split(",")) if only else None
    for op in op_db:
        if names is None or op.name in names or op.formatted_name in names:
            yield op


def run_all(names: str, dtypes: Sequence[str], part: slice) -> Comparison:
    """The tallies of every operator (with its variant) and dtype."""
    results: Results = {}
    missing = {}
    signal.signal(signal.SIGALRM, _alarm)
    for op in list(chosen(names))[part]:
        if ours(op.name, op.variant_test_name) is None:
            missing[full_name(op)] = why_absent(op.name)
            continue
        supported = op.supported_dtypes("cpu")
        kinds = [d for d in dtypes if getattr(torch, d) in supported]
        tallies = {d: timed(lambda d=d, op=op: run_operator(op, d)) for d in kinds}
        results[full_name(op)] = tallies | {"errors": timed(lambda op=op: run_errors(op))}
    return Comparison(torch.__version__.partition("+")[0], missing, results, otherwise())


def timed(run: Callable[[], Tally]) -> Tally:
    """What `run` gives in its time."""
    signal.alarm(SECONDS)
    try:
        return run()
    except TooLongError as error:
        return Tally(problems=[str(error)])
    except Exception as error:
        return Tally(problems=[f"harness: {short(error)}"])
    finally:
        signal.alarm(0)


def main() -> str | None:
    """Do what the command line asks for; the changes of what is pinned, if asked for them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="names, with commas between them")
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--part", default="0/1", help="I/N: every N-th entry, from the I-th on")
    parser.add_argument("--join", type=Path, nargs="+", help="tallies of parts, to run nothing")
    add_options(parser)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.join:
        found = Comparison.joined(map(Comparison.read, options.join), map(full_name, op_db))
    else:
        first, count = map(int, options.part.split("/"))
        found = run_all(options.only, options.dtypes.split(","), slice(first, None, count))
    return finish(found, "operators", options)


if __name__ == "__main__":
    sys.exit(main())
