"""OpenVINO, CPU device, float32 forced (its default on processors with AVX512-BF16 is
bfloat16), latency hint, inference only.  Reads the models of export_onnx.py (BENCH_ONNX)."""

import os

import numpy as np
import openvino as ov
from common import SEED, WORKLOADS, Skip, main, onnx_constants, settings, workload

HIGH = {"gpt_infer": 65, "minilm_infer": 30522, "gpt2_prefill": 50257, "gpt2_decode": 50257}
IDS = [w for w in WORKLOADS if "infer" in w or w.startswith(("micro", "gpt2"))] + [
    "overhead_jit_call"
]


@workload(*IDS)
def _(mode, wid):
    path = os.path.join(os.environ.get("BENCH_ONNX", "onnx"), wid + ".onnx")
    if not os.path.exists(path):
        raise Skip(
            "inference only"
            if wid in ("micro_conv3x3_bwd", "micro_embedding")
            else "no exported model"
        )
    settings.frozen = onnx_constants(wid)
    core = ov.Core()
    m = core.compile_model(
        core.read_model(path),
        "CPU",
        {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"},
    )
    rng = np.random.default_rng(SEED)
    req = m.create_infer_request()
    for i, p in enumerate(m.inputs):
        shape = list(p.shape)
        if p.element_type == ov.Type.i64:
            a = rng.integers(0, HIGH[wid], shape)
        else:
            a = rng.standard_normal(shape, dtype=np.float32)
        req.set_input_tensor(i, ov.Tensor(a))
    return lambda: req.infer()


if __name__ == "__main__":
    main("openvino", ["f32"], lambda: {"openvino": ov.__version__}, "inference only")
