"""What all peers share: the session of ONNX Runtime, and the JSON of requests and answers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

NAME = os.environ["SERVED_MODEL"]
DTYPE = np.int64 if NAME == "encoder" else np.float32


def session() -> onnxruntime.InferenceSession:
    """The model, on as many threads as there are cores for this process."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    path = Path(os.environ["SERVED_FOLDER"]) / "onnx" / f"{NAME}.onnx"
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def asked(body: bytes) -> np.ndarray:
    """The rows of a request."""
    try:
        import orjson

        given = orjson.loads(body)
    except ImportError:
        given = json.loads(body)
    return np.array(given["instances"], DTYPE)


def batched(run: Any, rows: list[np.ndarray]) -> list[list[list[float]]]:
    """The answers to requests that were put together: those of equal lengths in one call."""
    found: list[Any] = [None] * len(rows)
    lengths: dict[tuple[int, ...], list[int]] = {}
    for i, x in enumerate(rows):
        lengths.setdefault(x.shape[1:], []).append(i)
    for numbers in lengths.values():
        y = run(np.concatenate([rows[i] for i in numbers]))
        at = 0
        for i in numbers:
            found[i] = y[at : at + len(rows[i])].tolist()
            at += len(rows[i])
    return found
