"""`argand.onnx.export`, with the arguments of `torch.onnx.export`."""

from __future__ import annotations

import contextlib
import enum
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

from argand.base.errors import ArgumentError, did_you_mean
from argand.base.events import emit
from argand.export.signature import Signature
from argand.onnx import exported, saving, tracing
from argand.onnx.dynamic import Given
from argand.onnx.exporting import OnnxExporterError, checked_opset, program_to_model
from argand.onnx.package import onnx
from argand.onnx.state import exporting
from argand.onnx.written import ONNXProgram, with_inputs


class TrainingMode(enum.IntEnum):
    """The mode that a module is exported in, as `torch.onnx.TrainingMode`."""

    EVAL = 0
    PRESERVE = 1
    TRAINING = 2


class OperatorExportTypes(enum.IntEnum):
    """PyTorch's kinds of operators in a model; here they are ONNX's."""

    ONNX = 0
    ONNX_ATEN = 1
    ONNX_ATEN_FALLBACK = 2
    ONNX_FALLTHROUGH = 3


@contextlib.contextmanager
def select_model_mode_for_export(model: Any, mode: TrainingMode) -> Iterator[None]:
    """A module in the mode for an export, inside the block; with PRESERVE as it is.

    >>> model = nn.Dropout()
    >>> with ag.onnx.select_model_mode_for_export(model, ag.onnx.TrainingMode.EVAL):
    ...     model.training
    False
    """
    with tracing.in_mode(model, _training(mode)):
        yield


def _training(mode: TrainingMode | bool | None) -> bool | None:
    return None if mode in (None, TrainingMode.PRESERVE) and mode is not True else bool(mode)


# PyTorch's arguments that say how its exporter is to work, or ask for reports; they change nothing.
_WITHOUT_EFFECT = {
    *("dynamo", "fallback", "optimize", "profile", "dump_exported_program", "artifacts_dir"),
    *("report", "do_constant_folding", "autograd_inlining", "operator_export_type"),
}
_KNOWN = {"custom_opsets", "export_modules_as_functions", "custom_translation_table", "verify"}


def export(
    model: Callable[..., Any],
    args: Any = (),
    f: str | os.PathLike[str] | IO[bytes] | None = None,
    *,
    path: str | os.PathLike[str] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,
    dynamic_axes: Any = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    opset_version: int | None = None,
    opset: int | None = None,
    training: TrainingMode | bool | None = None,
    export_params: bool = True,
    keep_initializers_as_inputs: bool = False,
    external_data: bool | None = None,
    mutable_state: str = "refuse",
    verbose: bool | None = None,
    **options: Any,
) -> ONNXProgram | None:
    """Export a module or a function to ONNX: to the file `f` (or `path`), or as an ONNXProgram.

    It is traced as `ag.compile` does, without gradients: tensors and arrays among the arguments are
    inputs, parameters and buffers initializers under their names, everything else is constant. The
    model has passed ONNX's checker, shapes included, when it is written.

    Args:
        model: the module, or any function of tensors; it is run once. Of an exported program
            (`ag.export`, `ag.onnx.load`) or one of its signatures arguments, sizes and names are
            known.
        args: the arguments of a call, a tuple, or one tensor; `kwargs` those given by name.
        f: the file, which is written whole or not at all; or a file that is open for bytes.
        dynamic_shapes: the sizes that vary, nested as the arguments are: for a tensor a dict
            `{dimension: ag.Dim("batch")}`, or a tuple with a Dim, a name or None for each
            dimension. All others are fixed. Sizes of one name are equal.
        dynamic_axes: the same as PyTorch's older argument: by names of inputs.
        input_names, output_names: names for the first inputs and outputs.
        opset_version: the version of ONNX's operators, from 17 to the newest that the package
            `onnx` knows; 20 unless given. `opset` is the same.
        training: the mode that the module is in while it is traced (`TrainingMode`, or a bool); as
            it is, unless given.
        export_params: whether the weights are in the file; without them they are inputs.
        keep_initializers_as_inputs: whether the weights are inputs as well.
        external_data: whether the weights are in a file beside the model; by default where it has
            2 GB or more.
        mutable_state: what becomes of state that the function writes, running statistics or a cache
            of keys: "refuse", or "inputs", which makes each an input, and what it holds afterwards
            an output named `<name>.out`.
        verbose: whether the model is printed.
        options: PyTorch's other arguments. `verify=True` runs the model in ONNX Runtime and
            compares; `dynamo`, `optimize`, `do_constant_folding`, `report` and their like, which
            say how PyTorch's exporter works, are taken and change nothing.

    Raises:
        OnnxExporterError: for ops that ONNX can't express; all of them at once, with the lines.
        MissingExtraError: where the package `onnx` is not installed.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> program = ag.onnx.export(model, (ag.ones(3, 4),), dynamic_shapes=({0: "batch"},))
    >>> [node.op_type for node in program.model_proto.graph.node]
    ['Gemm', 'Relu', 'Gemm']
    >>> program.input_names, program.output_names
    (['input'], ['output'])
    """
    onnx()
    _check(options, mutable_state)
    if f is not None and path is not None:
        raise ArgumentError(f"onnx.export: f and path name two files, {f!r} and {path!r}")
    if opset is not None and opset_version is not None and opset != opset_version:
        raise ArgumentError(f"onnx.export: opset {opset} and opset_version {opset_version} differ")
    version = checked_opset(opset_version if opset is None else opset)
    given, sizes = _arguments(args, kwargs), (dynamic_shapes, dynamic_axes)
    names, results = list(input_names or ()), list(output_names or ())
    mode = _training(training)
    signature = exported.signature_of(model)
    if signature is not None:
        model = signature
        results = results or [x.name for x in signature.outputs]
        names = names or [x.name for x in exported.required(signature)]
    is_given = any(given) or sizes != (None, None)
    if signature is not None and not any(given):
        given = exported.examples(signature), {}
        sizes = sizes if is_given else (exported.varying(signature), None)
    if isinstance(signature, Signature) and not is_given:
        found = tracing.recorded(signature)
    else:
        with tracing.in_mode(model, mode), exporting():
            found = tracing.traced(model, given, *sizes, names)
    proto = _model(found, version, names, results, mutable_state)
    check(proto)
    program = ONNXProgram(proto)
    if options.get("verify"):
        _verify(program, model, given, mode)
    if verbose:
        print(onnx().printer.to_text(proto))
    emit("onnx_exported", program=program)
    target = path if f is None else f
    if target is None:
        return program
    if not export_params or keep_initializers_as_inputs:
        proto = with_inputs(proto, export_params)
    saving.save(proto, target, external_data)
    return None


def _check(options: Mapping[str, Any], mutable_state: str) -> None:
    known = _WITHOUT_EFFECT | _KNOWN
    for name in options:
        if name not in known:
            raise TypeError(
                f"onnx.export: unexpected argument {name!r}{did_you_mean(name, sorted(known))}"
            )
    for name in ("custom_opsets", "export_modules_as_functions", "custom_translation_table"):
        if options.get(name):
            raise ArgumentError(
                f"onnx.export: {name} isn't there; an op of your own states its operators in a "
                "method onnx(g, inputs, params)"
            )
    if mutable_state not in ("refuse", "inputs"):
        raise ArgumentError(
            f"onnx.export: mutable_state must be 'refuse' or 'inputs', got {mutable_state!r}"
        )


def _arguments(args: Any, kwargs: Mapping[str, Any] | None) -> Given:
    """The arguments of the call; a list or a tuple is those, anything else is the only one."""
    positional = tuple(args) if isinstance(args, tuple | list) else (args,)
    return positional, dict(kwargs or {})


def _model(
    found: tracing.Traced, opset: int, inputs: list[str], outputs: list[str], mutable: str
) -> Any:
    program = found.program
    for i in [i for i in program.writes if program.state[i].name == "rng"]:
        del program.writes[i]  # the draws themselves are refused, unless nobody reads them
    written = [program.state[i].name for i in sorted(program.writes)]
    written = [name for name in written if name not in found.arguments]
    refused = [*found.rebound, *(written if mutable == "refuse" else ())]
    return program_to_model(
        program,
        found.state,
        opset=opset,
        input_names=inputs,
        output_names=outputs,
        state_as_inputs=found.arguments,
        changed=refused,
    )


def check(model: Any) -> None:
    """Let ONNX check a model, shapes included; what it finds is a defect of the export."""
    small = sum(len(t.raw_data) for t in model.graph.initializer) < saving.LIMIT
    try:
        if small:
            onnx().checker.check_model(model, full_check=True)
    except Exception as error:
        raise OnnxExporterError(
            f"{model.graph.name}: the exported model doesn't pass ONNX's checker, a defect of "
            f"Argand; nothing was written: {error}"
        ) from error


def _verify(program: ONNXProgram, model: Any, given: Given, mode: bool | None) -> None:
    """OnnxExporterError unless ONNX Runtime computes what the module does, to 1e-4 relative."""
    import numpy as np

    from argand.base.tree import flatten
    from argand.tensor.core import Tensor
    from argand.transform.mode import no_grad

    with tracing.in_mode(model, mode), no_grad():
        leaves = flatten(model(*given[0], **given[1]))[0]
    expected = [np.asarray(x) for x in leaves if isinstance(x, Tensor)]
    tensors = [x for x in flatten(given)[0] if isinstance(x, Tensor | np.ndarray)]
    for name, e, a in zip(program.output_names, expected, program(*tensors), strict=False):
        if not np.allclose(a, e, 1e-4, 1e-5, equal_nan=True):
            worst = np.abs(np.asarray(a, np.float64) - e).max()
            raise OnnxExporterError(f"{name}: ONNX Runtime's result is off by {worst}")


__all__ = ["OperatorExportTypes", "TrainingMode", "check", "export", "select_model_mode_for_export"]
