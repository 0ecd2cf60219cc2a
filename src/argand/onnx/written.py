"""What `argand.onnx.export` gives: a model to look at, to run with other runtimes, and to save."""

from __future__ import annotations

import os
from typing import IO, Any

import numpy as np

from argand.base.errors import missing_extra
from argand.onnx import saving
from argand.onnx.package import onnx


class ONNXProgram:
    """An exported model: `model_proto`, and `save(path)`. Follows `torch.onnx.ONNXProgram`.

    Called with the arguments of the module, it runs in ONNX Runtime, where that is installed, and
    gives the outputs as a list of arrays.

    >>> program = ag.onnx.export(nn.Linear(3, 2), (ag.ones(1, 3),))
    >>> [node.op_type for node in program.model_proto.graph.node]
    ['Gemm']
    >>> program
    <ONNXProgram of Linear, opset 20, 1 nodes>
    """

    def __init__(self, model: Any) -> None:
        self.model_proto = model

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, in order."""
        return [x.name for x in self.model_proto.graph.input]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, in order."""
        return [x.name for x in self.model_proto.graph.output]

    def save(
        self,
        destination: str | os.PathLike[str] | IO[bytes],
        *,
        include_initializers: bool = True,
        keep_initializers_as_inputs: bool = False,
        external_data: bool | None = None,
    ) -> None:
        """Write the model to a file, whole or not at all.

        Args:
            destination: the file's name, or a file that is open for bytes.
            include_initializers: whether the weights are written; without them they are inputs.
            keep_initializers_as_inputs: whether the weights are inputs too, which may be given.
            external_data: whether the weights are in `<destination>.data` beside it; None says so
                where the model has 2 GB or more.
        """
        model = self.model_proto
        if not include_initializers or keep_initializers_as_inputs:
            model = with_inputs(model, include_initializers)
        saving.save(model, destination, external_data)

    def __call__(self, *args: Any, **kwargs: Any) -> list[Any]:
        try:
            import onnxruntime
        except ImportError as e:
            raise missing_extra("onnxruntime", "onnx", "running an ONNXProgram") from e
        session = onnxruntime.InferenceSession(
            self.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        given = dict(zip(self.input_names, args, strict=False)) | kwargs
        found: list[Any] = session.run(None, {k: np.asarray(v) for k, v in given.items()})
        return found

    def __repr__(self) -> str:
        graph = self.model_proto.graph
        opset = self.model_proto.opset_import[0].version
        return f"<ONNXProgram of {graph.name}, opset {opset}, {len(graph.node)} nodes>"


def with_inputs(model: Any, keep: bool) -> Any:
    """A copy of a model whose weights are inputs, and initializers too where `keep`."""
    found = type(model)()
    found.CopyFrom(model)
    for tensor in model.graph.initializer:
        info = onnx().helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        found.graph.input.append(info)
    if not keep:
        del found.graph.initializer[:]
    return found


__all__ = ["ONNXProgram", "with_inputs"]
