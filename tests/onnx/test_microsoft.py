"""Ops of com.microsoft, compared with ONNX Runtime where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from onnx import helper

rng = np.random.default_rng(5)


def f(*shape: int, scale: float = 1.0) -> Any:
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def u8(*shape: int) -> Any:
    return rng.integers(0, 256, shape).astype(np.uint8)


def i8(*shape: int) -> Any:
    return rng.integers(-128, 128, shape).astype(np.int8)


def s(value: float) -> Any:
    return np.array(value, np.float32)


Z, NONE = np.array(128, np.uint8), None
MASK = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], np.int32)
IDS = np.array([[1, 2, 3, 0], [4, 0, 2, 1]], np.int32)


def lengths(*values: int) -> Any:
    return np.array(values, np.int32) - 1


def total(value: int) -> Any:
    return np.array(value, np.int32)


CASES: list[tuple[str, list[Any], dict[str, Any], int]] = [
    ("FusedConv", [f(1, 3, 6, 6), f(4, 3, 3, 3), f(4)], {"activation": "Relu"}, 1),
    ("FusedMatMul", [f(2, 4, 3), f(2, 5, 4)], {"transA": 1, "transB": 1, "alpha": 0.5}, 1),
    ("FusedGemm", [f(3, 4), f(4, 5), f(5)], {"activation": "Relu"}, 1),
    ("Gelu", [f(3, 4)], {}, 1),
    ("FastGelu", [f(3, 4), f(4)], {}, 1),
    ("BiasGelu", [f(3, 4), f(4)], {}, 1),
    ("QuickGelu", [f(3, 4)], {"alpha": 1.5}, 1),
    ("SkipLayerNormalization", [f(2, 4, 8), f(2, 4, 8), f(8), f(8), f(8)], {}, 1),
    ("SkipSimplifiedLayerNormalization", [f(2, 4, 8), f(2, 4, 8), f(8)], {}, 1),
    (
        "EmbedLayerNormalization",
        [IDS, IDS % 2, f(6, 8), f(4, 8), f(2, 8), f(8), f(8), MASK],
        {},
        2,
    ),
    ("Attention", [f(2, 4, 8), f(8, 24), f(24)], {"num_heads": 2}, 1),
    ("Attention", [f(2, 4, 8), f(8, 24), f(24), MASK], {"num_heads": 2}, 1),
    ("Attention", [f(2, 4, 8), f(8, 24), f(24)], {"num_heads": 2, "unidirectional": 1}, 1),
    (
        "Attention",
        [f(2, 4, 8), f(8, 24), f(24), np.array([3, 2], np.int32)],
        {"num_heads": 2},
        1,
    ),
    (
        "Attention",
        [f(2, 1, 8), f(8, 24), f(24), NONE, f(2, 2, 2, 3, 4)],
        {"num_heads": 2, "unidirectional": 1},
        2,
    ),
    ("MultiHeadAttention", [f(2, 4, 8), f(2, 5, 8), f(2, 5, 8), f(24)], {"num_heads": 2}, 1),
    (
        "MultiHeadAttention",
        [f(2, 4, 8), f(2, 4, 8), f(2, 4, 8), NONE, MASK],
        {"num_heads": 2, "scale": 0.3},
        1,
    ),
    (
        "GroupQueryAttention",
        [f(2, 3, 64), f(2, 3, 32), f(2, 3, 32), *[f(2, 2, 0, 16)] * 2, lengths(3, 3), total(3)],
        {"num_heads": 4, "kv_num_heads": 2},
        3,
    ),
    (
        "GroupQueryAttention",
        [
            *(f(2, 1, 64), f(2, 1, 32), f(2, 1, 32), f(2, 2, 3, 16), f(2, 2, 3, 16)),
            *(lengths(4, 4), total(4), f(9, 8), f(9, 8)),
        ],
        {"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1},
        3,
    ),
    (
        "RotaryEmbedding",
        [f(2, 4, 8), np.tile(np.arange(4), (2, 1)), f(6, 2), f(6, 2)],
        {},
        1,
    ),
    ("QLinearAdd", [u8(3, 4), s(0.1), Z, u8(3, 4), s(0.2), Z, s(0.3), Z], {}, 1),
    ("QLinearMul", [u8(3, 4), s(0.1), Z, u8(4), s(0.2), Z, s(3.0), Z], {}, 1),
    ("QLinearSigmoid", [u8(3, 4), s(0.05), Z, s(0.004), np.array(0, np.uint8)], {}, 1),
    ("QLinearLeakyRelu", [u8(3, 4), s(0.05), Z, s(0.05), Z], {"alpha": 0.2}, 1),
    (
        "QLinearGlobalAveragePool",
        [u8(1, 3, 4, 5), s(0.1), Z, s(0.05), Z],
        {"channels_last": 0},
        1,
    ),
    (
        "QLinearAveragePool",
        [u8(1, 3, 6, 6), s(0.1), Z, s(0.05), Z],
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        1,
    ),
    ("QLinearConcat", [s(0.2), Z, u8(2, 3), s(0.1), Z, u8(2, 2), s(0.2), Z], {"axis": 1}, 1),
    (
        "QGemm",
        [u8(3, 4), s(0.1), Z, i8(4, 5), s(0.2), np.array(0, np.int8), NONE, s(2.0), Z],
        {},
        1,
    ),
    ("MatMulIntegerToFloat", [u8(3, 4), i8(4, 5), s(0.1), s(0.2), Z], {}, 1),
    ("DynamicQuantizeMatMul", [f(3, 4), i8(4, 5), s(0.2)], {}, 1),
    (
        "NhwcMaxPool",
        [u8(1, 5, 6, 3)],
        {"kernel_shape": [2, 3], "strides": [2, 1], "pads": [1, 1, 0, 1]},
        1,
    ),
    (
        "QLinearWhere",
        [u8(3, 4) > 99, u8(3, 4), s(0.1), Z, u8(3, 4), s(0.2), Z, s(0.15), Z],
        {},
        1,
    ),
    (
        "MatMulNBits",
        [f(3, 32), u8(5, 2, 8), f(5 * 2)],
        {"K": 32, "N": 5, "bits": 4, "block_size": 16},
        1,
    ),
    (
        "MatMulNBits",
        [f(3, 32), u8(5, 2, 8), f(5 * 2), u8(5)],
        {"K": 32, "N": 5, "bits": 4, "block_size": 16},
        1,
    ),
]

CONSTANT = {"MatMulNBits": (1, 2, 3), "EmbedLayerNormalization": ()}


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_as_in_onnx_runtime(case: tuple[str, list[Any], dict[str, Any], int]) -> None:
    op, values, attributes, outputs = case
    names = ["" if v is None else f"x{i}" for i, v in enumerate(values)]
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, names, results, domain="com.microsoft", **attributes)
    given = {n: v for n, v in zip(names, values, strict=True) if n}
    fixed = [f"x{i}" for i in CONSTANT.get(op, ())]
    arrays = [onnx.numpy_helper.from_array(v, n) for n, v in given.items() if n in fixed]
    kind = helper.np_dtype_to_tensor_dtype
    inputs = [
        helper.make_tensor_value_info(n, kind(v.dtype), v.shape)
        for n, v in given.items()
        if n not in fixed
    ]
    graph = helper.make_graph(
        [node], "graph", inputs, [onnx.ValueInfoProto(name=n) for n in results], arrays
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    feeds = {n: v for n, v in given.items() if n not in fixed}
    session = runtime.InferenceSession(model.SerializeToString(), options)
    expected = session.run(None, feeds)
    found = ag.onnx.load(model)(*feeds.values())
    found = found if isinstance(found, tuple) else (found,)
    for a, b in zip(found, expected, strict=True):
        a = a.detach().numpy()
        assert a.dtype == b.dtype
        if b.dtype.kind in "iu":  # a half may be rounded either way
            assert np.abs(a.astype(int) - b.astype(int)).max() <= 1
        else:
            np.testing.assert_allclose(a, b, 1e-4, 1e-4)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_lstm_of_quantized_weights(direction: str) -> None:
    """Near to ONNX Runtime's, which rounds inputs and states to 8 bits too."""
    ways = 2 if direction == "bidirectional" else 1
    arrays = {"w": i8(ways, 4, 20), "r": i8(ways, 5, 20), "b": f(ways, 40)}
    for name in "wr":
        arrays[f"{name}_scale"] = np.full((ways, 20), 0.01, np.float32)
        arrays[f"{name}_zero"] = np.zeros((ways, 20), np.int8)
    names = ["x", "w", "r", "b", "", "", "", "", "w_scale", "w_zero", "r_scale", "r_zero"]
    options = {"hidden_size": 5, "direction": direction, "domain": "com.microsoft"}
    node = helper.make_node("DynamicQuantizeLSTM", names, ["y", "h", "c"], **options)
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", 1, [6, 2, 4])],
        [onnx.ValueInfoProto(name=n) for n in "yhc"],
        [onnx.numpy_helper.from_array(v, k) for k, v in arrays.items()],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    x = f(6, 2, 4)
    expected = runtime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    for a, b in zip(ag.onnx.load(model)(x), expected, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b, atol=0.03)
