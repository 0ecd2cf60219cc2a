"""The modules and names that PyTorch has, for the stand-ins of `ag.install_as_torch`.

    python tests/compatibility/namespace.py --write

runs with PyTorch installed and writes `src/argand/alias/names.txt`: a module a paragraph, then its
names; a constant is written with its value (``NAME=3``).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import pkgutil
import textwrap
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parents[2] / "src" / "argand" / "alias" / "names.txt"

# Below these only the modules of ALSO are listed: they are for the people who make PyTorch.
INTERNAL = """ao contrib distributed._ distributed.benchmarks distributed.checkpoint.
distributed.elastic distributed.launch distributed.launcher distributed.nn.jit
distributed.pipelining._ distributed.rpc. distributed.run distributed.tensor.debug
distributed.tensor.examples distributed.tensor.experimental export. fx. jit. monitor mtia.
nativert nn.backends nn.intrinsic nn.qat nn.quantiz numa onnx. package. quantization sparse.
testing._internal utils.bottleneck utils.data.datapipes. utils.hipify utils.jit utils.model_dump
utils.benchmark.examples utils.serialization utils.viz xpu."""
ALSO = """__config__ __future__ _C _C._functorch _custom_ops _dynamo
_dynamo._trace_wrapped_higher_order_op _dynamo.config
_dynamo.eval_frame _dynamo.exc _dynamo.utils _functorch.apis _functorch.batch_norm_replacement
_functorch.config _functorch.eager_transforms _functorch.functional_call _functorch.utils
_functorch.vmap _guards _higher_order_ops.associative_scan
_inductor.config _jit_internal _logging _ops _prims_common _subclasses _subclasses.fake_tensor
_tensor _tensor_str _utils
ao.quantization ao.quantization.fx._decomposed distributed._composable.fsdp
distributed._functional_collectives distributed._tensor
distributed.algorithms._checkpoint.checkpoint_wrapper distributed.algorithms.join
distributed.checkpoint.default_planner distributed.checkpoint.format_utils
distributed.checkpoint.hf_storage distributed.checkpoint.optimizer
distributed.checkpoint.state_dict distributed.checkpoint.state_dict_loader distributed.constants
distributed.elastic.multiprocessing distributed.elastic.multiprocessing.errors distributed.run
distributed.tensor._utils export._trace export.decomp_utils export.dynamic_shapes
export.exported_program export.graph_signature fx._pytree
fx._symbolic_trace fx.experimental.proxy_tensor fx.experimental.symbolic_shapes fx.graph
fx.graph_module fx.immutable_collections fx.interpreter fx.node fx.operator_schemas
fx.passes.graph_drawer fx.passes.infra.pass_base fx.passes.shape_prop fx.passes.split_module
fx.proxy fx.subgraph_rewriter fx.traceback jit._script
jit.annotations
nn.modules._functions nn.utils._named_member_accessor onnx.symbolic_helper onnx.symbolic_opset11
onnx.symbolic_opset12 onnx.symbolic_opset9 onnx.utils optim._functional quantization
sparse.semi_structured utils._python_dispatch utils._pytree utils._sympy.numbers
utils._sympy.value_ranges utils._triton utils.data._utils utils.data._utils.collate
utils.data._utils.pin_memory utils.data._utils.worker utils.data.datapipes.datapipe
utils.data.datapipes.iter utils.tensorboard utils.tensorboard.summary utils.tensorboard.writer"""
# What programs subclass or call although its name begins with an underscore.
PRIVATE = (
    "torch._utils",
    "torch.distributed",
    "torch.fx",
    "torch.hub",
    "torch.jit",
    "torch.nn.",
    "torch.optim.",
    "torch.utils.data.",
)


def modules() -> Iterator[str]:
    """The names of PyTorch's modules that programs import."""
    import torch

    below = tuple(f"torch.{part}" for part in INTERNAL.split())
    yield "torch"
    for found in pkgutil.walk_packages(torch.__path__, "torch.", onerror=lambda name: None):
        parts = found.name.split(".")
        private = any(part.startswith("_") for part in parts[1:])
        if not private and not found.name.startswith(below):
            yield found.name
    for path in ALSO.split():
        parts = path.split(".")
        yield from (".".join(["torch", *parts[: i + 1]]) for i in range(len(parts)))


def names(module: types.ModuleType) -> Iterator[str]:
    """The names of a module, but for modules, and for what it has imported from elsewhere."""
    for name, value in sorted(vars(module).items()):
        if name.startswith("__") or name == "TYPE_CHECKING" or isinstance(value, types.ModuleType):
            continue
        at = getattr(value, "__module__", None)
        if name.startswith("_") and not _is_used(module.__name__, name, value, at):
            continue
        entry = _entry(name, value, at)
        if entry:
            yield entry


def _is_used(module: str, name: str, value: Any, at: str | None) -> bool:
    """Whether programs may use a name that begins with an underscore."""
    constant = name.isupper() and type(value) in (int, float, str)
    here = constant or at == module
    return here and module.startswith(PRIVATE) and module != "torch.nn.functional"


def _entry(name: str, value: Any, at: str | None) -> str:
    if value is None or type(value) in (bool, int, float):
        return f"{name}={value!r}"
    if type(value) is str:
        return name if set(value) & set(" /\n") else f"{name}={value!r}"
    ours = str(at).startswith("torch") or type(value).__module__.startswith("torch")
    return name if ours or (callable(value) and at in (None, "builtins")) else ""


def table() -> str:
    """The text of the table."""
    paragraphs = []
    for path in sorted(set(modules())):
        try:
            module = importlib.import_module(path)
        except Exception as error:
            paragraphs.append((path, ""))  # it needs a package that isn't installed
            print(f"{path}: {error}")
            continue
        paragraphs.append((path, " ".join(names(module))))
    wrap = textwrap.TextWrapper(100, initial_indent="  ", subsequent_indent="  ")
    wrap.break_on_hyphens = wrap.break_long_words = False
    return "".join("\n".join([path, *wrap.wrap(row)]) + "\n" for path, row in paragraphs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table; else print it")
    options = parser.parse_args()
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        found = table()
    if options.write:
        TABLE.write_text(found)
    else:
        print(found)
