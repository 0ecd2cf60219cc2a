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
import collections
import inspect
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from operators import difference, leaves, short, to_ours
from torch.testing._internal.common_modules import module_db
from torch.utils._pytree import tree_map_only

import argand as ag

HERE = Path(__file__).resolve()
PAGE = HERE.parents[2] / "docs" / "compatibility.md"
BEGIN, END = "<!-- module samples: begin -->", "<!-- module samples: end -->"
DTYPES = ("float64", "float32")
# Modules that draw random numbers in training mode.
DRAWS = ("Dropout", "RReLU", "FractionalMaxPool", "Transformer", "MultiheadAttention")
# Where results differ, and why.
KNOWN = {
    "CrossMapLRN2d": "PyTorch goes on adding the first channel to all windows behind it",
}


def ours(value: Any) -> Any:
    """An argument as ours: tensors, modules and functions too."""
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


def run_errors(info: Any) -> tuple[int, list[str]]:
    """How many error samples there are, and those that we accept."""
    if info.module_error_inputs_func is None:
        return 0, []
    accepted, count = [], 0
    for training in (True, False):
        samples = info.module_error_inputs_func(
            info, device="cpu", dtype=torch.float64, requires_grad=False, training=training
        )
        for case in samples:
            count += 1
            made = case.module_error_input
            args, kwargs = made.constructor_input.args, made.constructor_input.kwargs
            kwargs = {**kwargs}
            try:
                mine = getattr(ag.nn, info.module_cls.__name__)(*ours(args), **ours(kwargs))
                mine = mine.double() if list(mine.parameters()) else mine
                if made.forward_input is not None:
                    mine(*ours(made.forward_input.args), **ours(made.forward_input.kwargs))
            except (TypeError, ValueError, RuntimeError, IndexError, NotImplementedError):
                continue
            accepted.append(f"error: accepted {case.error_regex!r}")
    return count, accepted


def run_module(info: Any) -> tuple[int, int, list[str]]:
    """Samples, error samples, and the problems of a module."""
    cls, problems, count = info.module_cls, [], 0
    if not hasattr(ag.nn, cls.__name__):
        return 0, 0, ["missing"]
    for dtype in DTYPES:
        if getattr(torch, dtype) not in info.dtypes:
            continue
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
                count += 1
                try:
                    text = run_sample(cls, sample, training, dtype)
                except Exception as error:
                    text = short(error)
                if text:
                    how = "train" if training else "eval"
                    made = sample.constructor_input
                    text = f"{dtype} {how} {number} {made.args} {made.kwargs}: {text}"
                    problems.append(text[:400])
    errors, accepted = run_errors(info)
    return count, errors, [*problems, *accepted]


def table(results: dict[str, tuple[int, int, list[str]]]) -> str:
    """The totals, and a row for each module that differs, in Markdown."""
    good = sum(not found[2] for found in results.values())
    samples, errors = (sum(found[i] for found in results.values()) for i in (0, 1))
    lines = [
        f"torch {torch.__version__.partition('+')[0]}: {len(results)} modules, {good} agree in "
        f"all; {samples} samples in {' and '.join(DTYPES)}, {errors} inputs that must be refused.",
        "",
        "| module | samples | differences | the first |",
        "|---|---:|---:|---|",
    ]
    for name, (count, _, problems) in sorted(results.items()):
        if problems:
            first = KNOWN.get(name) or problems[0].replace("|", "/").replace("\n", " ")[:160]
            lines.append(f"| `{name}` | {count} | {len(problems)} | {first} |")
    return "\n".join(lines)


def main() -> None:
    """Run the comparison, print the table, and write it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="names of modules, with commas")
    parser.add_argument("--details", action="store_true", help="print every difference")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    names = set(options.only.split(",")) if options.only else None
    results: dict[str, tuple[int, int, list[str]]] = collections.OrderedDict()
    for info in module_db:
        name = info.module_cls.__name__
        if info.module_cls.__module__.startswith("torch.ao") or (names and name not in names):
            continue
        count, errors, problems = run_module(info)
        before = results.get(name, (0, 0, []))
        results[name] = before[0] + count, before[1] + errors, [*before[2], *problems]
        for text in problems if options.details else []:
            print(name, text)
    print(table(results))
    if options.write:
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{table(results)}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
