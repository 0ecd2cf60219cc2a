"""The least time each benchmark workload can take on this machine.

    python floors.py [--results FOLDER] [--json FILE]

Two floors, the larger counts: its arithmetic over the machine's peak, and its compulsory traffic
over the machine's bandwidth. The arithmetic is the count in peers/common.py. The traffic is what no
fusion can avoid: every input, parameter and optimizer state read once, every output and every
updated state written once. Peak and bandwidth are measured first, with small kernels of our own
(LLVM IR through llvmlite): chains of fused multiply-adds, and streams of reads and copies over as
many bytes as the workload touches, so that what stays in a cache has the cache's speed.

`--results` names a folder written by peers/run_all.py and adds what was reached.
"""

import argparse
import ctypes
import json
import os
import sys
import threading
import time
from dataclasses import dataclass
from itertools import pairwise

import llvmlite.binding as llvm
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "peers"))
from columns import Store
from common import WORKLOADS
from table import best_of, fmt, medians

# --- kernels


def lanes():
    """float32 lanes of the widest vector register."""
    features = llvm.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx") else 4


def kernel(name, body, state=(), per=1):
    """IR text of `void name(ptr x, ptr y, i64 n, i64 turns)`.

    `body` runs for `i` from 0 to n by `per`, the whole `turns` times; it maps each vector %s of
    `state` to %s.n, and what they end as is stored at y, lest the work be dropped."""
    v = f"<{lanes()} x float>"
    outer = [f"  %{s}.o = phi {v} [ zeroinitializer, %entry ], [ %{s}.n, %next ]" for s in state]
    inner = [f"  %{s} = phi {v} [ %{s}.o, %turn ], [ %{s}.n, %loop ]" for s in state]
    stores = [
        f"  %{s}.p = getelementptr {v}, ptr %y, i64 {k}\n  store {v} %{s}.n, ptr %{s}.p, align 4"
        for k, s in enumerate(state)
    ]
    return f"""
define void @{name}(ptr %x, ptr %y, i64 %n, i64 %turns) {{
entry:
  %c = load {v}, ptr %x, align 4
  br label %turn
turn:
  %t = phi i64 [ 0, %entry ], [ %t.n, %next ]
{lines(outer)}
  br label %loop
loop:
  %i = phi i64 [ 0, %turn ], [ %i.n, %loop ]
{lines(inner)}
{lines(body)}
  %i.n = add i64 %i, {per}
  %more = icmp ult i64 %i.n, %n
  br i1 %more, label %loop, label %next
next:
  %t.n = add i64 %t, 1
  %again = icmp ult i64 %t.n, %turns
  br i1 %again, label %turn, label %done
done:
{lines(stores)}
  ret void
}}
"""


def lines(items):
    return "\n".join(items)


def peak_ir(chains):
    """Independent chains of fused multiply-adds."""
    v, f = f"<{lanes()} x float>", f"@llvm.fmuladd.v{lanes()}f32"
    state = [f"a{k}" for k in range(chains)]
    body = [f"  %{s}.n = call {v} {f}({v} %{s}, {v} %c, {v} %c)" for s in state]
    return f"declare {v} {f}({v}, {v}, {v})\n" + kernel("peak", body, state)


def vector_at(array, k):
    """Lines that leave the address of vector i + k of an array in %<array><k>."""
    v = f"<{lanes()} x float>"
    return [
        f"  %{array}i{k} = add i64 %i, {k}",
        f"  %{array}{k} = getelementptr {v}, ptr %{array}, i64 %{array}i{k}",
    ]


def read_ir(unroll=8):
    """Adds up n vectors of x."""
    v, body = f"<{lanes()} x float>", []
    for k in range(unroll):
        body += vector_at("x", k)
        body += [f"  %v{k} = load {v}, ptr %x{k}, align 64", f"  %a{k}.n = fadd {v} %a{k}, %v{k}"]
    return kernel("read", body, [f"a{k}" for k in range(unroll)], unroll)


def copy_ir(name, hint="", unroll=4):
    """Copies n vectors from x to y; `hint` marks the stores."""
    v, body = f"<{lanes()} x float>", []
    for k in range(unroll):
        body += vector_at("x", k) + vector_at("y", k)
        body += [
            f"  %v{k} = load {v}, ptr %x{k}, align 64",
            f"  store {v} %v{k}, ptr %y{k}, align 64{hint}",
        ]
    return kernel(name, body, per=unroll)


CHAINS = 12  # latency 4, two a cycle: 8 would do; 12 still fit in 16 registers


class Kernels:
    """The compiled kernels; a call releases the GIL."""

    def __init__(self):
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        text = (
            peak_ir(CHAINS) + read_ir() + copy_ir("copy") + copy_ir("stream", ", !nontemporal !0")
        )
        module = llvm.parse_assembly(text + "\n!0 = !{i32 1}\n")
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2
        )
        self.engine = llvm.create_mcjit_compiler(module, machine)
        self.engine.finalize_object()
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2)
        names = ("peak", "read", "copy", "stream")
        self.call = {n: kind(self.engine.get_function_address(n)) for n in names}


# --- measuring


def seconds(jobs, tries):
    """The least time in which all jobs ran, each in a thread of its own."""
    start, end = threading.Barrier(len(jobs) + 1), threading.Barrier(len(jobs) + 1)

    def work(job):
        start.wait()
        job()
        end.wait()

    best = float("inf")
    for _ in range(tries):
        threads = [threading.Thread(target=work, args=(j,)) for j in jobs]
        for t in threads:
            t.start()
        start.wait()
        t0 = time.perf_counter()
        end.wait()
        best = min(best, time.perf_counter() - t0)
        for t in threads:
            t.join()
    return best


def aligned(n):
    """n float32 numbers, at an address that any vector and any page accepts, touched."""
    raw = np.ones(n + 1024, np.float32)
    skip = (-raw.ctypes.data % 4096) // 4
    return raw[skip : skip + n]


class Machine:
    """Peak and bandwidths, measured when asked for."""

    def __init__(self):
        self.kernels = Kernels()
        self.threads = len(os.sched_getaffinity(0))
        self.known = {}

    def flops(self, threads):
        """Fused multiply-adds a second times two, on that many cores."""
        x, n = aligned(lanes()), 8_000_000
        x[:] = 0.5  # the chains settle at 1
        ys = [aligned(lanes() * CHAINS) for _ in range(threads)]
        f = self.kernels.call["peak"]
        jobs = [lambda y=y: f(x.ctypes.data, y.ctypes.data, n, 1) for y in ys]
        return 2.0 * CHAINS * lanes() * n * threads / seconds(jobs, 40)

    def bandwidth(self, kernel, touched):
        """Bytes a second (read and written) of a kernel whose arrays are `touched` bytes in all."""
        size = 1 << max(12, round(np.log2(touched)))
        key = kernel, size
        if key not in self.known:
            self.known[key] = self.measure(kernel, size)
        return self.known[key]

    def measure(self, kernel, size):
        each = max(size // self.threads, 4096)
        turns = max(1, (128 << 20) // each)
        f, jobs = self.kernels.call[kernel], []
        for _ in range(self.threads):
            x = aligned(each // (4 if kernel == "read" else 8))
            y = aligned(lanes() * 8) if kernel == "read" else aligned(x.size)
            n = x.size // lanes()
            jobs.append(lambda x=x, y=y, n=n: f(x.ctypes.data, y.ctypes.data, n, turns))
        return each * self.threads * turns / seconds(jobs, 7)

    def copying(self, touched):
        """The faster of plain and streaming stores."""
        return max(self.bandwidth(k, touched) for k in ("copy", "stream"))


# --- workloads


@dataclass
class Traffic:
    """Bytes that must be read and written."""

    read: int
    written: int

    @property
    def touched(self):
        return self.read + self.written


def floats(*shapes):
    return 4 * sum(int(np.prod(s)) for s in shapes)


def training(params, *inputs, states=3):
    """Parameters and the optimizer's states are read and written, in place."""
    return Traffic(params * 4 * states + floats(*inputs), params * 4 * states)


def mlp(sizes):
    return sum(a * b + b for a, b in pairwise(sizes))


MLP, DQN = mlp((784, 512, 512, 10)), mlp((4, 128, 128, 2))
MNIST = 32 * 9 + 32 + 64 * 32 * 9 + 64 + 9216 * 128 + 128 + 1290
GPT = 6 * 12 * 384 * 384 + (65 + 256 + 13) * 384
ROWS, IMAGE, KERNEL = (4096, 1024), (32, 64, 56, 56), (64, 64, 3, 3)
HEADS = (8, 6, 256, 64)

TRAFFIC = {
    "mlp_train": training(MLP, (128, 784)),
    "mlp_infer": Traffic(floats((MLP,), (128, 784)), floats((128, 10))),
    "mlp_infer_b1": Traffic(floats((MLP,), (784,)), floats((10,))),
    "mnist_train": training(MNIST, (64, 784)),
    "mnist_infer": Traffic(floats((MNIST,), (64, 784)), floats((64, 10))),
    "gpt_train": training(GPT, (8, 256, 4)),
    "gpt_infer": Traffic(floats((GPT,), (8, 256, 2)), floats((8, 256, 65))),
    "dqn_train": training(DQN, (DQN,), (128, 4), (128, 4), (128, 3)),
    "dqn_infer_b1": Traffic(floats((DQN,), (4,)), floats((2,))),
    "micro_gelu_chain": Traffic(floats(ROWS), floats(ROWS)),
    "micro_softmax": Traffic(floats(ROWS), floats(ROWS)),
    "micro_layernorm": Traffic(floats(ROWS), floats(ROWS)),
    "micro_sum0": Traffic(floats(ROWS), floats((1024,))),
    "micro_sum1": Traffic(floats(ROWS), floats((4096,))),
    "micro_bmm": Traffic(floats((96, 128, 64), (96, 64, 128)), floats((96, 128, 128))),
    "micro_conv3x3": Traffic(floats(IMAGE, KERNEL), floats(IMAGE)),
    "micro_conv3x3_bwd": Traffic(floats(IMAGE, IMAGE, KERNEL), floats(IMAGE, IMAGE, KERNEL)),
    "micro_dwconv3x3": Traffic(floats((32, 128, 28, 28)), floats((32, 128, 28, 28))),
    "micro_attention": Traffic(floats(HEADS, HEADS, HEADS), floats(HEADS)),
    "micro_transpose": Traffic(floats((4096, 4096)), floats((4096, 4096))),
    **{
        f"micro_matmul{n}": Traffic(floats((n, n), (n, n)), floats((n, n)))
        for n in (256, 512, 1024, 2048)
    },
}


def floor_of(machine, peak, name):
    """(arithmetic, memory) in microseconds."""
    t = TRAFFIC[name]
    copied = min(t.read, t.written)
    memory = 2 * copied / machine.copying(t.touched)
    memory += (t.read - copied) / machine.bandwidth("read", t.touched)
    return (WORKLOADS[name]["flops"] or 0.0) / peak * 1e6, memory * 1e6


def reached(files, name, floor):
    """What the best peer and Argand took, each with the floor's share of it."""
    cells = []
    for ours in (False, True):
        best = best_of(medians(files, name), ours)
        cells.append(f"{fmt(best[1])} ({100 * floor / best[1]:.0f} %)" if best else "–")
    return cells


def table(machine, files):
    """The lines of the Markdown table, and the floors in microseconds."""
    one, peak = machine.flops(1), machine.flops(machine.threads)
    out = [
        f"Peak: {one / 1e9:.0f} GFLOP/s on one core, {peak / 1e9:.0f} on {machine.threads} "
        f"({lanes()} float32 lanes). Bandwidth on {machine.threads}, GB/s, by bytes touched:",
        "",
        "| | " + " | ".join(f"{1 << k} MB" for k in range(9)) + " |",
        "|---|" + "---:|" * 9,
    ]
    for kernel in ("read", "copy", "stream"):
        cells = [f"{machine.bandwidth(kernel, 1 << (20 + k)) / 1e9:.0f}" for k in range(9)]
        out.append(f"| {kernel} | {' | '.join(cells)} |")
    head = ["workload", "arithmetic", "memory", "floor"]
    head += ["best peer (floor's share)", "Argand (floor's share)"] if files else []
    out += ["", f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    floors = {}
    for name in (w for w in WORKLOADS if w in TRAFFIC):
        arithmetic, memory = floor_of(machine, peak, name)
        floors[name] = max(arithmetic, memory)
        cells = [name, fmt(arithmetic) if arithmetic else "–", fmt(memory), fmt(floors[name])]
        out.append(
            f"| {' | '.join(cells + (reached(files, name, floors[name]) if files else []))} |"
        )
    return out, {"peak": peak, "peak_one_core": one, "floor_us": floors}


def main():
    """The command line."""
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("--results", metavar="FOLDER", help="adds what peers/run_all.py measured there")
    ap.add_argument("--json", metavar="FILE", help="writes peak and floors there too")
    a = ap.parse_args()
    lines, facts = table(Machine(), Store(a.results).everything() if a.results else {})
    print("\n".join(lines))
    if a.json:
        with open(a.json, "w") as f:
            json.dump(facts, f, indent=1)


if __name__ == "__main__":
    main()
