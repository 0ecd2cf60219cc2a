"""The models that the protocols' own clients ask, and what they are to answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pictures import picture, put_pictures
from rpc import SAVED, everything
from served import classifier, exported, inputs, put
from texts import LETTERS, small_model
from web import two_inputs

import argand as ag
from argand import nn
from argand.serve import ModelOptions, VersionPolicy, generation

TOKEN = "secret"


class Scores(nn.Module):
    """A network with signatures of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        """Scores of classes."""
        return {"scores": self.head(self.body(x))}

    def regress(self, x: Any) -> Any:
        """A number for each row."""
        return {"outputs": self.head(self.body(x)).sum(1)}


def signatures() -> Any:
    """A program with the signatures `serving_default`, `regress` and `encode`."""
    ag.manual_seed(1)
    module, rows = Scores().eval(), ag.Dim("rows")
    x, shapes = (ag.ones(2, 6),), ({0: rows},)
    program = ag.export.export(module, x, dynamic_shapes=shapes)
    program.add_signature("regress", module.regress, x, dynamic_shapes=shapes)
    program.add_signature("encode", module.body, x, dynamic_shapes=shapes)
    return program


def put_words(root: Path) -> None:
    """A model of ONNX that gives strings back."""
    import onnx

    value = onnx.helper.make_tensor_value_info
    text = [value(name, onnx.TensorProto.STRING, ["n"]) for name in ("text", "same_bytes")]
    node = onnx.helper.make_node("Identity", ["text"], ["same_bytes"])
    graph = onnx.helper.make_graph([node], "words", text[:1], text[1:])
    opset = [onnx.helper.make_opsetid("", 17)]
    folder = root / "words" / "1"
    folder.mkdir(parents=True)
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset), folder / "model.onnx")


def put_all(root: Path) -> None:
    """Write the models."""
    for number in (1, 2):
        put(exported(classifier(number)), root, "digits", number)
    real = tuple(d for d in SAVED if d.kind != "c")
    put(everything(real), root, "every", 1)
    put(everything(), root, "all", 1)
    put(two_inputs(), root, "two", 1)
    put_pictures(root)
    put(signatures(), root, "scores", 1)
    put_words(root)
    roles = {"user": "U: {content}\n", "assistant": "A: {content}\n", "prompt": "A:"}
    program = generation.export(
        small_model(64), context=64, page=4, chunk=8, vocabulary=LETTERS, roles=roles,
        stop_texts=["U"],
    )  # fmt: skip
    put(program, root, "letters", 1)


OPTIONS = {
    "digits": ModelOptions(policy=VersionPolicy("all"), labels={"stable": 1, "canary": 2}),
}


def write_answers(folder: Path) -> None:
    """Write what the models are to answer."""
    x = inputs(3)
    digits = {f"digits{n}": exported(classifier(n))(x).numpy() for n in (1, 2)}
    np.savez(folder / "answers.npz", x=x, **digits)
    (folder / "picture.png").write_bytes(picture()[1])
