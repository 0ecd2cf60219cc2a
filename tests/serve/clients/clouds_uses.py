"""What the clouds ask of a container, and SageMaker's own client: `clouds_uses.py FOLDER
PROFILE=HTTP ...`."""

from __future__ import annotations

import base64
import functools
import io
import json
import os
import sys
from pathlib import Path

import boto3
import numpy as np
import requests
from attempts import attempt


def sagemaker(url: str, x: np.ndarray, expected: np.ndarray) -> None:
    assert requests.get(url + "/ping", timeout=60).status_code == 200
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    client = boto3.client("sagemaker-runtime", endpoint_url=url, region_name="us-east-1")
    body = json.dumps({"instances": x.tolist()})
    for more in (
        {},
        {"TargetModel": "digits.tar.gz"},
        {"CustomAttributes": "a=b", "InferenceId": "7"},
    ):
        found = client.invoke_endpoint(
            EndpointName="e",
            ContentType="application/json",
            Accept="application/json",
            Body=body,
            **more,
        )
        assert found["ContentType"].startswith("application/json")
        assert found["InvokedProductionVariant"] == "AllTraffic"
        rows = json.load(found["Body"])["predictions"]
        assert np.float32(rows).tobytes() == expected.tobytes()
    file = io.BytesIO()
    np.save(file, x)
    found = client.invoke_endpoint(
        EndpointName="e",
        ContentType="application/x-npy",
        Accept="application/x-npy",
        Body=file.getvalue(),
    )
    assert np.load(io.BytesIO(found["Body"].read())).tobytes() == expected.tobytes()
    lines = "\n".join(",".join(map(repr, row)) for row in x.tolist())
    found = client.invoke_endpoint(
        EndpointName="e", ContentType="text/csv", Accept="text/csv", Body=lines
    )
    rows = [line.split(",") for line in found["Body"].read().decode().splitlines()]
    assert np.float64(rows).astype(np.float32).tobytes() == expected.tobytes()
    try:
        client.invoke_endpoint(EndpointName="e", ContentType="application/json", Body=b"{")
        raise AssertionError
    except client.exceptions.ModelError as error:
        assert error.response["OriginalStatusCode"] == 400, error.response
        assert "JSON" in error.response["OriginalMessage"]


def vertex(url: str, x: np.ndarray, expected: np.ndarray) -> None:
    assert requests.get(url + "/health", timeout=60).status_code == 200
    for body in (
        {"instances": x.tolist()},
        {"instances": x.tolist(), "parameters": {"a": 1}},
        {"instances": [{"input": row} for row in x.tolist()]},
    ):
        found = requests.post(url + "/predict", json=body, timeout=60)
        assert np.float32(found.json()["predictions"]).tobytes() == expected.tobytes()
    assert requests.post(url + "/predict", json={"instances": 3}, timeout=60).status_code == 400


def azure(url: str, x: np.ndarray, expected: np.ndarray) -> None:
    for path in ("/", "/liveness", "/readiness"):
        assert requests.get(url + path, timeout=60).status_code == 200
    found = requests.post(url + "/score", json={"data": x.tolist()}, timeout=60)
    assert np.float32(found.json()).tobytes() == expected.tobytes(), found.text
    found = requests.post(url + "/score", json={"input_data": x.tolist()}, timeout=60)
    assert np.float32(found.json()).tobytes() == expected.tobytes(), found.text
    columns = {"input_data": {"columns": list("abcdef"), "index": [0, 1, 2], "data": x.tolist()}}
    found = requests.post(url + "/score", json=columns, timeout=60)
    assert np.float32(found.json()).tobytes() == expected.tobytes(), found.text


def torchserve(url: str, x: np.ndarray, expected: np.ndarray, image: bytes) -> None:
    manage = {"authorization": "Bearer secret"}
    assert requests.get(url + "/ping", timeout=60).json() == {"status": "Healthy"}
    best = None
    for how in (
        {"data": image},
        {"files": {"data": image}},
        {"files": {"data": ("a.png", image, "image/png")}},
        {"files": {"body": image}},
        {"data": {"data": base64.b64encode(image)}},
        {"json": {"data": base64.b64encode(image).decode()}},
        {"json": {"instances": [{"data": base64.b64encode(image).decode()}]}},
        {"json": {"instances": [{"b64": base64.b64encode(image).decode()}]}},
        {"json": [{"data": base64.b64encode(image).decode()}]},
    ):
        found = requests.post(url + "/predictions/pictures", timeout=60, **how)
        best = best or found.text
        assert (found.status_code, found.text) == (200, best), (how, found.text)
    several = requests.post(
        url + "/predictions/pictures", files=[("data", image), ("data", image)], timeout=60
    )
    assert several.json() == [json.loads(best)] * 2
    found = requests.put(url + "/predictions/pictures/1.0", data=image, timeout=60)
    assert found.text == best
    found = requests.post(url + "/predictions/digits", json=x.tolist(), timeout=60).json()
    assert np.float32(found).tobytes() == expected.tobytes()
    listed = requests.get(url + "/models", headers=manage, timeout=60).json()["models"]
    assert {"modelName": "digits", "modelUrl": "model.argand"} in listed
    described = requests.get(url + "/models/digits/all", headers=manage, timeout=60).json()
    assert [d["modelVersion"] for d in described] == ["1.0", "2.0"]
    for path, status in (("/models/nothing", 404), ("/models/digits/9.0", 404)):
        found = requests.get(url + path, headers=manage, timeout=60)
        assert found.status_code == found.json()["code"] == status
    assert requests.options(url + "/", timeout=60).json()["openapi"]


def main(folder: str, *profiles: str) -> None:
    """Ask the servers of some profiles, `torchserve=127.0.0.1:8080`."""
    arrays = np.load(Path(folder) / "answers.npz")
    x, expected = arrays["x"], arrays["digits2"]
    image = (Path(folder) / "picture.png").read_bytes()
    parts = {
        "sagemaker": sagemaker,
        "vertex": vertex,
        "azure": azure,
        "torchserve": functools.partial(torchserve, image=image),
    }
    servers = [profile.split("=") for profile in profiles]
    attempt(
        (name, lambda name=name, at=at: parts[name]("http://" + at, x, expected))
        for name, at in servers
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
