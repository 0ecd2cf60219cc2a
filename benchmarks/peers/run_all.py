"""Runs the benchmark suites of several frameworks and merges them into RESULTS.md.

    python run_all.py --argand PY --torch PY --jax PY --tf PY --ort PY --openvino PY \
        --onnx-export PY --onnx-folder DIR [--rounds 2] [--only mlp,micro_softmax] [--out DIR]
    python run_all.py ... --extra mine=PY:SCRIPT:MODE     one more column, measured in the same run
    python run_all.py ... --before SRC     Argand's columns again, of another checkout's src folder
    python run_all.py --merge-only

PY is the interpreter of the environment that has the framework.  Only the named
frameworks run; the others keep the figures of earlier runs.  Each group of
workloads runs in a fresh process, all columns after one another and then the next
group, every second round backwards; of the rounds the better median is kept.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from columns import BEFORE, COLUMNS, COMPILE, JAX_CLOSED, RSS, Store
from common import GROUPS, WORKLOADS
from table import merge

FIRST_OP = {
    "argand": "import argand as ag; (ag.ones(4) + 1)",
    "torch": "import torch; (torch.ones(4) + 1)",
    "jax": "import jax.numpy as jnp; (jnp.ones(4) + 1).block_until_ready()",
    "tensorflow": "import tensorflow as tf; (tf.ones(4) + 1).numpy()",
    "tinygrad": "from tinygrad import Tensor; (Tensor.ones(4) + 1).numpy()",
}
DISTRIBUTION = {"tensorflow": "tensorflow-cpu"}
TIMEOUT = 420

# On a processor that is not Intel's, MKL (PyTorch's matrix product) stays below AVX-512.
# The well-known way round it: a library, loaded first, that answers MKL's question.
# Columns named "... MKL unlocked" run with it; the plain columns are PyTorch as installed.
MKL_SHIM = "int mkl_serv_intel_cpu_true(void) { return 1; }\n"


class Column(NamedTuple):
    """One column of the table: what runs it, and the name to import for start-up figures."""

    name: str
    python: str
    script: str
    mode: str
    imports: str | None
    env: dict[str, str]


def mkl_unlocked(env):
    """The environment with the shim preloaded; builds it with gcc."""
    d = tempfile.mkdtemp()
    src, lib = os.path.join(d, "shim.c"), os.path.join(d, "shim.so")
    with open(src, "w") as f:
        f.write(MKL_SHIM)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", lib, src], check=True)
    return {**env, "LD_PRELOAD": lib}


def run(col, only, *flags, env=None):
    """Runs the column's script on some workloads; gives its JSON and why it ended badly, if so."""
    fd, out = tempfile.mkstemp(suffix=".json")
    os.close(fd)
    cmd = [col.python, col.script, "--mode", col.mode, "--only", only, "--out", out, *flags]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    why = None
    try:
        p = subprocess.run(cmd, cwd=HERE, env=env or col.env, timeout=TIMEOUT, **pipes)
        if p.returncode:
            why = f"process ended with {p.returncode}: {p.stdout.strip().split(chr(10))[-1][:200]}"
        for text in p.stdout.split("\n"):
            if "FAILED" in text:
                print("   ", text, flush=True)
    except subprocess.TimeoutExpired:
        why = f"over {TIMEOUT} s"
    try:
        with open(out) as f:
            d = json.load(f)
    except (OSError, ValueError):
        d = {"results": {}}
    os.unlink(out)
    return d, why


def add_round(old, new, started):
    """Of two medians of one workload the better; all are kept under "rounds".

    "runs" says of each round when its run of this script began."""
    old = old or {}
    if "us" not in new:
        return old if "us" in old else new
    rounds = [*old.get("rounds", []), round(new["us"], 3)]
    runs = [*old.get("runs", []), started]
    better = old if "us" in old and old["us"] <= new["us"] else new
    return {**better, "rounds": rounds, "runs": runs}


def suite(store, col, unit, min_time, started):
    """One round of a column and a unit (a group or a workload), in a process of its own.

    `started` says when this run of the script began."""
    t0 = time.time()
    d, why = run(col, unit, "--min-time", str(min_time))
    old = store.load(col.name)
    old |= {k: v for k, v in d.items() if k != "results"} | {"column": col.name}
    old["min_time"] = min_time
    for i in WORKLOADS:
        if unit in (i, WORKLOADS[i]["group"]):
            new = d["results"].get(i) or {"skip": why or "no result"}
            old["results"][i] = add_round(old["results"].get(i), new, started)
    store.save(col.name, old)
    print(f"{unit:20} {col.name:28} {time.time() - t0:.0f} s", flush=True)


DISK = r"""
import importlib.metadata as md, json, os, re, sys
seen, total = set(), {}
def walk(name):
    n = re.sub(r'[-_.]+', '-', name).lower()
    if n in seen: return
    seen.add(n)
    try: d = md.distribution(name)
    except md.PackageNotFoundError: return
    s = 0
    for f in d.files or ():
        try: s += os.path.getsize(d.locate_file(f))
        except OSError: pass
    total[n] = s
    for r in d.requires or ():
        if 'extra ==' in r: continue
        walk(re.match(r'[A-Za-z0-9_.-]+', r).group())
walk(sys.argv[1])
print(json.dumps(total))
"""


def start_seconds(col, code, n=5):
    """Median time of `python -c code` in fresh processes, after one that warms the disk cache."""
    times = []
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for _ in range(n + 1):
        t = time.perf_counter()
        subprocess.run([col.python, "-c", code], env=col.env, **quiet)
        times.append(time.perf_counter() - t)
    return statistics.median(times[1:])


def extras(store, col):
    """Import time, time to the first operation, size on disk."""
    d = store.load(col.name)
    x = d.setdefault("extra", {})
    codes = {"python_start_s": "pass", "import_s": f"import {col.imports}"}
    if col.imports in FIRST_OP:
        codes["first_op_s"] = FIRST_OP[col.imports]
    for key, code in codes.items():
        v = start_seconds(col, code)
        x[key] = min(v, x.get(key, v))
    cmd = [col.python, "-c", DISK, DISTRIBUTION.get(col.imports, col.imports)]
    try:
        sizes = json.loads(subprocess.run(cmd, stdout=subprocess.PIPE, text=True).stdout)
    except ValueError:
        sizes = {}
    if sizes:
        by_size = sorted(sizes.items(), key=lambda kv: -kv[1])
        x["disk_mb"] = sum(sizes.values()) / 1e6
        x["disk_by_package_mb"] = {k: round(v / 1e6, 1) for k, v in by_size}
    store.save(col.name, d)


def cold(store, col):
    """First call of training steps in fresh processes with empty caches; peak memory."""
    d = store.load(col.name)
    x = d.setdefault("extra", {})
    for w in COMPILE:
        tmp = tempfile.mkdtemp()
        caches = dict.fromkeys(("TORCHINDUCTOR_CACHE_DIR", "XDG_CACHE_HOME", "ARGAND_CACHE"), tmp)
        for kind in ("cold", "warm"):
            r, _ = run(col, w, "--first-call", env={**col.env, **caches})
            r = r["results"].get(w, {})
            if "first_call_s" in r:
                k = f"first_call_{kind}_{w}_s"
                # What the user waits: setup (where tinygrad captures) and first call.
                v = r["first_call_s"] + r["setup_s"]
                x[k] = min(v, x.get(k, v))
                x["second_" + k] = r["second_call_s"]
        shutil.rmtree(tmp, ignore_errors=True)
    for w in RSS:
        r, _ = run(col, w, "--rss")
        r = r["results"].get(w, {})
        if "peak_rss_mb" in r:
            x["peak_rss_mb_" + w] = r["peak_rss_mb"]
    store.save(col.name, d)


def arguments():
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for a in sorted({v[0] for v in COLUMNS.values()}):
        ap.add_argument("--" + a, metavar="PY")
    add = ap.add_argument
    add("--onnx-export", metavar="PY", help="interpreter with torch, onnx, onnxscript; exports")
    add("--onnx-folder", default=os.path.join(tempfile.gettempdir(), "bench_onnx"))
    add("--extra", action="append", default=[], metavar="NAME=PY:SCRIPT:MODE[:IMPORT]")
    add("--before", metavar="SRC", help="src folder of another checkout: two more columns")
    add("--out", default=HERE, metavar="DIR", help="folder for results/ and RESULTS.md")
    add("--columns", default="", help="semicolon-separated; default all whose interpreter is given")
    add("--only", default="", help="groups or workloads, comma-separated")
    add("--rounds", type=int, default=2)
    add("--min-time", type=float, default=1.0)
    add("--fresh", action="store_true", help="forget earlier figures of the columns that run")
    add("--no-suite", action="store_true")
    add("--no-extras", action="store_true")
    add("--merge-only", action="store_true")
    return ap.parse_args()


def chosen_columns(a):
    """The columns that the command line asks for."""
    env = {**os.environ, "BENCH_ONNX": os.path.abspath(a.onnx_folder)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # start-up times are those with bytecode on disk
    keep = a.columns.split(";") if a.columns else None
    todo = []
    for name, (arg, script, mode, imports) in COLUMNS.items():
        python = getattr(a, arg)
        if python and (keep is None or name in keep):
            e = mkl_unlocked(env) if "MKL unlocked" in name else env
            todo.append(Column(name, python, script, mode, imports, e))
    for text in a.extra:
        name, _, rest = text.partition("=")
        python, script, mode, *imports = rest.split(":")
        if keep is None or name in keep:
            path = os.path.abspath(script)
            todo.append(Column(name, python, path, mode, imports[0] if imports else None, env))
    return todo + [c for c in before_columns(a, env) if keep is None or c.name in keep]


def before_columns(a, env):
    """Argand's columns once more, with the package of another checkout and a cache of its own."""
    if not a.before:
        return []
    if not os.path.isdir(os.path.join(a.before, "argand")):
        raise SystemExit(f"--before {a.before}: no argand in it; give a checkout's src folder")
    own = {"PYTHONPATH": os.path.abspath(a.before), "ARGAND_CACHE": tempfile.mkdtemp()}
    return [
        Column(name, a.argand, "bench_argand.py", mode, None, {**env, **own})
        for name, mode in BEFORE.items()
    ]


def main():
    """The command line."""
    a = arguments()
    store = Store(a.out)
    if a.merge_only:
        merge(store)
        return
    todo = chosen_columns(a)
    if a.onnx_export:
        folder = os.path.abspath(a.onnx_folder)
        subprocess.run([a.onnx_export, "export_onnx.py", folder], cwd=HERE, check=True)
    if a.fresh:
        for col in todo:
            store.forget(col.name)
    units = a.only.split(",") if a.only else GROUPS
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    for r in range(a.rounds):
        for unit in [] if a.no_suite else units:
            for col in todo[:: -1 if r % 2 else 1]:
                suite(store, col, unit, a.min_time, started)
        merge(store)
        for col in [] if r or a.no_extras else todo:
            if col.imports:
                extras(store, col)
            inference_only = ("onnxruntime", "openvino", "torch.compile freeze", JAX_CLOSED)
            if col.name not in inference_only and "MKL" not in col.name:
                cold(store, col)
            merge(store)
    merge(store)


if __name__ == "__main__":
    main()
