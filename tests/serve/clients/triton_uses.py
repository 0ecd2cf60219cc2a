"""What users of Triton's client ask, over HTTP and gRPC: `triton_uses.py HTTP GRPC FOLDER`."""

from __future__ import annotations

import queue
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import tritonclient.grpc as rpc
import tritonclient.http as rest
from attempts import attempt
from tritonclient.utils import (
    InferenceServerException,
    np_to_triton_dtype,
    triton_to_np_dtype,
)

TOKEN = {"authorization": "Bearer secret"}
FLOATS = ("FP16", "FP32", "FP64")


def refused(call: Any, *words: str) -> None:
    """A call that the server refuses with a message that has these words."""
    try:
        call()
    except InferenceServerException as error:
        for word in words:
            assert word in str(error), (word, str(error))
        return
    raise AssertionError(f"not refused: {words}")


class Uses:
    """The same calls by either client."""

    def __init__(self, kind: Any, client: Any, x: np.ndarray, expected: np.ndarray) -> None:
        self.kind, self.client, self.x, self.expected = kind, client, x, expected
        self.is_rest = kind is rest
        self.parts = (
            self.about, self.infer, self.outputs, self.types, self.strings, self.two,
            self.signatures, self.statistics, self.not_served, self.repository,
        )  # fmt: skip

    def given(self, name: str, array: np.ndarray, kind: str | None = None, **how: Any) -> Any:
        made = self.kind.InferInput(
            name, list(array.shape), kind or np_to_triton_dtype(array.dtype)
        )
        return made.set_data_from_numpy(array, **(how if self.is_rest else {}))

    def same(self, answer: Any) -> None:
        assert answer.as_numpy("output").tobytes() == self.expected.tobytes()

    # -- the server and its models -------------------------------------------------------------

    def about(self) -> None:
        c = self.client
        assert c.is_server_live() and c.is_server_ready()
        assert c.is_model_ready("digits") and c.is_model_ready("digits", "1")
        as_json = {} if self.is_rest else {"as_json": True}
        server = c.get_server_metadata(**as_json)
        assert server["name"] == "argand" and "binary_tensor_data" in server["extensions"]
        found = c.get_model_metadata("digits", "2", **as_json)
        assert found["name"] == "digits" and found["versions"] == ["1", "2"]
        (given,) = found["inputs"]
        assert (given["name"], given["datatype"]) == ("input", "FP32")
        assert list(map(int, given["shape"])) == [-1, 6]
        config = c.get_model_config("digits", **as_json)
        config = config if self.is_rest else config["config"]
        assert config["max_batch_size"] == 32
        assert config["input"][0]["data_type"] == "TYPE_FP32"
        refused(lambda: c.get_model_metadata("digit"), "did you mean digits")
        refused(lambda: c.get_model_config("digits", "9"), "has no version 9")

    def repository(self) -> None:
        c = self.client
        index = c.get_model_repository_index()
        index = (
            index
            if self.is_rest
            else [{"name": m.name, "version": m.version, "state": m.state} for m in index.models]
        )
        found = {(m["name"], m["version"]): m["state"] for m in index}
        assert found["digits", "1"] == found["digits", "2"] == "READY"
        c.unload_model("two", headers=TOKEN)
        assert not self.ready("two")
        c.load_model("two", headers=TOKEN)
        assert self.ready("two")
        c.unload_model("two", headers=TOKEN, unload_dependents=True)
        c.load_model("two", headers=TOKEN)
        refused(lambda: c.load_model("two"), "authorization")
        refused(lambda: c.load_model("nothing", headers=TOKEN), "nothing")
        refused(lambda: c.load_model("two", headers=TOKEN, config="{}"), "config")
        refused(
            lambda: c.load_model("two", headers=TOKEN, config="{}", files={"file:1/m": b"x"}), ""
        )
        refused(lambda: c.unload_model("nothing", headers=TOKEN), "nothing")

    def ready(self, name: str) -> bool:
        return bool(self.client.is_model_ready(name))

    def statistics(self) -> None:
        as_json = {} if self.is_rest else {"as_json": True}
        found = self.client.get_inference_statistics("digits", "2", **as_json)["model_stats"][0]
        assert found["name"] == "digits" and int(found["inference_count"]) >= 3
        assert int(found["inference_stats"]["success"]["count"]) >= 1
        assert int(found["batch_stats"][0]["compute_infer"]["ns"]) > 0
        assert self.client.get_inference_statistics(**as_json)["model_stats"]
        refused(lambda: self.client.get_inference_statistics("nothing"), "nothing")

    def not_served(self) -> None:
        """Memory that is shared, traces and logs: refused by a message, or empty."""
        c = self.client
        for of in ("system", "cuda"):
            status = getattr(c, f"get_{of}_shared_memory_status")()
            assert not (status if self.is_rest else status.regions), status
            getattr(c, f"unregister_{of}_shared_memory")()
            refused(lambda of=of: getattr(c, f"get_{of}_shared_memory_status")("r"), "r")
        refused(lambda: c.register_system_shared_memory("r", "/r", 8), "shared memory")
        refused(lambda: c.register_cuda_shared_memory("r", b"aaaa", 0, 8), "shared memory")
        shared = self.kind.InferInput("input", [3, 6], "FP32")
        shared.set_shared_memory("r", 72)
        refused(lambda: c.infer("digits", [shared]), "shared memory")
        back = self.kind.InferRequestedOutput("output")
        back.set_shared_memory("r", 36)
        refused(
            lambda: c.infer("digits", [self.given("input", self.x)], outputs=[back]),
            "shared memory",
        )
        refused(lambda: c.update_trace_settings("digits", {"trace_rate": "1"}), "trac")
        refused(lambda: c.update_log_settings({"log_verbose_level": 1}), "log")
        for ask in (
            lambda: c.get_trace_settings("digits"),
            c.get_trace_settings,
            c.get_log_settings,
        ):
            ask()

    # -- inference -----------------------------------------------------------------------------

    def infer(self) -> None:
        c, x = self.client, self.x
        given = [self.given("input", x)]
        self.same(c.infer("digits", given))
        self.same(c.infer("digits", given, model_version="2", request_id="7"))
        assert c.infer("digits", given, "1").as_numpy("output").tobytes() != self.expected.tobytes()
        answer = c.infer("digits", given, request_id="a/7").get_response()
        answer = (
            answer if self.is_rest else {"id": answer.id, "model_version": answer.model_version}
        )
        assert (answer["id"], answer["model_version"]) == ("a/7", "2")
        self.same(
            c.infer(
                "digits",
                given,
                headers={"x-request-id": "r"},
                timeout=10_000_000,
                priority=2,
                sequence_id=5,
                sequence_start=True,
                sequence_end=True,
                parameters={"mine": "1"},
            )
        )
        self.same(c.infer("digits", given, sequence_id="five"))
        for how in ("gzip", "deflate"):
            if self.is_rest:
                self.same(
                    c.infer(
                        "digits",
                        given,
                        request_compression_algorithm=how,
                        response_compression_algorithm=how,
                    )
                )
            else:
                self.same(c.infer("digits", given, compression_algorithm=how))
        refused(lambda: c.infer("digits", [self.given("imput", x)]), "imput", "did you mean input")
        refused(lambda: c.infer("digits", [self.given("input", x[:, :5])]), "input", "6")
        refused(
            lambda: c.infer("digits", [self.given("input", x.astype(np.float64))]),
            "input",
            "float32",
        )
        refused(lambda: c.infer("digits", given, "9"), "has no version 9")
        refused(
            lambda: c.infer("digits", given, outputs=[self.kind.InferRequestedOutput("o")]), "'o'"
        )

    def outputs(self) -> None:
        c, given = self.client, [self.given("input", self.x)]
        kinds = (True, False) if self.is_rest else (None,)
        for binary in kinds:
            how = {} if binary is None else {"binary_data": binary}
            wanted = [self.kind.InferRequestedOutput("output", **how)]
            self.same(c.infer("digits", given, outputs=wanted))
            top = self.kind.InferRequestedOutput("output", class_count=2, **how)
            found = c.infer("digits", given, outputs=[top]).as_numpy("output")
            assert found.shape == (3, 2)
            texts = [t.decode() if isinstance(t, bytes) else t for t in found[:, 0]]
            assert [int(t.split(":")[1]) for t in texts] == self.expected.argmax(1).tolist()
            top = self.kind.InferRequestedOutput("output", class_count=1, **how)
            image = np.ones((1, 1, 4, 4), np.float32)
            (text,) = c.infer("pictures", [self.given("input", image)], outputs=[top]).as_numpy(
                "output"
            )[0]
            text = text.decode() if isinstance(text, bytes) else text
            assert text.split(":")[2] in ("cat", "dog", "owl"), text

    def types(self) -> None:
        """An array of each type, there and back, as bytes and as JSON."""
        metadata = self.client.get_model_metadata("every")
        listed = metadata["inputs"] if self.is_rest else metadata.inputs
        kinds = {
            (x["name"], x["datatype"]) if self.is_rest else (x.name, x.datatype) for x in listed
        }
        arrays = {name: array_of(kind, name == "scale") for name, kind in kinds}
        for binary in (True, False) if self.is_rest else (None,):
            sent, wanted = [], []
            for name, kind in kinds:
                made = self.kind.InferInput(name, list(arrays[name].shape), kind)
                needs_bytes = True if kind in ("BF16", "FP16") else binary
                how = {"binary_data": needs_bytes} if self.is_rest else {}
                sent.append(made.set_data_from_numpy(arrays[name], **how))
                # the client reads no JSON of BF16
                how = {"binary_data": True if kind == "BF16" else binary} if self.is_rest else {}
                wanted.append(self.kind.InferRequestedOutput(name, **how))
            answer = self.client.infer("every", sent, outputs=wanted)
            for name, array in arrays.items():
                found = answer.as_numpy(name)
                assert found.dtype == array.dtype and found.tobytes() == array.tobytes(), name

    def strings(self) -> None:
        texts = np.array([b"a", b"", "Z\u00fcrich \u2603".encode()], object)
        for binary in (True, False) if self.is_rest else (True,):
            given = [self.given("text", texts, "BYTES", binary_data=binary)]
            how = {"binary_data": binary} if self.is_rest else {}
            wanted = [self.kind.InferRequestedOutput("same_bytes", **how)]
            found = self.client.infer("words", given, outputs=wanted).as_numpy("same_bytes")
            assert [t if isinstance(t, bytes) else t.encode() for t in found] == texts.tolist()

    def two(self) -> None:
        x, k = np.ones((2, 3), np.float32), np.array([5, 7], np.int32)
        for first, second in ((True, False), (False, True), (False, False)):
            given = [self.given("x", x, binary_data=first), self.given("k", k, binary_data=second)]
            answer = self.client.infer("two", given)
            assert (answer.as_numpy("up") == 2).all()
            assert answer.as_numpy("twice").tolist() == [10, 14]

    def signatures(self) -> None:
        names = self.client.get_model_metadata("scores")
        name = names["inputs"][0]["name"] if self.is_rest else names.inputs[0].name
        given = [self.given(name, self.x)]
        answer = self.client.infer("scores", given, parameters={"signature_name": "regress"})
        assert answer.as_numpy("outputs").shape == (3,)


def array_of(kind: str, is_number: bool) -> np.ndarray:
    """Random values of a type, the least and the largest among them."""
    random = np.random.default_rng(0)
    shape = () if is_number else (2, 2)
    if kind == "BOOL":
        return random.integers(0, 2, shape).astype(bool)
    if kind in ("BF16", *FLOATS):
        dtype = ml_dtypes.bfloat16 if kind == "BF16" else triton_to_np_dtype(kind)
        return np.asarray(random.standard_normal(shape)).astype(dtype)
    limits = np.iinfo(triton_to_np_dtype(kind))
    return np.array([[limits.min, limits.max], [1, 2]], limits.dtype)


def asynchronous(http: str, grpc: str, x: np.ndarray, expected: np.ndarray) -> None:
    with rest.InferenceServerClient(http, concurrency=4) as client:
        given = rest.InferInput("input", [3, 6], "FP32").set_data_from_numpy(x)
        asked = [client.async_infer("digits", [given], request_id=str(i)) for i in range(16)]
        for i, one in enumerate(asked):
            answer = one.get_result()
            assert answer.get_response()["id"] == str(i)
            assert answer.as_numpy("output").tobytes() == expected.tobytes()
        refused(lambda: client.async_infer("digit", [given]).get_result(), "did you mean")
    with rpc.InferenceServerClient(grpc) as client:
        given = rpc.InferInput("input", [3, 6], "FP32").set_data_from_numpy(x)
        answers: queue.Queue[Any] = queue.Queue()
        for i in range(16):
            client.async_infer(
                "digits",
                [given],
                lambda result, error: answers.put((result, error)),
                request_id=str(i),
            )
        for _ in range(16):
            result, error = answers.get(timeout=30)
            assert error is None and result.as_numpy("output").tobytes() == expected.tobytes()
        client.async_infer("digit", [given], lambda result, error: answers.put((result, error)))
        assert "did you mean" in str(answers.get(timeout=30)[1])
        call = client.async_infer("digits", [given], lambda result, error: None)
        call.cancel()


def streams(grpc: str, x: np.ndarray, expected: np.ndarray) -> None:
    with rpc.InferenceServerClient(grpc) as client:
        given = rpc.InferInput("input", [3, 6], "FP32").set_data_from_numpy(x)
        answers: queue.Queue[Any] = queue.Queue()
        for how in (None, "gzip"):
            client.start_stream(
                lambda result, error: answers.put((result, error)), compression_algorithm=how
            )
            for i in range(8):
                client.async_stream_infer(
                    "digits" if i != 3 else "letter",
                    [given],
                    request_id=str(i),
                    sequence_id=9,
                    sequence_start=i == 0,
                    enable_empty_final_response=True,
                )
            client.stop_stream()
            found = [answers.get(timeout=30) for _ in range(8)]
            assert "letter" in str(found[3][1]), found[3]
            for i, (result, error) in enumerate(found):
                if i != 3:
                    assert error is None and result.get_response().id == str(i)
                    assert result.as_numpy("output").tobytes() == expected.tobytes()
                    assert result.get_response().parameters["triton_final_response"].bool_param
        texts(client, answers)


def texts(client: Any, answers: Any) -> None:
    """A language model's pieces, until the one that says that it is the last."""
    prompt = rpc.InferInput("text_input", [1], "BYTES")
    prompt.set_data_from_numpy(np.array([b"the cat "], object))
    client.start_stream(lambda result, error: answers.put((result, error)))
    client.async_stream_infer(
        "letters",
        [prompt],
        request_id="t",
        enable_empty_final_response=True,
        parameters={"max_tokens": 5, "temperature": 0.0, "seed": 1},
    )
    found = ""
    while True:
        result, error = answers.get(timeout=60)
        assert error is None, error
        text = result.as_numpy("text_output")
        found += "" if text is None else b"".join(text.reshape(-1)).decode()
        if result.get_response().parameters["triton_final_response"].bool_param:
            break
    assert len(found) == 5, found
    client.stop_stream()


def main(http: str, grpc: str, folder: str) -> None:
    """Ask a server by both clients."""
    arrays = np.load(Path(folder) / "answers.npz")
    x, expected = arrays["x"], arrays["digits2"]
    parts: list[tuple[str, Any]] = []
    with rest.InferenceServerClient(http) as one, rpc.InferenceServerClient(grpc) as other:
        for kind, client in ((rest, one), (rpc, other)):
            uses = Uses(kind, client, x, expected)
            parts += [(f"{kind.__name__}: {part.__name__}", part) for part in uses.parts]
        parts += [
            ("asynchronous", lambda: asynchronous(http, grpc, x, expected)),
            ("streams", lambda: streams(grpc, x, expected)),
        ]
        attempt(parts)


if __name__ == "__main__":
    main(*sys.argv[1:])
