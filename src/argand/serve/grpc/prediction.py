"""PredictionService: TensorFlow Serving's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.serve.errors import ServeError, Status, invalid
from argand.serve.examples import classes_of, regressions_of
from argand.serve.grpc.calls import Call
from argand.serve.grpc.service import Asked, Service
from argand.serve.grpc.tensor_proto import described, fill, to_array
from argand.serve.handlers.strings import objects
from argand.serve.signature import ServedSignature, TensorSpec
from argand.serve.version import ModelVersion
from argand_client.definitions import messages

Outputs = dict[str, np.ndarray[Any, Any]]
_METHOD = "tensorflow/serving/"
_SIGNATURES = "type.googleapis.com/tensorflow.serving.SignatureDefMap"


class PredictionService(Service):
    """Answers TensorFlow Serving's clients."""

    name = "tensorflow.serving.PredictionService"

    def _made(self, kind: str, /, **fields: Any) -> Any:
        return messages()(f"tensorflow.serving.{kind}")(**fields)

    def _asked(self, spec: Any, call: Call) -> tuple[Asked, ServedSignature]:
        """What a ModelSpec names, and the signature."""
        named = asked(spec)
        return named, self.find(call, named).signature(spec.signature_name or None)

    def _spec(self, answer: Any, version: ModelVersion, signature: ServedSignature) -> None:
        """Say in an answer who gave it."""
        answer.model_spec.name = version.model
        answer.model_spec.version.value = version.number
        answer.model_spec.signature_name = signature.name

    # -- tensors -------------------------------------------------------------------------------

    async def predict(self, request: Any, call: Call) -> Any:
        """The outputs, or those that the filter names."""
        named, signature = self._asked(request.model_spec, call)
        wanted = list(request.output_filter) or [o.name for o in signature.outputs]
        known = {o.name for o in signature.outputs}
        for i, name in enumerate(wanted):
            if name in wanted[:i]:
                raise invalid(f"output_filter names {name!r} twice", "output_filter")
            if name not in known:
                raise invalid(
                    f"{signature.name} has no output {name!r}; its outputs are "
                    f"{', '.join(o.name for o in signature.outputs)}",
                    "output_filter",
                )
        inputs = {
            name: to_array(tensor, name, self.most_elements)
            for name, tensor in request.inputs.items()
        }
        version, signature, outputs = await self.outputs(call, named, signature.name, inputs)
        answer = self._made("PredictResponse")
        self._spec(answer, version, signature)
        for name in wanted:
            fill(answer.outputs[name], outputs[name])
        return answer

    async def get_model_metadata(self, request: Any, call: Call) -> Any:
        """The signatures with the types and sizes of their inputs and outputs."""
        if not request.metadata_field:
            raise invalid("metadata_field must say what is asked for", "metadata_field")
        for name in request.metadata_field:
            if name != "signature_def":
                raise invalid(
                    f"there is no metadata {name[:40]!r}, only signature_def", "metadata_field"
                )
        version = self.find(call, asked(request.model_spec))
        found = self._made("SignatureDefMap")
        for name, signature in version.signatures.items():
            into = found.signature_def[name]
            into.method_name = f"{_METHOD}predict"
            for specs, infos in (
                (signature.inputs, into.inputs),
                (signature.outputs, into.outputs),
            ):
                for spec in specs:
                    _describe(spec, infos[spec.name])
        answer = self._made("GetModelMetadataResponse")
        answer.model_spec.name = version.model
        answer.model_spec.version.value = version.number
        packed = answer.metadata["signature_def"]
        packed.type_url, packed.value = _SIGNATURES, found.SerializeToString()
        return answer

    # -- examples ------------------------------------------------------------------------------

    async def classify(self, request: Any, call: Call) -> Any:
        """Labels and scores of examples."""
        version, signature, outputs = await self._of_examples(request, request.model_spec, call)
        answer = self._made("ClassificationResponse")
        self._spec(answer, version, signature)
        _classify(version, signature, outputs, answer.result)
        return answer

    async def regress(self, request: Any, call: Call) -> Any:
        """A number for each example."""
        version, signature, outputs = await self._of_examples(request, request.model_spec, call)
        answer = self._made("RegressionResponse")
        self._spec(answer, version, signature)
        _regress(signature, outputs, answer.result)
        return answer

    async def multi_inference(self, request: Any, call: Call) -> Any:
        """Several classifications and regressions of the same examples."""
        if not request.tasks:
            raise invalid("there are no tasks", "tasks")
        if len({task.model_spec.name for task in request.tasks}) > 1:
            raise invalid("the tasks ask several models", "tasks")
        answer = self._made("MultiInferenceResponse")
        for task in request.tasks:
            kind = task.method_name.removeprefix(_METHOD)
            if kind not in ("classify", "regress"):
                raise ServeError(
                    Status.UNIMPLEMENTED,
                    f"a task is {_METHOD}classify or {_METHOD}regress, got "
                    f"{task.method_name[:60]!r}",
                    field="method_name",
                )
            version, signature, outputs = await self._of_examples(request, task.model_spec, call)
            result = answer.results.add()
            self._spec(result, version, signature)
            if kind == "classify":
                _classify(version, signature, outputs, result.classification_result)
            else:
                _regress(signature, outputs, result.regression_result)
        return answer

    async def _of_examples(
        self, request: Any, spec: Any, call: Call
    ) -> tuple[ModelVersion, ServedSignature, Outputs]:
        named, signature = self._asked(spec, call)
        examples = _examples(request.input)
        inputs = {
            x.name: self._column(x, examples)
            for x in signature.inputs
            if not (x.optional and all(x.name not in e for e in examples))
        }
        return await self.outputs(call, named, signature.name, inputs)

    def _column(self, spec: TensorSpec, examples: Sequence[Any]) -> np.ndarray[Any, Any]:
        """The values of a feature in all examples, as rows of an input."""
        rows = [_values(spec, example) for example in examples]
        if len({len(row) for row in rows}) > 1:
            raise invalid(f"{spec.name}: the examples have different numbers of values", spec.name)
        flat = np.concatenate(rows)
        if flat.size > self.most_elements:
            raise ServeError(
                Status.TOO_LARGE,
                f"{spec.name}: more than {self.most_elements} elements",
                field=spec.name,
            )
        if flat.dtype.kind == "O" and spec.dtype is not None and len(rows[0]) == 1:
            return flat
        shape = [len(rows), *_row_shape(spec, len(rows[0]))]
        if math.prod(shape) != flat.size:
            raise invalid(
                f"{spec.name}: {len(rows[0])} values of an example are no row of {spec}", spec.name
            )
        return flat.reshape(shape)


def asked(spec: Any) -> Asked:
    """The name, number and label in a ModelSpec."""
    if not spec.name:
        raise invalid("the request names no model", "model_spec.name")
    choice = spec.WhichOneof("version_choice")
    if choice == "version":
        return Asked(spec.name, spec.version.value)
    return Asked(spec.name, None, spec.version_label if choice else None)


def _describe(spec: TensorSpec, info: Any) -> None:
    number, shape = described(spec)
    info.name, info.dtype = f"{spec.name}:0", number
    if shape is None:
        info.tensor_shape.unknown_rank = True
        return
    info.tensor_shape.SetInParent()
    for size in shape:
        info.tensor_shape.dim.add(size=size)


def _examples(given: Any) -> list[dict[str, Any]]:
    """The features of each example; those of a context belong to all."""
    kind = given.WhichOneof("kind")
    if kind is None:
        raise invalid("the request has no examples", "input")
    listed = getattr(given, kind)
    context = dict(listed.context.features.feature) if "with_context" in kind else {}
    found = [{**context, **e.features.feature} for e in listed.examples]
    if not found:
        raise invalid("the request has no examples", "input")
    return found


def _values(spec: TensorSpec, example: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The values of an example's feature, in the input's type."""
    feature = example.get(spec.name)
    kind = None if feature is None else feature.WhichOneof("kind")
    if feature is None or kind is None:
        raise invalid(f"an example has no feature {spec.name!r}", spec.name)
    values = getattr(feature, kind).value
    if kind == "bytes_list":  # text, or an image that the card describes
        return objects(values)
    if spec.dtype is None:
        raise invalid(f"{spec.name}: strings are given in bytes_list", spec.name)
    if kind == "float_list" and spec.dtype.kind in "biu":
        raise invalid(f"{spec.name}: {spec.dtype.name} is not given in {kind}", spec.name)
    stored = np.float32 if kind == "float_list" else np.int64
    found = np.fromiter(values, stored, len(values))
    made = found.astype(spec.dtype.numpy)
    if kind == "int64_list" and spec.dtype.kind in "biu" and not np.array_equal(made, found):
        raise invalid(f"{spec.name}: a value is out of the range of {spec.dtype.name}", spec.name)
    return made


def _row_shape(spec: TensorSpec, count: int) -> list[int]:
    """The sizes of a row of `count` values; one that varies follows from the others."""
    if spec.shape is None or not spec.shape:
        return [] if count == 1 else [count]
    rest = [s if isinstance(s, int) else -1 for s in spec.shape[1:]]
    if rest.count(-1) == 1:
        known = math.prod(s for s in rest if s != -1)
        rest[rest.index(-1)] = count // known if known else 0
    return rest


def _classify(
    version: ModelVersion, signature: ServedSignature, outputs: Outputs, into: Any
) -> None:
    for row in classes_of(version, signature, list(outputs.values())):
        classes = into.classifications.add().classes
        for name, score in row:
            classes.add(label=name, score=score)


def _regress(signature: ServedSignature, outputs: Outputs, into: Any) -> None:
    for value in regressions_of(signature, list(outputs.values())).astype(np.float32).tolist():
        into.regressions.add(value=value)


__all__ = ["PredictionService", "asked"]
