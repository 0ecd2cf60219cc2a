"""Shared by every bench_*.py: the list of workloads, the timer, the command line.

A benchmark script registers one setup function per workload.  A setup function
builds everything (model, data, compiled step) and returns a function of no
arguments that runs ONE step and returns only when its result is really there.

    from common import workload, main
    @workload("mlp_train")
    def _(mode):
        ...
        return step
    main("myframework", modes=["default"], versions=lambda: {...})
"""

import argparse
import gc
import json
import math
import os
import platform
import statistics
import sys
import time
import traceback

# id -> (group, what it is, floating-point operations of one step or None)
_W = {}


def _w(wid, group, what, flops=None):
    _W[wid] = {"group": group, "what": what, "flops": flops}


def _mm(m, n, k):
    return 2.0 * m * n * k


MLP_MAC = 784 * 512 + 512 * 512 + 512 * 10
_w(
    "mlp_train",
    "mlp",
    "MLP 784-512-512-10, batch 128, Adam step",
    6.0 * 128 * MLP_MAC - _mm(128, 784, 512),
)
_w("mlp_infer", "mlp", "MLP, batch 128, forward", 2.0 * 128 * MLP_MAC)
_w("mlp_infer_b1", "mlp", "MLP, batch 1, forward", 2.0 * MLP_MAC)
MNIST_MAC = 26 * 26 * 32 * 9 + 24 * 24 * 64 * 32 * 9 + 9216 * 128 + 128 * 10
_w("mnist_train", "mnist", "MNIST CNN, batch 64, Adam step", 6.0 * 64 * MNIST_MAC)
_w("mnist_infer", "mnist", "MNIST CNN, batch 64, forward", 2.0 * 64 * MNIST_MAC)
R18_MAC = 555.4e6
_w(
    "resnet18_train",
    "resnet18",
    "ResNet-18 (CIFAR), batch 32, SGD momentum step",
    6.0 * 32 * R18_MAC,
)
_w("resnet18_infer", "resnet18", "ResNet-18 (CIFAR), batch 32, forward", 2.0 * 32 * R18_MAC)
_w("resnet50_infer_b1", "resnet50", "ResNet-50 224x224, batch 1, forward", 2.0 * 4.089e9)
_w("mobilenetv2_infer_b1", "mobilenetv2", "MobileNetV2 224x224, batch 1, forward", 2.0 * 0.3008e9)
GPT_BODY = 6 * 12 * 384 * 384
_gpt_f = 2.0 * 2048 * (GPT_BODY + 384 * 65) + 6 * 4.0 * 8 * 6 * 256 * 256 * 64 / 2
_w("gpt_train", "gpt", "nanoGPT baby (6L, 6H, 384, T 256), batch 8, AdamW step", 3 * _gpt_f)
_w("gpt_infer", "gpt", "nanoGPT baby, batch 8 x 256, logits of all positions", _gpt_f)
_w(
    "gpt2_prefill",
    "gpt2",
    "GPT-2 124M, 128 tokens, batch 1, last logits + KV cache",
    2.0 * 128 * 12 * 12 * 768 * 768 + 2.0 * 768 * 50257 + 12 * 4.0 * 12 * 128 * 128 * 64 / 2,
)
_w(
    "gpt2_decode",
    "gpt2",
    "GPT-2 124M, one token, KV cache of 128",
    2.0 * (12 * 12 * 768 * 768 + 768 * 50257),
)
_w(
    "minilm_infer",
    "minilm",
    "MiniLM-L6 encoder, batch 8 x 128, forward",
    2.0 * 1024 * 6 * 12 * 384 * 384 + 6 * 4.0 * 8 * 128 * 128 * 384,
)
_w(
    "lstm_train",
    "lstm",
    "LSTM LM 2x256, emb 200, vocab 10000, 35 x 20, Adam step",
    6.0 * 700 * (4 * 256 * (200 + 256) + 4 * 256 * 512 + 256 * 10000),
)
_w(
    "vae_train",
    "vae",
    "VAE 784-400-20-400-784, batch 128, Adam step",
    6.0 * 128 * (784 * 400 * 2 + 400 * 40 + 20 * 400),
)
_w("gcn_train", "gcn", "GCN 2 layers, 2708 x 1433, hidden 16, Adam step", 4.0 * 2708 * 1433 * 16)
_w(
    "dqn_train",
    "dqn",
    "DQN 4-128-128-2, batch 128, Adam step",
    8.0 * 128 * (4 * 128 + 128 * 128 + 256),
)
_w("dqn_infer_b1", "dqn", "DQN 4-128-128-2, batch 1, forward", 2.0 * (4 * 128 + 128 * 128 + 256))

_w("micro_gelu_chain", "micro", "8 elementwise ops (tanh GELU by hand), 4M floats")
_w("micro_softmax", "micro", "softmax over rows of (4096, 1024)")
_w("micro_layernorm", "micro", "layer norm over rows of (4096, 1024), with weight and bias")
_w("micro_sum0", "micro", "sum over axis 0 of (4096, 1024)")
_w("micro_sum1", "micro", "sum over axis 1 of (4096, 1024)")
for n in (256, 512, 1024, 2048):
    _w(f"micro_matmul{n}", "micro", f"matmul {n} x {n} x {n}", _mm(n, n, n))
_w("micro_bmm", "micro", "batched matmul (96,128,64) x (96,64,128)", 96 * _mm(128, 128, 64))
_w("micro_conv3x3", "micro", "conv 3x3 (32,64,56,56) -> 64, pad 1", 32 * 56 * 56 * _mm(64, 64, 9))
_w(
    "micro_conv3x3_bwd",
    "micro",
    "same conv, forward + both gradients",
    3 * 32 * 56 * 56 * _mm(64, 64, 9),
)
_w(
    "micro_dwconv3x3",
    "micro",
    "depthwise conv 3x3 (32,128,28,28), pad 1",
    2.0 * 32 * 128 * 28 * 28 * 9,
)
_w(
    "micro_attention",
    "micro",
    "causal attention, batch 8, heads 6, T 256, head dim 64",
    4.0 * 48 * 256 * 256 * 64 / 2,
)
_w("micro_transpose", "micro", "transpose copy of (4096, 4096)")
_w("micro_embedding", "micro", "gather 4096 rows of (10000, 256) + dense scatter-add gradient")

_w("overhead_add", "overhead", "eager a + b, 4 floats, nothing recorded")
_w("overhead_add_grad", "overhead", "eager a + b, 4 floats, recorded for gradients")
_w("overhead_chain10", "overhead", "eager forward + backward of a 10-op scalar chain")
_w("overhead_jit_call", "overhead", "call of compiled a + b, 4 floats")
_w("overhead_chain10_jit", "overhead", "compiled forward + backward of the 10-op scalar chain")

WORKLOADS = _W
GROUPS = []
for _v in _W.values():
    if _v["group"] not in GROUPS:
        GROUPS.append(_v["group"])

# optimizer constants: small steps, so that thousands of steps on one fixed
# batch neither diverge nor die out (both would change the speed)
LR = 1e-5
SEED = 1337

REGISTRY = {}


class Settings:
    """What a setup function may ask of the command line, and what it tells of its workload."""

    check = True  # compare results with a reference; off when only first call or memory count
    frozen = False  # set where the weights are constants of the compiled code, not its inputs


settings = Settings()


def workload(*ids):
    """Register a setup function; with several ids it gets the id as second argument."""

    def deco(f):
        for i in ids:
            assert i in WORKLOADS, i
            REGISTRY[i] = (lambda mode, f=f, i=i: f(mode, i)) if len(ids) > 1 else f
        return f

    return deco


# Single operations whose later arguments export_onnx.py makes constants of the model.
ONNX_WEIGHTS = ("micro_conv3x3", "micro_dwconv3x3", "micro_layernorm")


def onnx_constants(wid):
    """Whether the ONNX model of a workload holds weights, which are its constants."""
    return WORKLOADS[wid]["group"] not in ("micro", "overhead") or wid in ONNX_WEIGHTS


class Skip(Exception):  # noqa: N818 - named like unittest.SkipTest
    """Raised by a setup function: this framework or mode cannot do it (with the reason)."""


def foreign_cpu():
    """A function that tells what share of the machine others used since this call."""

    def now():
        with open("/proc/stat") as f:
            v = [int(x) for x in f.readline().split()[1:9]]
        return (
            (sum(v) - v[3] - v[4]) / os.sysconf("SC_CLK_TCK"),
            sum(os.times()[:2]),
            time.perf_counter(),
        )

    b0, o0, t0 = now()

    def share():
        b, o, t = now()
        return max(0.0, ((b - b0) - (o - o0)) / max(t - t0, 1e-3) / (os.cpu_count() or 1))

    return share


def measure(step, tries=3, **kw):
    """Repeats a measurement that others on the machine disturbed; keeps the best."""
    best = None
    for n in range(tries):
        if n:
            time.sleep(1.5)
        share = foreign_cpu()
        r = measure_once(step, **kw)
        r["foreign_cpu"] = round(share(), 4)
        if best is None or r["us"] < best["us"]:
            best = r
        if r["foreign_cpu"] < 0.03:
            break
    return best


def measure_once(step, min_time=1.5, min_runs=9, max_runs=2000, max_time=12.0, warm_time=0.4):
    """Median time of one step.  Very short steps are timed in batches."""
    clock = time.perf_counter
    t = clock()
    step()
    est = clock() - t
    n = 0
    t0 = clock()
    while (clock() - t0 < warm_time and n < 500) or n < 2:
        t = clock()
        step()
        est = clock() - t
        n += 1
        if clock() - t0 > 6.0:
            break
    inner = 1 if est > 60e-6 else max(1, math.ceil(300e-6 / max(est, 1e-8)))
    gc.collect()
    times = []
    t0 = clock()
    while True:
        t = clock()
        if inner == 1:
            step()
        else:
            for _ in range(inner):
                step()
        e = clock()
        times.append((e - t) / inner)
        total = e - t0
        if len(times) >= max_runs or total > max_time:
            break
        if total > min_time and len(times) >= min_runs:
            break
    times.sort()
    return {
        "us": statistics.median(times) * 1e6,
        "min_us": times[0] * 1e6,
        "p90_us": times[int(len(times) * 0.9)] * 1e6,
        "n": len(times),
        "inner": inner,
    }


ISA = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")


def cpu_model():
    """The processor: its name, the instruction sets that matter here, the number of cores."""
    facts = {}
    try:
        with open("/proc/cpuinfo") as f:
            for line in f:
                k, _, v = line.partition(":")
                facts.setdefault(k.strip(), v.strip())
    except OSError:
        pass
    name = facts.get("model name", "unknown")
    if "cpu family" in facts:
        name += ", family " + facts["cpu family"]
    flags = facts.get("flags", "").split()
    return {"cpu": name, "isa": [f for f in ISA if f in flags], "cores": os.cpu_count()}


def peak_rss_mb():
    """The largest resident size of this process so far, in MB; None where the system hides it."""
    with open("/proc/self/status") as f:
        for line in f:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024.0
    return None


def arguments(modes):
    ap = argparse.ArgumentParser()
    ap.add_argument("--mode", default=modes[0], choices=modes)
    ap.add_argument("--only", default="", help="workloads or groups, comma-separated; default all")
    ap.add_argument("--out", default="")
    ap.add_argument("--min-time", type=float, default=1.5)
    ap.add_argument("--rss", action="store_true", help="12 steps only, then report the peak RSS")
    ap.add_argument("--first-call", action="store_true", help="only the first call (compile time)")
    return ap.parse_args()


def one(setup_function, a):
    """Sets one workload up and measures what the command line asks for."""
    clock = time.perf_counter
    settings.frozen = False
    t = clock()
    step = setup_function(a.mode)
    setup = clock() - t
    t = clock()
    step()
    first = clock() - t
    if a.first_call:
        t = clock()
        step()
        return {"first_call_s": first, "setup_s": setup, "second_call_s": clock() - t}
    if a.rss:
        for _ in range(11):
            step()
        return {"peak_rss_mb": peak_rss_mb()}
    r = measure(step, min_time=a.min_time)
    return {**r, "first_call_s": first, "setup_s": setup, "frozen": settings.frozen}


def main(framework, modes, versions, otherwise="not written for this framework"):
    """Command line of a bench script: run the named workloads in one mode, write JSON.

    otherwise: why the workloads without a setup function are missing."""
    a = arguments(modes)
    want = [w for w in a.only.split(",") if w]
    ids = [i for i in WORKLOADS if not want or i in want or WORKLOADS[i]["group"] in want]
    settings.check = not (a.first_call or a.rss)
    head = {
        "framework": framework,
        "mode": a.mode,
        "versions": versions(),
        "python": platform.python_version(),
        **cpu_model(),
    }
    res = {}
    for i in ids:
        if i not in REGISTRY:
            res[i] = {"skip": otherwise}
            continue
        try:
            r = one(REGISTRY[i], a)
            shown = {k: round(v, 3) if isinstance(v, float) else v for k, v in r.items()}
        except Skip as e:
            r, shown = {"skip": str(e)}, f"SKIP {e}"
        except Exception as e:  # one workload's failure is a result, the others still run
            why = str(e).strip().split("\n")[0][:200]
            r, shown = {"skip": f"failed: {type(e).__name__}: {why}"}, "FAILED"
            traceback.print_exc(file=sys.stdout)
        gc.collect()
        print(f"{framework:10} {a.mode:8} {i:22} {shown}", flush=True)
        res[i] = r
        write(a.out, {**head, "results": res})
    write(a.out, {**head, "results": res})


def write(path, d):
    """Writes d as JSON, if there is a path."""
    if path:
        with open(path, "w") as f:
            json.dump(d, f, indent=1)
