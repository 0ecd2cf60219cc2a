"""The models that are served, as .argand and .onnx, and the requests that all servers are sent.

python models.py FOLDER
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import argand as ag
from argand import nn

KINDS = {"mlp": "float32", "resnet18": "float32", "encoder": "int64"}
VOCABULARY, LONGEST = 30522, 128


class Block(nn.Module):
    """Two convolutions beside a short cut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)])
        self.short: Any = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.short = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Any) -> Any:
        y = self.norms[0](self.first(x)).relu()
        return (self.norms[1](self.second(y)) + self.short(x)).relu()


class ResNet18(nn.Module):
    """ResNet-18 for images of 32x32."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
        blocks = [b for i, o, s in sizes for b in (Block(i, o, s), Block(o, o, 1))]
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()
        )
        self.body, self.head = nn.Sequential(*blocks), nn.Linear(512, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(self.stem(x)).mean((2, 3)))


class Encoder(nn.Module):
    """An encoder of BERT's small size: 4 layers of 512, 8 heads."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(VOCABULARY, 512), nn.Embedding(LONGEST, 512)
        layer = nn.TransformerEncoderLayer(512, 8, 2048, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(512, 2)

    def forward(self, ids: Any) -> Any:
        x = self.words(ids) + self.places(ag.arange(ids.shape[1]))
        return self.head(self.layers(x)[:, 0])


def exported(name: str) -> tuple[nn.Module, tuple[Any, ...], Any]:
    """A model, example arguments, and the sizes that vary."""
    rows, length = ag.Dim("rows"), ag.Dim("length", min=1, max=LONGEST)
    ag.manual_seed(0)
    if name == "mlp":
        model: nn.Module = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
        return model, (ag.rand(2, 784),), ({0: rows},)
    if name == "resnet18":
        return ResNet18(), (ag.rand(2, 3, 32, 32),), ({0: rows},)
    return Encoder(), (ag.randint(0, VOCABULARY, (2, 32)),), ({0: rows, 1: length},)


def inputs(name: str, count: int = 32) -> list[np.ndarray]:
    """The rows of the requests; those of the encoder have lengths from 8 to 128."""
    random = np.random.default_rng(0)
    if name == "encoder":
        lengths = random.integers(8, LONGEST + 1, count)
        return [random.integers(0, VOCABULARY, (1, n)) for n in lengths]
    shape = (1, 784) if name == "mlp" else (1, 3, 32, 32)
    return [random.random(shape, np.float32).round(4) for _ in range(count)]


def binary(name: str, x: np.ndarray) -> tuple[bytes, int]:
    """A request of KServe's v2 with the array behind its JSON, and how long the JSON is."""
    kind = {"float32": "FP32", "int64": "INT64"}[KINDS[name]]
    described = {
        "name": "x",
        "shape": list(x.shape),
        "datatype": kind,
        "parameters": {"binary_data_size": x.nbytes},
    }
    head = json.dumps({"inputs": [described], "parameters": {"binary_data_output": True}})
    return head.encode() + x.tobytes(), len(head)


def make(folder: Path) -> None:
    """Write the models, the requests and the answers that are right."""
    for name in KINDS:
        model, args, shapes = exported(name)
        model.eval()
        program = ag.export.export(
            model, args, dynamic_shapes=shapes, input_names=["x"], output_names=["y"]
        )
        place = folder / "models" / name / name / "1"  # each is served alone
        place.mkdir(parents=True, exist_ok=True)
        program.save(place / "model.argand")
        (folder / "onnx").mkdir(exist_ok=True)
        ag.onnx.export(
            model,
            args,
            folder / "onnx" / f"{name}.onnx",
            dynamic_shapes=shapes,
            input_names=["x"],
            output_names=["y"],
        )
        requests = folder / "requests"
        requests.mkdir(exist_ok=True)
        right = []
        for i, x in enumerate(inputs(name)):
            row = x.tolist() if name == "encoder" else x.round(4).astype(float).round(4).tolist()
            (requests / f"{name}.{i}.json").write_text(json.dumps({"instances": row}))
            body, _ = binary(name, x)
            (requests / f"{name}.{i}.v2").write_bytes(body)
            right.append(program(x).numpy()[0].tolist())
        (requests / f"{name}.right").write_text(json.dumps(right))


def seconds_of_call(folder: Path, name: str) -> float:
    """The median time of the model's own call, of one row."""
    program = ag.export.load(folder / "models" / name / name / "1" / "model.argand")
    signature, x = program.default, ag.from_numpy(inputs(name, 1)[0])
    times = []
    with ag.no_grad():
        for _ in range(400):
            start = time.perf_counter()
            signature.flat([x])
            times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(seconds_of_call(Path(sys.argv[1]), sys.argv[2]))
    else:
        make(Path(sys.argv[1]))
