"""Argand's server and its peers under the same load, one after the other, in one run.

    python benchmarks/serve/run.py --out FOLDER --peer fastapi=PYTHON --peer litserve=PYTHON ...

For each model and server: is the answer right; the largest rate of requests that keeps p99 below
25 ms, in an open loop; p50 and p99 at fixed rates. The load comes from a process of its own.
Pinned, it has one core and the server the other; `--unpinned`, both have both. FOLDER gets the
models, the requests, results and a table. About 25 seconds for each server and model.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LIMIT = 0.025
"""Seconds that the p99 must stay below."""

MODELS = ("mlp", "resnet18", "encoder")
FIXED = {"mlp": (500, 1500), "resnet18": (20, 60), "encoder": (5, 20)}
CONNECTIONS = {"mlp": 64, "resnet18": 32, "encoder": 32}
TOLERANCE = 1e-3


class Served:
    """A server that runs: where, and how it is asked."""

    def __init__(self, name: str, port: int, path: str, headers: dict[str, str], kind: str) -> None:
        self.name, self.port, self.path, self.headers, self.kind = name, port, path, headers, kind


class Runner:
    """Starts servers and loads, and keeps what came out."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.folder = options.out
        cores = sorted(os.sched_getaffinity(0))
        pinned = not options.unpinned and len(cores) > 1
        self.server_cores = cores[1:2] if pinned else cores
        self.load_cores = cores[:1] if pinned else cores

    # -- processes -----------------------------------------------------------------------------

    def start(self, name: str, model: str, port: int) -> subprocess.Popen[bytes]:
        """A server's process, in a group of its own."""
        python = self.options.peers.get(name.split("/")[0], self.options.argand)
        command = [python, *arguments(name, model, port, python, self.folder)]
        environment = {
            **os.environ,
            "SERVED_MODEL": model,
            "SERVED_FOLDER": str(self.folder),
            "PYTHONPATH": f"{HERE / 'peers'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
            "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": str(len(self.server_cores)),
        }
        log = open(self.folder / f"{name.replace('/', '.')}.{model}.log", "wb")  # noqa: SIM115
        return subprocess.Popen(
            command,
            cwd=self.folder,  # some write logs where they are
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, self.server_cores),
        )

    def load(
        self,
        served: Served,
        model: str,
        rate: float | None,
        seconds: float,
        connections: int | None = None,
    ) -> Any:
        """What the load generator found."""
        suffix = "v2" if served.kind == "binary" else "json"
        spec = {
            "port": served.port,
            "path": served.path,
            "headers": served.headers,
            "bodies": [str(self.folder / "requests" / f"{model}.{i}.{suffix}") for i in range(32)],
            "connections": connections or CONNECTIONS[model],
            "rate": rate,
            "seconds": seconds,
        }
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(spec, file)
            file.flush()
            done = subprocess.run(
                [sys.executable, str(HERE / "load.py"), file.name],
                capture_output=True,
                timeout=60,
                check=False,
                preexec_fn=lambda: os.sched_setaffinity(0, self.load_cores),
            )
        if done.returncode:
            return {"rate": 0.0, "p50": None, "p99": None, "errors": 1, "lost": 1, "answers": 0}
        return json.loads(done.stdout)

    # -- measuring -----------------------------------------------------------------------------

    def measure(self, name: str, model: str) -> list[dict[str, Any]]:
        """The figures of a server; of Argand's, of both of its protocols."""
        port = free_port()
        process = self.start(name, model, port)
        try:
            found = []
            for served in asked(name, model, port, self.folder):
                self.wait(process, served, model)
                self.check(served, model)
                found.append(self.figures(served, model))
            return found
        finally:
            end(process)

    def wait(self, process: subprocess.Popen[bytes], served: Served, model: str) -> None:
        """Wait for the first good answer."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if process.poll() is not None:
                raise RuntimeError(f"{served.name} ended with {process.returncode}")
            try:
                self.answer(served, model, 0)
                return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError(f"{served.name} did not start")

    def answer(self, served: Served, model: str, i: int) -> Any:
        """An answer to one request."""
        suffix = "v2" if served.kind == "binary" else "json"
        body = (self.folder / "requests" / f"{model}.{i}.{suffix}").read_bytes()
        request = urllib.request.Request(
            f"http://127.0.0.1:{served.port}{served.path}", body, served.headers
        )
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.read()

    def check(self, served: Served, model: str) -> None:
        """Refuse a server that answers wrong."""
        right = json.loads((self.folder / "requests" / f"{model}.right").read_text())
        if served.kind == "binary":
            return  # the same engine as by JSON
        for i in (0, 1, 2):
            found = json.loads(self.answer(served, model, i))["predictions"][0]
            off = max(abs(a - b) for a, b in zip(found, right[i], strict=True))
            if not off < TOLERANCE:
                raise RuntimeError(f"{served.name}: {model}: an answer is {off} off")

    def figures(self, served: Served, model: str) -> dict[str, Any]:
        """The largest rate within the limit, and the latencies at fixed rates."""
        seconds = self.options.seconds
        self.load(served, model, None, 0.7)  # warm
        full = self.load(served, model, None, seconds)
        found: dict[str, Any] = {
            "server": served.name,
            "model": model,
            "most": full["rate"],
            "errors": full["errors"],
            "fixed": {},
        }
        low, high = 0.0, max(full["rate"], 1.0) * 1.1
        rate = full["rate"] * 0.9
        for _ in range(self.options.steps):
            step = self.load(served, model, rate, seconds)
            good = step["p99"] is not None and step["p99"] < LIMIT and not step["errors"]
            low, high = (rate, high) if good else (low, rate)
            rate = (low + high) / 2
        found["sustained"] = low
        for fixed in FIXED[model]:
            step = self.load(served, model, fixed, seconds)
            found["fixed"][fixed] = (step["p50"], step["p99"])
        if model == "mlp":
            found["alone"] = self.load(served, model, None, seconds, 1)["p50"]
        return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
    return port


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server's whole group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(8)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def arguments(name: str, model: str, port: int, python: str, folder: Path) -> list[str]:
    """How a server is started, behind its Python."""
    kind, _, workers = name.partition("/")
    if kind == "bento":
        return ["-m", "bentoml", "serve", "bento_app:Served", "--port", str(port)]
    if kind == "torchserve":
        return torchserve(model, port, python, folder)
    return [str(HERE / "peers" / f"{kind}_app.py"), str(port), *([workers] if workers else [])]


def torchserve(model: str, port: int, python: str, folder: Path) -> list[str]:
    """Package the handler; how TorchServe is started then."""
    store = folder / "torchserve"
    store.mkdir(exist_ok=True)
    tool = Path(python).parent / "torch-model-archiver"
    subprocess.run(
        [
            *(tool, "--model-name", model, "--version", "1", "--handler", "torchserve_handler.py"),
            *("--extra-files", "common.py", "--export-path", store, "--force"),
        ],
        cwd=HERE / "peers",
        check=True,
        capture_output=True,
        env={**os.environ, "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}"},
    )
    settings = {"minWorkers": 1, "maxWorkers": 1, "batchSize": 32, "maxBatchDelay": 1}
    settings |= {"marName": f"{model}.mar", "defaultVersion": True, "responseTimeout": 30}
    config = store / f"{model}.{port}.properties"
    addresses = {"inference": port, "management": free_port(), "metrics": free_port()}
    lines = [f"{k}_address=http://127.0.0.1:{v}" for k, v in addresses.items()]
    lines += [f"grpc_{k}_port={free_port()}" for k in ("inference", "management")]
    lines += ["default_workers_per_model=1", "disable_token_authorization=true"]
    lines += [f"models={json.dumps({model: {'1.0': settings}})}", "load_models=none"]
    config.write_text("\n".join(lines))
    started = ["--start", "--foreground", "--ncs", "--disable-token-auth"]
    started += ["--model-store", str(store), "--models", f"{model}={model}.mar"]
    return ["-m", "ts.model_server", *started, "--ts-config", str(config)]


def asked(name: str, model: str, port: int, folder: Path) -> list[Served]:
    """The ways in which a server is asked."""
    headers = {"content-type": "application/json"}
    if name == "torchserve":
        return [Served(name, port, f"/predictions/{model}", headers, "json")]
    if not name.startswith("argand"):
        return [Served(name, port, "/predict", headers, "json")]
    first = (folder / "requests" / f"{model}.0.v2").read_bytes()
    both = [Served(name, port, f"/v1/models/{model}:predict", headers, "json")]
    if model != "encoder":  # its requests have headers of several lengths
        v2 = {
            "content-type": "application/octet-stream",
            "inference-header-content-length": str(_head(first)),
        }
        both.append(Served(f"{name} v2", port, f"/v2/models/{model}/infer", v2, "binary"))
    return both


def _head(body: bytes) -> int:
    """The length of the JSON before binary data."""
    return json.JSONDecoder().raw_decode(body.decode("latin-1"))[1]


def table(results: list[dict[str, Any]], calls: dict[str, float]) -> str:
    """The figures as Markdown."""
    lines = []
    for model in dict.fromkeys(r["model"] for r in results):
        rates = FIXED[model]
        lines += [f"**{model}** (the model's own call of one row: {calls[model] * 1e3:.3f} ms)", ""]
        heads = ["server", "sustained /s", "closed loop /s"]
        heads += [f"p50/p99 at {r}/s (ms)" for r in rates]
        if model == "mlp":
            heads.append("one connection (us)")
        lines += ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
        for r in (r for r in results if r["model"] == model):
            cells = [r["server"], f"{r['sustained']:.0f}", f"{r['most']:.0f}"]
            cells += [_latency(r["fixed"][rate]) for rate in rates]
            if model == "mlp":
                cells.append("-" if r["alone"] is None else f"{r['alone'] * 1e6:.0f}")
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _latency(pair: Any) -> str:
    p50, p99 = pair
    return " / ".join("-" if p is None else f"{p * 1e3:.1f}" for p in (p50, p99))


def main() -> None:
    """Measure, and write results.json and table.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--argand", default=sys.executable, help="the Python that has Argand")
    parser.add_argument("--peer", action="append", default=[], help="NAME=PYTHON")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--workers", type=int, default=0, help="measure argand with these too")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each load")
    parser.add_argument("--steps", type=int, default=5, help="of the search for the largest rate")
    parser.add_argument("--unpinned", action="store_true")
    options = parser.parse_args()
    options.out = options.out.resolve()
    options.peers = dict(p.split("=", 1) for p in options.peer)
    if not (options.out / "models").exists():
        subprocess.run([options.argand, str(HERE / "models.py"), str(options.out)], check=True)
    runner = Runner(options)
    servers = ["argand", *options.peers]
    servers[1:1] = [f"argand/{options.workers}"] if options.workers else []
    results: list[dict[str, Any]] = []
    calls: dict[str, float] = {}
    for model in options.models.split(","):
        command = [options.argand, str(HERE / "models.py"), str(options.out), model]
        calls[model] = float(subprocess.run(command, capture_output=True, check=True).stdout)
        for name in servers:
            try:
                results += runner.measure(name, model)
            except RuntimeError as error:
                print(f"{name}: {model}: left out: {error}", file=sys.stderr)
                continue
            last = results[-1]
            print(f"{name}: {model}: {last['sustained']:.0f} requests a second", file=sys.stderr)
    kind = "unpinned" if options.unpinned else "pinned"
    (options.out / f"results.{kind}.json").write_text(json.dumps(results, indent=1))
    (options.out / f"table.{kind}.md").write_text(table(results, calls))
    print(table(results, calls))


if __name__ == "__main__":
    main()
