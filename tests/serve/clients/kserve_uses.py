"""What KServe's clients ask of a server with its profile: `kserve_uses.py HTTP GRPC FOLDER`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx
import numpy as np
from attempts import attempt
from kserve import InferInput, InferRequest
from kserve.inference_client import InferenceGRPCClient, InferenceRESTClient, RESTConfig
from kserve.protocol.infer_type import RequestedOutput


async def by_rest(url: str, x: np.ndarray, expected: np.ndarray) -> None:
    for protocol in ("v1", "v2"):
        client = InferenceRESTClient(RESTConfig(protocol=protocol, timeout=60))
        assert await client.is_server_live(url), protocol
        assert await client.is_model_ready(url, "digits") is True, protocol
        if protocol == "v1":
            found = await client.infer(url, {"instances": x.tolist()}, "digits")
            assert np.float32(found["predictions"]).tobytes() == expected.tobytes()
            for call in (
                client.explain(url, "digits", {"instances": x.tolist()}),
                client.infer(url, {"instances": [[1]]}, "digits"),
                client.is_model_ready(url, "nothing"),
            ):
                try:
                    await call
                    raise AssertionError(protocol)
                except httpx.HTTPStatusError as error:
                    assert "for url" in str(error)
        else:
            assert await client.is_server_ready(url)
            assert await client.is_model_ready(url, "nothing") is False
            for binary in (True, False):
                given = InferInput("input", list(x.shape), "FP32")
                given.set_data_from_numpy(x, binary_data=binary)
                outputs = [RequestedOutput("output", {"binary_data": binary})]
                for wanted in (None, outputs):
                    request = InferRequest(
                        "digits",
                        [given],
                        request_id="9",
                        request_outputs=wanted,
                        parameters={"binary_data_output": binary},
                    )
                    answer = await client.infer(url, request, "digits")
                    assert answer.id == "9" and answer.model_name == "digits"
                    assert answer.outputs[0].as_numpy().tobytes() == expected.tobytes()
            half = InferInput("input", [3, 2], "FP32")
            half.set_data_from_numpy(x[:, :2], binary_data=True)
            try:
                await client.infer(url, InferRequest("digits", [half]), "digits")
                raise AssertionError
            except httpx.HTTPStatusError as error:
                assert "input" in str(error)
        await client.close()


async def by_rpc(address: str, x: np.ndarray, expected: np.ndarray) -> None:
    client = InferenceGRPCClient(address)
    assert await client.is_server_live() and await client.is_server_ready()
    assert await client.is_model_ready("digits")
    for raw in (True, False):
        given = InferInput("input", list(x.shape), "FP32")
        given.set_data_from_numpy(x, binary_data=raw)
        answer = await client.infer(InferRequest("digits", [given], request_id="9"))
        assert answer.id == "9"
        assert answer.outputs[0].as_numpy().tobytes() == expected.tobytes()
    await client.close()


def main(http: str, address: str, folder: str) -> None:
    """Ask a server over both ports."""
    arrays = np.load(Path(folder) / "answers.npz")
    x, expected = arrays["x"], arrays["digits2"]
    calls = {"REST": (by_rest, "http://" + http), "gRPC": (by_rpc, address)}
    attempt(
        (name, lambda call=call, at=at: asyncio.run(call(at, x, expected)))
        for name, (call, at) in calls.items()
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
