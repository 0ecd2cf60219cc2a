"""Argand's modules against PyTorch's own database of modules (`torch.testing._internal`).

    python tests/compatibility/module_samples.py --write        # all, and the table in docs/
    python tests/compatibility/module_samples.py --only Conv2d,LSTM --details

It needs an interpreter with torch 2.13 (CPU), expecttest and Argand. Every sample of every module
is made by both, gets PyTorch's weights and buffers, and is called in training and in evaluation
mode: the text, the keys of the state dict, the results, the buffers afterwards and the gradients of
the inputs and parameters must agree. Random draws (dropout) are compared in evaluation mode only.
Inputs that PyTorch refuses must be refused.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import warnings
from typing import Any

import numpy as np
import torch
from operators import difference, leaves, short, to_ours
from tables import Comparison, Results, Tally, add_options, finish
from torch.testing._internal.common_modules import module_db
from torch.utils._pytree import tree_map_only

import argand as ag

DTYPES = ("float64", "float32")
# Modules that draw random numbers in training mode.
DRAWS = ("Dropout", "RReLU", "FractionalMaxPool", "Transformer", "MultiheadAttention")
# Where results differ, and why.
KNOWN = {
    "CTCLoss": "PyTorch's gradient is less exact in float32",
    "CrossMapLRN2d": "PyTorch goes on adding the first channel to all windows behind it",
}


def ours(value: Any) -> Any:
    """An argument as ours: tensors, modules and functions too."""
    if isinstance(value, torch.nn.TransformerEncoderLayer):
        attention = value.self_attn
        return ag.nn.TransformerEncoderLayer(
            attention.embed_dim,
            attention.num_heads,
            value.linear1.out_features,
            value.dropout.p,
            ours(value.activation),
            value.norm1.eps,
            attention.batch_first,
            value.norm_first,
            value.linear1.bias is not None,
        )
    if isinstance(value, torch.nn.Module):
        made = getattr(ag.nn, type(value).__name__)()
        return made
    if inspect.isfunction(value) or inspect.isbuiltin(value):
        return getattr(ag.nn.functional, value.__name__, None) or getattr(ag, value.__name__)
    if isinstance(value, tuple | list):
        return type(value)(ours(v) for v in value)
    if isinstance(value, dict):
        return {k: ours(v) for k, v in value.items()}
    return to_ours(value)


def copied(theirs: torch.nn.Module, mine: Any) -> None:
    """PyTorch's weights and buffers in our module."""
    state = {k: to_ours(v.detach()) for k, v in theirs.state_dict().items()}
    mine.load_state_dict(state)


def leaf(x: torch.Tensor) -> torch.Tensor:
    """The tensor without the function that gave it."""
    return x if x.is_leaf else x.detach().requires_grad_()


def text_of(module: torch.nn.Module) -> str:
    """A module's text, without the class that PyTorch has for what isn't to be quantized."""
    return repr(module).replace("NonDynamicallyQuantizableLinear", "Linear")


def differentiable(x: Any) -> bool:
    return isinstance(x, torch.Tensor | ag.Tensor) and x.requires_grad


def run_sample(cls: Any, sample: Any, training: bool, dtype: str) -> str:
    """In what the two differ; nothing where they agree."""
    torch.manual_seed(0)
    args, kwargs = sample.constructor_input.args, sample.constructor_input.kwargs
    theirs = cls(*args, **kwargs).to(getattr(torch, dtype)).train(training)
    mine = getattr(ag.nn, cls.__name__)(*ours(args), **ours(kwargs))
    mine = mine.to(getattr(ag, dtype)).train(training)
    lazy = "Lazy" in cls.__name__
    given = sample.forward_input
    given.args = tree_map_only(torch.Tensor, leaf, given.args)
    if text_of(theirs) != repr(mine) and not lazy:
        return f"text {theirs!r}, ours {mine!r}"
    if lazy:
        if repr(mine).removeprefix("Lazy") != repr(theirs).removeprefix("Lazy"):
            return f"text {theirs!r}, ours {mine!r}"
        theirs(*given.args)
        mine(*ours(given.args))
    if list(theirs.state_dict()) != list(mine.state_dict()):
        return f"keys {list(theirs.state_dict())}, ours {list(mine.state_dict())}"
    if [n for n, _ in theirs.named_parameters()] != [n for n, _ in mine.named_parameters()]:
        return "order of the parameters"
    copied(theirs, mine)
    inputs = ours(given.args), ours(given.kwargs)
    a = theirs(*given.args, **given.kwargs)
    b = mine(*inputs[0], **inputs[1])
    values = not (training and cls.__name__.startswith(DRAWS))
    text = difference(parts(a), parts(b), values)
    if text or not values:
        return text
    for (name, x), y in zip(theirs.named_buffers(), mine.buffers(), strict=True):
        text = difference(x, y)
        if text:
            return f"buffer {name}: {text}"
    return gradients_difference(theirs, mine, (given.args, given.kwargs), inputs, a, b)


def parts(result: Any) -> Any:
    """The tensors of a result; packed sequences by their parts."""
    return [x for x in leaves(result) if x is not None]


def gradients_difference(theirs: Any, mine: Any, given: Any, inputs: Any, a: Any, b: Any) -> str:
    """In what the gradients of the sums of the results differ."""
    xs = [*filter(differentiable, leaves(list(given))), *theirs.parameters()]
    ys = [*filter(differentiable, leaves(list(inputs))), *mine.parameters()]
    out = [x for x in parts(a) if differentiable(x)]
    mine_out = [y for y in parts(b) if differentiable(y)]
    if len(out) != len(mine_out):
        return f"{len(out)} results with gradients, ours {len(mine_out)}"
    if not out or not xs:
        return ""
    rng = np.random.default_rng(0)
    weights = [torch.tensor(rng.normal(size=tuple(x.shape))).to(x.dtype) for x in out]
    expected = torch.autograd.grad(out, xs, weights, allow_unused=True)
    given_weights = [to_ours(w) for w in weights]
    found = ag.autograd.grad(mine_out, ys, given_weights, allow_unused=True)
    for i, (x, y) in enumerate(zip(expected, found, strict=True)):
        if (x is None) != (y is None):
            there = x if y is None else y
            if bool((there == 0).all()):
                continue
            return f"gradient {i}: only {'theirs' if y is None else 'ours'} is there"
        text = "" if x is None else difference(x, y)
        if text:
            return f"gradient {i}: {text}"
    return ""


def run_errors(info: Any) -> Tally:
    """The inputs that PyTorch refuses, whatever the type of the error."""
    tally = Tally()
    if info.module_error_inputs_func is None:
        return tally
    for training in (True, False):
        samples = info.module_error_inputs_func(
            info, device="cpu", dtype=torch.float64, requires_grad=False, training=training
        )
        for case in samples:
            tally.samples += 1
            if _refuses(info.module_cls.__name__, case.module_error_input):
                tally.equal += 1
            else:
                tally.add(f"accepted {case.error_regex!r}", "")
    return tally


def _refuses(name: str, case: Any) -> bool:
    args, kwargs = case.constructor_input.args, case.constructor_input.kwargs
    try:
        mine = getattr(ag.nn, name)(*ours(args), **ours({**kwargs}))
        mine = mine.double() if list(mine.parameters()) else mine
        if case.forward_input is not None:
            mine(*ours(case.forward_input.args), **ours(case.forward_input.kwargs))
    except (TypeError, ValueError, RuntimeError, IndexError, NotImplementedError):
        return True
    return False


def run_module(info: Any, dtype: str) -> Tally:
    """The samples of a module in a dtype, in training and in evaluation mode."""
    tally, name = Tally(), info.module_cls.__name__
    for training in (True, False):
        samples = info.module_inputs_func(
            info,
            device="cpu",
            dtype=getattr(torch, dtype),
            requires_grad=True,
            training=training,
        )
        for number, sample in enumerate(samples):
            if sample.forward_input is None:
                continue
            tally.samples += 1
            try:
                text = run_sample(info.module_cls, sample, training, dtype)
            except Exception as error:
                text = short(error)
            gradient = text.startswith("gradient")
            tally.equal += not text or gradient
            tally.gradients += not text or gradient
            tally.equal_gradients += not text
            if text:
                made, how = sample.constructor_input, "train" if training else "eval"
                what = f"{how} {number} {made.args} {made.kwargs}: {text}"
                tally.add(what[:400], KNOWN.get(name, ""))
    return tally


def run_all(names: str) -> Comparison:
    """The tallies of all modules, or of those named."""
    results: Results = {}
    missing = {}
    chosen = set(names.split(","))
    for info in module_db:
        name = info.module_cls.__name__
        if info.module_cls.__module__.startswith("torch.ao") or (names and name not in chosen):
            continue
        if not hasattr(ag.nn, name):
            missing[name] = "not yet"
            continue
        tallies = {d: run_module(info, d) for d in DTYPES if getattr(torch, d) in info.dtypes}
        for dtype, tally in (tallies | {"errors": run_errors(info)}).items():
            results.setdefault(name, {}).setdefault(dtype, Tally()).extend(tally)
    drawing = [n for n in results if n.startswith(DRAWS)]
    otherwise = {"draw random numbers in training mode: shapes are compared there": drawing}
    return Comparison(torch.__version__.partition("+")[0], missing, results, otherwise)


def main() -> str | None:
    """Do what the command line asks for; the changes of what is pinned, if asked for them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="names of modules, with commas")
    add_options(parser)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    return finish(run_all(options.only), "module samples", options)


if __name__ == "__main__":
    sys.exit(main())
