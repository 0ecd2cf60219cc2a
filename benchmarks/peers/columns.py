"""The columns of the comparison, and the JSON file that holds the figures of each."""

import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))

JAX_CLOSED = "jax.jit, weights closed over"

# column -> (argument that names its interpreter, script, mode, import name)
COLUMNS = {
    "argand": ("argand", "bench_argand.py", "compile", "argand"),
    "argand eager": ("argand", "bench_argand.py", "eager", None),
    "torch eager": ("torch", "bench_torch.py", "eager", "torch"),
    "torch tuned": ("torch", "bench_torch.py", "tuned", None),
    "torch.compile": ("torch", "bench_torch.py", "compile", None),
    "torch.compile freeze": ("torch", "bench_torch.py", "freeze", None),
    "torch eager, MKL unlocked": ("torch", "bench_torch.py", "eager", None),
    "torch.compile, MKL unlocked": ("torch", "bench_torch.py", "compile", None),
    "jax.jit": ("jax", "bench_jax.py", "jit", "jax"),
    JAX_CLOSED: ("jax", "bench_jax.py", "closed", None),
    "tf.function": ("tf", "bench_tf.py", "graph", "tensorflow"),
    "tf.function XLA": ("tf", "bench_tf.py", "xla", None),
    "onnxruntime": ("ort", "bench_ort.py", "default", "onnxruntime"),
    "openvino": ("openvino", "bench_openvino.py", "f32", "openvino"),
    "tinygrad": ("tinygrad", "bench_tinygrad.py", "llvm", "tinygrad"),
}
# The same two of Argand for another checkout (`run_all.py --before`): "argand before" and so on.
BEFORE = {"argand before": "compile", "argand eager before": "eager"}
# Ours start with this word: ratios compare the best of them with the best of the others.
OURS = "argand"

# Training steps whose first call is timed with an empty and a warm cache; and peak memory.
COMPILE = ("mlp_train", "resnet18_train", "gpt_train")
RSS = ("resnet18_train", "gpt_train")


class Store:
    """The folder that holds one JSON file a column, and the table."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        self.results = os.path.join(self.folder, "results")

    def path(self, column):
        slug = column.replace(",", "").replace(" ", "_").replace(".", "_")
        return os.path.join(self.results, slug + ".json")

    def load(self, column):
        try:
            with open(self.path(column)) as f:
                return json.load(f)
        except (OSError, ValueError):
            return {"column": column, "results": {}, "extra": {}}

    def save(self, column, d):
        os.makedirs(self.results, exist_ok=True)
        with open(self.path(column), "w") as f:
            json.dump(d, f, indent=1)

    def forget(self, column):
        if os.path.exists(self.path(column)):
            os.unlink(self.path(column))

    def everything(self):
        """Column name -> its figures, in the order of COLUMNS, unknown ones last."""
        found = {}
        for name in sorted(os.listdir(self.results)) if os.path.isdir(self.results) else ():
            with open(os.path.join(self.results, name)) as f:
                d = json.load(f)
            found[d["column"]] = d
        known = [c for c in COLUMNS if c in found]
        return {c: found[c] for c in known + [c for c in found if c not in COLUMNS]}
