"""Runs one program as it is, and writes what came out of it: losses, tensors, seconds.

    python program_run.py '{"record": "out.json", "seed": 0, "steps": 10}' train.py ARGUMENTS

`programs.py` starts it in both interpreters. A program is a file of Python, a notebook, whose cells
of code are run in order, or a page of Markdown, whose blocks of Python are. The generators of
random numbers are seeded before it. What it calls `backward` on is noted; after `steps` of these
the program, or the cell of a notebook, is stopped.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import random
import re
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

Namespace = dict[str, Any]


class Stop(SystemExit):
    """The program has made its steps."""


class Record:
    """What came out of a program."""

    def __init__(self, options: Namespace) -> None:
        self.options = options
        self.losses: list[float] = []
        self.before = 0  # the cell that runs: losses of cells count for themselves
        self.tensors: dict[str, float] = {}
        self.problems: dict[str, str] = {}
        self.start = time.process_time()

    def keep_parts(self) -> bool:
        """Note what a driver says of its parts (`program_drivers/parts.py`), if it has some."""
        parts = sys.modules.get("parts")
        if parts is None:
            return False
        self.tensors |= parts.RESULTS
        self.problems |= parts.PROBLEMS
        return True

    def watch(self) -> None:
        """Note every loss; end the program where it has made its steps."""
        import torch

        backward = torch.Tensor.backward
        limit = self.options.get("steps") or float("inf")

        def noted(tensor: Any, *args: Any, **options: Any) -> Any:
            if len(self.losses) - self.before >= limit:
                raise Stop(0)
            self.losses.append(float(tensor.detach().sum()))
            return backward(tensor, *args, **options)

        torch.Tensor.backward = noted

    def keep(self, names: Namespace, prefix: str = "") -> None:
        """Note the tensors that a program leaves behind, by the sums of their sizes."""
        import torch

        for name, value in names.items():
            if isinstance(value, torch.Tensor) and not name.startswith("_"):
                self.tensors[prefix + name] = float(value.detach().double().abs().sum())

    def write(self) -> None:
        """Write it where the options say."""
        found = {
            "losses": self.losses,
            "tensors": self.tensors,
            "problems": self.problems,
            "seconds": time.process_time() - self.start,
            "in_parts": "parts" in sys.modules,
        }
        Path(self.options["record"]).write_text(json.dumps(found))


def seed(number: int) -> None:
    """Seed every generator that programs draw from."""
    import numpy
    import torch

    random.seed(number)
    numpy.random.seed(number)
    torch.manual_seed(number)


def round_otherwise() -> None:
    """Let PyTorch round otherwise: other kernels, two threads, so that sums are added in another
    order, and one in eight weights a last bit larger when a module is called first."""
    import numpy
    import torch

    torch.backends.mkldnn.enabled = False
    torch.set_num_threads(2)
    random = numpy.random.default_rng(0)
    call, seen = torch.nn.Module.__call__, {}

    def disturbed(module: Any, *args: Any, **options: Any) -> Any:
        if id(module) not in seen:
            new = [p for p in module.parameters() if id(p) not in seen and p.is_floating_point()]
            for weight in new:
                chosen = torch.from_numpy(random.integers(0, 8, tuple(weight.shape)) == 0)
                weight.data = torch.where(chosen, weight.data * (1 + 2.0**-23), weight.data)
            seen.update({id(kept): kept for kept in (module, *new)})
        return call(module, *args, **options)

    torch.nn.Module.__call__ = disturbed


def double() -> None:
    """Compute in float64 what a program computes in float32."""
    import torch

    file = io.BytesIO()
    torch.save(torch.zeros(1), file)  # PyTorch makes its table of dtypes at the first
    file.seek(0)
    torch.load(file)
    torch.set_default_dtype(torch.float64)
    torch.FloatTensor = torch.DoubleTensor
    torch.Tensor.float = torch.Tensor.double
    torch.float = torch.float32 = torch.float64


WAYS = {"otherwise": round_otherwise, "double": double, "": lambda: None}
"""How to compute."""


def stand_in() -> None:
    """Let files that stand in for a data set pass for it."""
    from torchvision.datasets import cifar, utils

    def exists(path: Any, md5: str | None = None) -> bool:
        return os.path.isfile(path)

    utils.check_integrity = cifar.check_integrity = exists


def answer(addresses: dict[str, str]) -> None:
    """Let files answer what a program asks the network for by `requests`."""
    from requests import Response
    from requests.sessions import Session
    from urllib3 import HTTPResponse

    def send(session: Any, request: Any, **options: Any) -> Response:
        found = Response()
        found.url, found.status_code = request.url, 200
        content = io.BytesIO(Path(addresses[request.url]).read_bytes())
        found.raw = HTTPResponse(content, status=200, preload_content=False)
        return found

    Session.send = send


def run_file(path: str, record: Record) -> None:
    """Run a file as `__main__`."""
    names = _main(path)
    try:
        exec(compile(Path(path).read_text(), path, "exec"), names)
    finally:
        if not record.keep_parts():
            record.keep(names)


def run_notebook(path: str, record: Record) -> None:
    """Run the cells of code of a notebook in order; a cell that fails is noted, as readers do."""
    names = _main(path)
    names["display"] = builtins.print
    cells = json.loads(Path(path).read_text())["cells"]
    for number, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        text = "".join(cell["source"])
        lines = ("pass" if line.lstrip()[:1] in ("%", "!") else line for line in text.split("\n"))
        _attempt(record, f"cell {number}", "\n".join(lines), names)
    record.keep(names)


def run_page(path: str, record: Record) -> None:
    """Run the blocks of Python of a page in order: the tensors of each, and gradients."""
    blocks = re.findall(r"^```python\n(.*?)^```", Path(path).read_text(), re.M | re.S)
    names = _main(path)
    for number, text in enumerate(blocks):
        before = dict(names)
        seed(record.options["seed"])
        _attempt(record, f"block {number}", text, names)
        made = {name: v for name, v in names.items() if v is not before.get(name)}
        _attempt(record, f"backward of block {number}", "", made, _differentiate)
        record.keep(made, f"block {number}: ")


def _differentiate(names: Namespace) -> None:
    import torch

    results = [v for v in names.values() if isinstance(v, torch.Tensor) and v.grad_fn is not None]
    for result in results[-1:]:
        result.float().pow(2).mean().backward()
    models = [v for v in names.values() if isinstance(v, torch.nn.Module)]
    for number, model in enumerate(models):
        gradients = [p.grad.abs().sum() for p in model.parameters() if p.grad is not None]
        names[f"gradient{number}"] = sum(gradients, torch.zeros(()))


def _attempt(record: Record, title: str, text: str, names: Namespace, then: Any = None) -> None:
    record.before = len(record.losses)
    try:
        exec(compile(text, title, "exec"), names)
        if then is not None:
            then(names)
    except Stop:
        return
    except Exception as error:
        last = str(error).strip().splitlines()[:1]
        record.problems[title] = f"{type(error).__name__}: {''.join(last)}"
        traceback.print_exc()


def _main(path: str) -> Namespace:
    module = ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    return vars(module)


RUNNERS = {".ipynb": run_notebook, ".md": run_page}


def main() -> None:
    """Run the program that the command line names."""
    record = Record(json.loads(sys.argv[1]))
    sys.argv = sys.argv[2:]
    path = sys.argv[0]
    sys.path[0] = os.path.dirname(os.path.realpath(path))
    sys.path[1:1] = record.options.get("paths", [])
    os.environ.setdefault("MPLBACKEND", "agg")
    if record.options.get("vision"):
        stand_in()
    if record.options.get("fetched"):
        answer(record.options["fetched"])
    WAYS[record.options.get("how", "")]()
    seed(record.options["seed"])
    record.watch()
    try:
        RUNNERS.get(Path(path).suffix, run_file)(path, record)
    finally:
        record.write()


if __name__ == "__main__":
    main()
