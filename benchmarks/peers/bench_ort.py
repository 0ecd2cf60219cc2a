"""ONNX Runtime, CPU provider, default session options (all graph optimizations), inference only.
Reads the models that export_onnx.py wrote to the folder BENCH_ONNX."""

import os

import numpy as np
import onnxruntime as ort
from common import SEED, WORKLOADS, Skip, main, onnx_constants, settings, workload

HIGH = {"gpt_infer": 65, "minilm_infer": 30522, "gpt2_prefill": 50257, "gpt2_decode": 50257}
TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
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
    s = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(SEED)
    feed = {}
    for i in s.get_inputs():
        if TYPES[i.type] is np.int64:
            feed[i.name] = rng.integers(0, HIGH[wid], i.shape)
        else:
            feed[i.name] = rng.standard_normal(i.shape, dtype=np.float32)
    return lambda: s.run(None, feed)


if __name__ == "__main__":
    main("onnxruntime", ["default"], lambda: {"onnxruntime": ort.__version__}, "inference only")
