"""What users of TensorFlow Serving ask, by its gRPC API and `requests`: `tensorflow_uses.py HTTP
GRPC FOLDER`."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import requests
import tensorflow as tf
from attempts import attempt
from google.protobuf import json_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

REGRESS, CLASSIFY = "tensorflow/serving/regress", "tensorflow/serving/classify"


class Rpc:
    """Calls of PredictionService and ModelService."""

    def __init__(self, address: str, x: np.ndarray, expected: np.ndarray) -> None:
        self.channel = grpc.insecure_channel(address)
        self.ask = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.x, self.expected = x, expected
        self.parts = (
            self.predict, self.types, self.filters, self.errors, self.examples, self.metadata,
            self.status, self.strings,
        )  # fmt: skip

    def refused(self, call: Any, code: str, *words: str) -> None:
        try:
            call()
        except grpc.RpcError as error:
            assert error.code().name == code, (error.code(), error.details())
            for word in words:
                assert word in error.details(), (word, error.details())
            return
        raise AssertionError(f"not refused: {code} {words}")

    def request(self, name: str = "digits", **spec: Any) -> Any:
        made = predict_pb2.PredictRequest()
        made.model_spec.name = name
        made.model_spec.signature_name = spec.get("signature", "")
        if "version" in spec:
            made.model_spec.version.value = spec["version"]
        if "label" in spec:
            made.model_spec.version_label = spec["label"]
        return made

    def predict(self) -> None:
        made = self.request()
        made.inputs["input"].CopyFrom(tf.make_tensor_proto(self.x))
        answer = self.ask.Predict(made, 60)
        assert answer.model_spec.name == "digits" and answer.model_spec.version.value == 2
        assert answer.model_spec.signature_name == "serving_default"
        assert tf.make_ndarray(answer.outputs["output"]).tobytes() == self.expected.tobytes()
        for how in ({"label": "canary"}, {"version": 2}, {"signature": "serving_default"}):
            again = self.request(**how)
            again.inputs["input"].CopyFrom(tf.make_tensor_proto(self.x))
            found = tf.make_ndarray(self.ask.Predict(again, 60).outputs["output"])
            assert found.tobytes() == self.expected.tobytes()
        content = self.request()
        content.inputs["input"].CopyFrom(tf.make_tensor_proto(self.x))
        content.inputs["input"].tensor_content = self.x.tobytes()
        content.inputs["input"].ClearField("float_val")
        found = tf.make_ndarray(self.ask.Predict(content, 60).outputs["output"])
        assert found.tobytes() == self.expected.tobytes()
        one = self.request()
        one.inputs["input"].CopyFrom(tf.make_tensor_proto(1.0, shape=[2, 6]))
        assert self.ask.Predict(one, 60).outputs["output"].tensor_shape.dim[0].size == 2
        self.fewer_values_than_elements()

    def fewer_values_than_elements(self) -> None:
        for values in ([], [3.0], [1.0, 2.0, 5.0]):
            fewer, whole = self.request(), self.request()
            tensor = fewer.inputs["input"]
            tensor.CopyFrom(tf.make_tensor_proto(0.0, shape=[2, 6]))
            tensor.ClearField("float_val")
            tensor.float_val.extend(values)
            whole.inputs["input"].CopyFrom(tf.make_tensor_proto(tf.make_ndarray(tensor)))
            found, expected = (self.ask.Predict(x, 60).outputs["output"] for x in (fewer, whole))
            assert tf.make_ndarray(found).tobytes() == tf.make_ndarray(expected).tobytes(), values

    def types(self) -> None:
        """An array of each type, there and back."""
        asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        asked.model_spec.name = "all"
        signatures = get_model_metadata_pb2.SignatureDefMap()
        self.ask.GetModelMetadata(asked, 60).metadata["signature_def"].Unpack(signatures)
        random, made = np.random.default_rng(0), self.request("all")
        arrays = {}
        for name, info in signatures.signature_def["serving_default"].inputs.items():
            dtype = tf.as_dtype(info.dtype).as_numpy_dtype
            array = np.asarray(random.integers(0, 2, () if name == "scale" else (3, 2)))
            arrays[name] = array.astype(dtype)
            made.inputs[name].CopyFrom(tf.make_tensor_proto(arrays[name], dtype=info.dtype))
        answer = self.ask.Predict(made, 60)
        assert len(arrays) > 12
        for name, array in arrays.items():
            assert tf.make_ndarray(answer.outputs[name]).tobytes() == array.tobytes(), name

    def filters(self) -> None:
        made = self.request("two")
        made.inputs["x"].CopyFrom(tf.make_tensor_proto(np.ones((2, 3), np.float32)))
        made.inputs["k"].CopyFrom(tf.make_tensor_proto(np.array([5, 7], np.int32)))
        assert sorted(self.ask.Predict(made, 60).outputs) == ["twice", "up"]
        made.output_filter.append("twice")
        answer = self.ask.Predict(made, 60)
        assert list(answer.outputs) == ["twice"]
        assert tf.make_ndarray(answer.outputs["twice"]).tolist() == [10, 14]
        made.output_filter.append("nothing")
        self.refused(lambda: self.ask.Predict(made, 60), "INVALID_ARGUMENT", "nothing")
        made.output_filter[:] = ["twice", "twice"]
        self.refused(lambda: self.ask.Predict(made, 60), "INVALID_ARGUMENT", "twice")

    def errors(self) -> None:
        good = tf.make_tensor_proto(self.x)
        cases = [
            ({"name": "digit"}, "input", good, "NOT_FOUND", "digit"),
            ({"name": ""}, "input", good, "INVALID_ARGUMENT", "model"),
            ({"version": 9}, "input", good, "NOT_FOUND", "9"),
            ({"label": "other"}, "input", good, "", "other"),
            ({"signature": "other"}, "input", good, "", "other"),
            ({}, "imput", good, "INVALID_ARGUMENT", "imput"),
            ({}, "input", tf.make_tensor_proto(self.x[:, :5]), "INVALID_ARGUMENT", "input"),
            ({}, "input", tf.make_tensor_proto(self.x.astype(int)), "INVALID_ARGUMENT", "input"),
        ]
        for spec, name, tensor, code, word in cases:
            made = self.request(**spec)
            made.inputs[name].CopyFrom(tensor)
            try:
                self.ask.Predict(made, 60)
                raise AssertionError(spec)
            except grpc.RpcError as error:
                assert not code or error.code().name == code, (spec, error.code())
                assert word in error.details()

    def examples(self) -> None:
        def example(row: Any) -> Any:
            values = tf.train.FloatList(value=row)
            feature = {self.name: tf.train.Feature(float_list=values)}
            return tf.train.Example(features=tf.train.Features(feature=feature))

        self.name = "x"
        classify = classification_pb2.ClassificationRequest()
        classify.model_spec.name = "scores"
        classify.input.example_list.examples.extend(example(row) for row in self.x)
        answer = self.ask.Classify(classify, 60)
        found = [[(c.label, c.score) for c in r.classes] for r in answer.result.classifications]
        assert [label for label, _ in found[0]] == ["0", "1", "2"], found
        regress = regression_pb2.RegressionRequest()
        regress.model_spec.name, regress.model_spec.signature_name = "scores", "regress"
        regress.input.example_list_with_context.examples.extend(
            tf.train.Example() for row in self.x
        )
        regress.input.example_list_with_context.context.CopyFrom(example(self.x[0]))
        values = [r.value for r in self.ask.Regress(regress, 60).result.regressions]
        assert len(set(values)) == 1 and len(values) == 3
        several = inference_pb2.MultiInferenceRequest()
        for name, method in (("", CLASSIFY), ("regress", REGRESS)):
            task = several.tasks.add(method_name=method)
            task.model_spec.name, task.model_spec.signature_name = "scores", name
        several.input.CopyFrom(classify.input)
        results = self.ask.MultiInference(several, 60).results
        assert results[0].classification_result == answer.result
        assert len(results[1].regression_result.regressions) == 3
        self.refused(
            lambda: self.ask.Classify(classification_pb2.ClassificationRequest(), 60),
            "INVALID_ARGUMENT",
        )
        classify.input.Clear()
        self.refused(lambda: self.ask.Classify(classify, 60), "INVALID_ARGUMENT", "example")

    def metadata(self) -> None:
        made = get_model_metadata_pb2.GetModelMetadataRequest()
        made.model_spec.name = "scores"
        made.metadata_field.append("signature_def")
        answer = self.ask.GetModelMetadata(made, 60)
        found = get_model_metadata_pb2.SignatureDefMap()
        assert answer.metadata["signature_def"].Unpack(found)
        assert sorted(found.signature_def) == ["encode", "regress", "serving_default"]
        info = found.signature_def["serving_default"].inputs["x"]
        assert info.dtype == tf.float32.as_datatype_enum
        assert [d.size for d in info.tensor_shape.dim] == [-1, 6]
        made.metadata_field[:] = ["other"]
        self.refused(lambda: self.ask.GetModelMetadata(made, 60), "INVALID_ARGUMENT", "other")

    def status(self) -> None:
        made = get_model_status_pb2.GetModelStatusRequest()
        made.model_spec.name = "digits"
        found = self.models.GetModelStatus(made, 60).model_version_status
        assert [(s.version, s.state) for s in found] == [(2, 30), (1, 30)]
        made.model_spec.version_label = "stable"
        assert self.models.GetModelStatus(made, 60).model_version_status[0].version == 1
        made.model_spec.name = "nothing"
        self.refused(lambda: self.models.GetModelStatus(made, 60), "NOT_FOUND", "nothing")
        reload = model_management_pb2.ReloadConfigRequest()
        config = reload.config.model_config_list.config.add(
            name="digits", model_platform="tensorflow"
        )
        config.model_version_policy.specific.versions.extend([1, 2])
        config.version_labels["canary"] = 2
        config.version_labels["stable"] = 1
        token = (("authorization", "Bearer secret"),)
        answer = self.models.HandleReloadConfigRequest(reload, 60, metadata=token)
        assert answer.status.error_code == 0
        self.refused(lambda: self.models.HandleReloadConfigRequest(reload, 60), "UNAUTHENTICATED")
        empty = model_management_pb2.ReloadConfigRequest()
        self.refused(
            lambda: self.models.HandleReloadConfigRequest(empty, 60, metadata=token),
            "INVALID_ARGUMENT",
        )

    def strings(self) -> None:
        made = self.request("words")
        made.inputs["text"].CopyFrom(tf.make_tensor_proto(["a", "", "Z\u00fcrich"]))
        found = tf.make_ndarray(self.ask.Predict(made, 60).outputs["same_bytes"])
        assert [t.decode() for t in found] == ["a", "", "Z\u00fcrich"]
        made.inputs["text"].string_val[0] = b"\xff"
        self.refused(lambda: self.ask.Predict(made, 60), "INVALID_ARGUMENT", "text", "UTF-8")


class Rest:
    """The same over HTTP."""

    def __init__(self, address: str, x: np.ndarray, expected: np.ndarray, folder: Path) -> None:
        self.at = f"http://{address}/v1/models/"
        self.x, self.expected, self.folder = x, expected, folder
        self.parts = (self.predict, self.strings, self.examples, self.about, self.errors)

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        sent = {"data": body} if isinstance(body, bytes | str) else {"json": body}
        found = requests.post(self.at + path, timeout=60, **sent)
        assert found.status_code == status, (path, body, found.status_code, found.text)
        assert found.headers["content-type"].startswith("application/json")
        if status != 200:
            assert list(found.json()) == ["error"] and isinstance(found.json()["error"], str)
        return found.json()

    def same(self, found: Any) -> None:
        assert np.float32(found).tobytes() == self.expected.tobytes()

    def predict(self) -> None:
        rows = self.x.tolist()
        for path in ("digits", "digits/versions/2", "digits/labels/canary"):
            self.same(self.post(path + ":predict", {"instances": rows})["predictions"])
            self.same(self.post(path + ":predict", {"inputs": rows})["outputs"])
        self.same(
            self.post("digits:predict", {"instances": [{"input": r} for r in rows]})["predictions"]
        )
        self.same(self.post("digits:predict", {"inputs": {"input": rows}})["outputs"])
        named = {"signature_name": "serving_default", "instances": rows}
        self.same(self.post("digits:predict", named)["predictions"])
        found = self.post("digits/versions/1:predict", {"instances": rows})["predictions"]
        assert np.float32(found).tobytes() != self.expected.tobytes()
        instances = [{"x": [1, 2, 3], "k": 5}, {"x": [0.5, 1e2, -0], "k": 7}]
        found = self.post("two:predict", {"instances": instances})["predictions"]
        assert found == [{"up": [2, 3, 4], "twice": 10}, {"up": [1.5, 101, 1], "twice": 14}]
        columns = {"x": [[1, 2, 3]], "k": [5]}
        assert self.post("two:predict", {"inputs": columns})["outputs"] == {
            "up": [[2, 3, 4]],
            "twice": [10],
        }
        regress = {"signature_name": "regress", "instances": rows}
        assert len(self.post("scores:predict", regress)["predictions"]) == 3
        odd = '{"instances": [[1, 2, NaN, Infinity, -Infinity, 0]]}'
        assert np.isnan(self.post("digits:predict", odd)["predictions"][0]).all()

    def strings(self) -> None:
        b64 = base64.b64encode("Z\u00fcrich".encode()).decode()
        for instances in (
            ["Z\u00fcrich", ""],
            [{"b64": b64}, ""],
            [{"text": {"b64": b64}}, {"text": ""}],
        ):
            found = self.post("words:predict", {"instances": instances})["predictions"]
            assert found == [{"b64": b64}, {"b64": ""}], found
        assert self.post("words:predict", {"inputs": ["a"]})["outputs"] == [{"b64": "YQ=="}]
        assert self.post("words:predict", {"inputs": {"text": [{"b64": "YQ=="}]}})["outputs"] == [
            {"b64": "YQ=="}
        ]
        for wrong in ([1], [None], [{"b64": 1}], [{"b64": "*"}], [["a"], "b"], [{"b64": "/w=="}]):
            assert "text" in self.post("words:predict", {"instances": wrong}, 400)["error"], wrong
        image = base64.b64encode((self.folder / "picture.png").read_bytes()).decode()
        self.post("pictures:predict", {"instances": [{"b64": image}]})
        self.post("pictures:predict", {"instances": [{"input": {"b64": image}}]})

    def examples(self) -> None:
        examples = [{"x": row} for row in self.x.tolist()]
        found = self.post("scores:classify", {"examples": examples})["results"]
        assert [label for label, _ in found[0]] == ["0", "1", "2"]
        body = {"signature_name": "regress", "examples": examples}
        assert len(self.post("scores:regress", body)["results"]) == 3
        body = {"signature_name": "regress", "context": examples[0], "examples": [{}, {}]}
        first, second = self.post("scores:regress", body)["results"]
        assert first == second
        self.post("scores:regress", {"examples": examples}, 400)
        self.post("scores:classify", {"examples": []}, 400)
        self.post("scores:classify", {"examples": [{"y": 1}]}, 400)
        self.post("scores:classify", {"examples": 3}, 400)

    def about(self) -> None:
        found = requests.get(self.at + "digits", timeout=60).json()["model_version_status"]
        assert found == [
            {
                "version": v,
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
            for v in ("2", "1")
        ]
        status = json_format.ParseDict(
            {"model_version_status": found}, get_model_status_pb2.GetModelStatusResponse()
        )
        assert status.model_version_status[0].version == 2
        for at in ("versions/1", "labels/stable"):
            (one,) = requests.get(f"{self.at}digits/{at}", timeout=60).json()[
                "model_version_status"
            ]
            assert one["version"] == "1"
        found = requests.get(self.at + "scores/metadata", timeout=60).json()
        assert found["model_spec"]["name"] == "scores" and found["model_spec"]["version"] == "1"
        described = found["metadata"]["signature_def"]
        made = json_format.ParseDict(
            described, get_model_metadata_pb2.SignatureDefMap(), ignore_unknown_fields=False
        )
        assert sorted(made.signature_def) == ["encode", "regress", "serving_default"]
        for path in ("digits/labels/canary/metadata", "digits/versions/1/metadata"):
            assert requests.get(self.at + path, timeout=60).status_code == 200
        for path in (
            "nothing",
            "digits/versions/9",
            "digits/labels/x",
            "nothing/metadata",
            "digits/versions/9/metadata",
        ):
            found = requests.get(self.at + path, timeout=60)
            assert found.status_code == 404 and list(found.json()) == ["error"], (path, found.text)

    def errors(self) -> None:
        rows = self.x.tolist()
        for path, body, status, word in (
            ("nothing:predict", {"instances": rows}, 404, "nothing"),
            ("digits/versions/9:predict", {"instances": rows}, 404, "9"),
            ("digits/labels/x:predict", {"instances": rows}, 404, "x"),
            ("digits/versions/a:predict", {"instances": rows}, 400, "a"),
            ("digits:predict", {}, 400, "instances"),
            ("digits:predict", [], 400, "object"),
            ("digits:predict", b"", 400, "JSON"),
            ("digits:predict", b"{", 400, "JSON"),
            ("digits:predict", {"instances": rows, "inputs": rows}, 400, "inputs"),
            ("digits:predict", {"instances": []}, 400, "instances"),
            ("digits:predict", {"instances": 3}, 400, "instances"),
            ("digits:predict", {"instances": [[1, 2]]}, 400, "input"),
            ("digits:predict", {"instances": [[1, 2], [1]]}, 400, "input"),
            ("digits:predict", {"instances": [["a"] * 6]}, 400, "input"),
            ("digits:predict", {"instances": [{"imput": [1] * 6}]}, 400, "imput"),
            ("digits:predict", {"instances": rows, "signature_name": 5}, 400, "signature_name"),
            ("digits:predict", {"instances": rows, "signature_name": "o"}, 400, "o"),
            ("two:predict", {"instances": [{"x": [1, 2, 3]}]}, 400, "k"),
            ("two:predict", {"instances": [{"x": [1, 2, 3], "k": 1}, {"x": [1, 2, 3]}]}, 400, "1"),
            ("two:predict", {"instances": [{"x": [1, 2, 3], "k": 1.5}]}, 400, "k"),
            ("two:predict", {"instances": [{"x": [1, 2, 3], "k": 2**31}]}, 400, "k"),
            ("two:predict", {"instances": [[1, 2, 3]]}, 400, "x"),
            ("digits:explain", {"instances": rows}, 501, "explanations"),
            ("digits/predict", {"instances": rows}, 404, ""),
        ):
            assert word in self.post(path, body, status)["error"], (path, body)


def main(http: str, address: str, folder: str) -> None:
    """Ask a server over both ports."""
    arrays = np.load(Path(folder) / "answers.npz")
    x, expected = arrays["x"], arrays["digits2"]
    parts = [*Rpc(address, x, expected).parts, *Rest(http, x, expected, Path(folder)).parts]
    attempt((part.__qualname__, part) for part in parts)


if __name__ == "__main__":
    main(*sys.argv[1:])
