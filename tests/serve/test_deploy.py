"""`argand deploy`: complete files for each target, written whole, and a Ray Serve application."""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import classifier, exported, inputs

import argand
from argand.base.errors import ArgumentError
from argand.cli import main as main_module
from argand.cli.main import main
from argand.cli.serve import settings_of
from argand.serve.deploy import TARGETS, Plan, files_for, write
from argand.serve.deploy.container import PACKAGES, requirements
from argand.serve.deploy.plan import name_of, packages_of
from argand.serve.deploy.yaml import Tagged, dump
from argand.serve.generation.layout import CARD


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to deploy."""
    path = tmp_path_factory.mktemp("model") / "Digits of 8x8.argand"
    exported(classifier()).save(path)
    return path


def text_of(files: Any, name: str) -> str:
    """The text of a file."""
    return str(files[name])


def read(text: str) -> Any:
    """YAML, with tags such as `!Ref` as pairs."""
    yaml = pytest.importorskip("yaml")

    class Loader(yaml.SafeLoader):  # type: ignore[misc, name-defined]
        pass

    Loader.add_multi_constructor("!", lambda loader, tag, node: (tag, node.value))
    return yaml.load(text, Loader)  # a safe loader


# -- the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_the_command_writes_all_files_and_overwrites_none(
    model: Path, target: str, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["deploy", str(model), "--to", target]
    assert main([*arguments, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["name"] == "digits-of-8x8"
    folder = tmp_path / f"digits-of-8x8-{target}"
    found = {str(p.relative_to(tmp_path)) for p in folder.rglob("*") if p.is_file()}
    assert found == set(said["files"])
    copy = folder / "models" / "digits-of-8x8" / "1" / "model.argand"
    assert copy.read_bytes() == model.read_bytes()
    changed = folder / "requirements.txt"
    changed.write_text("mine")
    (folder / "kept").write_text("mine")
    assert main(arguments) == 1
    assert "would be overwritten" in capsys.readouterr().err
    assert changed.read_text() == "mine"
    assert main([*arguments, "--force"]) == 0
    assert changed.read_text() != "mine"
    assert (folder / "kept").read_text() == "mine"
    assert not [p for p in folder.rglob(".*") if p.name != ".dockerignore"]


def test_what_can_not_be_deployed_is_refused(tmp_path: Path, model: Path, capsys: Any) -> None:
    damaged = tmp_path / "m.argand"
    damaged.write_bytes(model.read_bytes()[:-100])
    assert main(["deploy", str(damaged), "--to", "docker", "--output", str(tmp_path / "o")]) == 1
    assert not (tmp_path / "o").exists()
    for wrong in ({"name": "Digits"}, {"name": "a" * 50}, {"name": "x; rm"}, {"memory": "4GB"},
                  {"image": "a b"}, {"cpus": 0}, {"replicas": 9}):  # fmt: skip
        with pytest.raises(ArgumentError):
            Plan(**{"model": model, "name": "digits", **wrong})
    with pytest.raises(ArgumentError, match="there is no target"):
        files_for(Plan(model, "digits"), "heroku")
    assert name_of(Path("8 Digits!.onnx")) == "model-8-digits"
    assert name_of(Path("models/digits/3/model.argand")) == "digits"
    assert name_of(Path("models/digits/model.argand")) == "model"


# -- what the files say ----------------------------------------------------------------------------


def test_the_image_runs_without_rights_and_with_a_health_check(model: Path) -> None:
    for target in TARGETS[:-1]:
        files = files_for(Plan(model, "digits"), target)
        lines = text_of(files, "Dockerfile").replace("\\\n", "").splitlines()
        commands = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
        named = dict(commands)
        assert commands[0][0] == "FROM" and re.search(r":3\.\d+-slim", commands[0][1])
        assert named["USER"] == "10001:10001"
        port = "5001" if target == "azure" else "8080"
        probe = json.loads(named["HEALTHCHECK"].split("CMD ", 1)[1])
        assert f":{port}/v2/health/live" in probe[2]
        compile(probe[2], "probe", "exec")
        start = json.loads(named["ENTRYPOINT"])
        assert f"--port {port}" in start[2]
        assert start[2].startswith("exec argand serve /models --host 0.0.0.0 ")
        if target != "docker":
            assert f"--profile {target} --model digits" in start[2]
        called = main_module._parser().parse_args(start[2].split()[2:])
        made, _, _ = settings_of(called)
        assert (str(made.port), made.grpc_port) == (port, 8081)
        assert (made.host, made.model) == ("0.0.0.0", None if target == "docker" else "digits")


def test_packages_are_pinned_and_are_those_of_the_extra() -> None:
    lines = requirements().splitlines()
    assert lines[0] == f"argand=={argand.__version__}"
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["serve"][1:], *extras["onnx"], *extras["vision"]]
    names = {re.split(r"[>=<\[]", need)[0] for need in needed}
    assert names == set(PACKAGES)
    pinned = {line.split("==")[0] for line in lines if re.fullmatch(r"[\w.-]+==[\w.!+-]+", line)}
    assert {"numpy", "llvmlite", "ml-dtypes", "markdown-it-py"} <= pinned


_ROWS = [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]
_V2 = {"inputs": [{"name": "input", "shape": [1, 6], "datatype": "FP32", "data": _ROWS}]}
CONTRACTS: dict[str, list[tuple[str, Any]]] = {
    "docker": [("/v2/health/ready", None), ("/v2/models/digits/infer", _V2)],
    "kserve": [("/v2/health/ready", None), ("/v1/models/digits", None),
               ("/v1/models/digits:predict", {"instances": _ROWS}),
               ("/v2/models/digits/infer", _V2)],
    "vertex": [("/health", None), ("/predict", {"instances": _ROWS})],
    "sagemaker": [("/ping", None), ("/invocations", {"instances": _ROWS})],
    "azure": [("/v2/health/live", None), ("/v2/health/ready", None),
              ("/score", {"input_data": _ROWS})],
}  # fmt: skip
"""The paths that each platform asks."""


@pytest.mark.parametrize(
    "target",
    ["vertex", *(pytest.param(t, marks=pytest.mark.slow) for t in CONTRACTS if t != "vertex")],
)
def test_the_images_command_answers_what_the_platform_asks(
    model: Path, target: str, tmp_path: Path
) -> None:
    """Only the port and the folder of the models are others here."""
    for needed in ("httptools", "grpc", "msgspec", "prometheus_client"):
        pytest.importorskip(needed)
    write(files_for(Plan(model, "digits"), target), tmp_path / "image")
    text = (tmp_path / "image" / "Dockerfile").read_text().replace("\\\n", "")
    start = json.loads(re.findall(r"^ENTRYPOINT (.*)$", text, re.M)[0])
    probe = json.loads(re.findall(r"CMD (\[.*\])$", text, re.M)[0])
    (asked,) = re.findall(r"--port (\d+)", start[2])
    port, grpc_port = free_port(), free_port()
    start[2] = start[2].replace("/models", str(tmp_path / "image" / "models"))
    start[2] = start[2].replace(f"--port {asked}", f"--port {port}").replace("8081", str(grpc_port))
    command = tmp_path / "bin" / "argand"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m argand "$@"\n')
    command.chmod(0o755)
    paths = [str(command.parent), *os.environ["PATH"].split(os.pathsep)]
    environment = os.environ | {"PATH": os.pathsep.join(paths), "PYTHONPATH": _SOURCES}
    arguments = ["serve"] if target == "sagemaker" else []
    process = subprocess.Popen([*start, *arguments], env=environment, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)  # fmt: skip
    try:
        for path, body in [("/v2/health/ready", None), *CONTRACTS[target]]:
            answer = answer_of(process, f"http://127.0.0.1:{port}{path}", body)
        expected = exported(classifier())(np.array(_ROWS, np.float32)).numpy()
        numbers = re.findall(rb"-?\d\.\d{4,}", answer)
        assert np.array(numbers, np.float32).tobytes() == expected.tobytes()
        looked = [sys.executable, *(x.replace(f":{asked}/", f":{port}/") for x in probe[1:])]
        assert subprocess.run(looked, check=False).returncode == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


_SOURCES = os.pathsep.join(p for p in sys.path if (Path(p) / "argand").is_dir())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def answer_of(process: Any, url: str, body: Any) -> bytes:
    """What a server says that may still be starting."""
    data = None if body is None else json.dumps(body).encode()
    headers = {} if body is None else {"content-type": "application/json"}
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            said = error.read()
            assert "ready" in url, said
        except OSError:
            assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)


def test_docker(model: Path) -> None:
    found = read(
        text_of(files_for(Plan(model, "digits", memory="512Mi"), "docker"), "compose.yaml")
    )
    service = found["services"]["digits"]
    assert service["read_only"] is True
    assert service["user"] == "10001:10001"
    assert service["deploy"]["resources"]["limits"] == {"cpus": "2", "memory": "512M"}


def test_kserve(model: Path) -> None:
    plan = Plan(model, "digits", "registry/digits:7", cpus=3, memory="6Gi", replicas=2)
    found = read(text_of(files_for(plan, "kserve"), "inferenceservice.yaml"))
    assert (found["apiVersion"], found["kind"]) == (
        "serving.kserve.io/v1beta1", "InferenceService"
    )  # fmt: skip
    predictor = found["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 4)
    (container,) = predictor["containers"]
    assert container["image"] == "registry/digits:7"
    assert container["resources"]["limits"] == {"cpu": "3", "memory": "6Gi"}
    assert container["securityContext"]["runAsNonRoot"] is True
    assert container["livenessProbe"]["httpGet"] == {"path": "/v2/health/live", "port": 8080}
    refused = {"startupProbe", "terminationGracePeriodSeconds"}  # by Knative
    assert not refused & (predictor.keys() | container.keys())
    mounted = {v["name"] for v in container["volumeMounts"]}
    assert mounted == {v["name"] for v in predictor["volumes"]}


def test_the_clouds(model: Path) -> None:
    plan = Plan(model, "digits", cpus=4, memory="30Gi")
    vertex = files_for(plan, "vertex")
    upload = read(text_of(vertex, "upload.yaml"))
    assert upload["--container-predict-route"] == "/predict"
    assert upload["--container-ports"] == [8080]
    assert read(text_of(vertex, "deploy.yaml"))["--machine-type"] == "n1-standard-4"
    template = read(text_of(files_for(plan, "sagemaker"), "endpoint.yaml"))
    kinds = {r["Type"] for r in template["Resources"].values()}
    assert kinds == {f"AWS::SageMaker::{k}" for k in ("Model", "EndpointConfig", "Endpoint")}
    variant = template["Resources"]["Configuration"]["Properties"]["ProductionVariants"][0]
    assert variant["ModelName"] == ("GetAtt", "Model.ModelName")
    assert template["Parameters"]["InstanceType"]["Default"] == "ml.m5.2xlarge"
    azure = files_for(plan, "azure")
    deployment = read(text_of(azure, "deployment.yaml"))
    assert deployment["endpoint_name"] == read(text_of(azure, "endpoint.yaml"))["name"]
    routes = deployment["environment"]["inference_config"]
    assert routes["scoring_route"] == {"port": 5001, "path": "/score"}
    assert deployment["instance_type"] == "Standard_DS5_v2"


def test_yaml_keeps_strings_apart_from_other_things() -> None:
    value = {
        "no": "no", "1": "1.0", "empty": {}, "none": [], "text": "a: b # c\n\"d\"",
        "list": [{"a": 1, "b": [1, 2]}, ["x", "~"], "*"], "t": True, "n": None,
    }  # fmt: skip
    assert read(dump(value, "a\n\nb")) == value
    assert read(dump({"a": Tagged("!Ref", "B")})) == {"a": ("Ref", "B")}


def test_files_appear_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(FileNotFoundError):
        write({"a": tmp_path / "missing"}, tmp_path, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_the_library_of_a_tokenizer_is_installed_where_the_card_names_one(
    tmp_path: Path, monkeypatch: Any
) -> None:
    program = argand.export.export(lambda x: x * 1, (argand.ones(1, 3, dtype=argand.int64),))
    how = argand.export.card.text("tokenizer.json")
    program.save(
        tmp_path / "m.argand", assets={"tokenizer.json": "{}"}, card={"inputs": {"x": how}}
    )
    monkeypatch.chdir(tmp_path)
    for target in ("docker", "ray"):
        assert main(["deploy", "m.argand", "--to", target]) == 0
        lines = (tmp_path / f"m-{target}" / "requirements.txt").read_text().splitlines()
        assert any(line.partition("==")[0] == "tokenizers" for line in lines)
    assert packages_of({CARD: {"tokenizer": "tokenizer.json"}}) == ("tokenizers",)
    assert packages_of({CARD: {"tokenizer": "v.txt", "type": "characters"}}) == ()
    assert packages_of({"inputs": {"x": argand.export.card.text("v.txt", "words")}}) == ()


# -- Ray Serve -------------------------------------------------------------------------------------


def test_the_application_names_what_it_imports(model: Path, monkeypatch: Any) -> None:
    files = files_for(Plan(model, "digits"), "ray")
    config = read(text_of(files, "serve.yaml"))
    (application,) = config["applications"]
    assert application["import_path"] == "application:app"
    compile(text_of(files, "application.py"), "application.py", "exec")
    assert re.search(r"^ray\[serve\](==[\d.]+)?$", text_of(files, "requirements.txt"), re.M)


def test_a_ray_serve_application_answers_on_one_node(model: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    serve = pytest.importorskip("ray.serve")
    from argand_client import Client, ServeError

    folder = tmp_path / "app"
    plan = Plan(model, "digits", cpus=1, memory="512Mi", most_replicas=1)
    write(files_for(plan, "ray"), folder)
    app = runpy.run_path(str(folder / "application.py"))["app"]
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False,
             runtime_env={"env_vars": {"PYTHONPATH": ":".join(sys.path)}})  # fmt: skip
    try:
        serve.start(http_options={"port": 18642})
        serve.run(app, name="digits", route_prefix="/")
        x = inputs(4)
        with Client("http://127.0.0.1:18642", "digits") as client:
            expected = exported(classifier())(x).numpy()
            assert client.predict(x).tobytes() == expected.tobytes()
            assert client.is_ready()
        with (
            Client("http://127.0.0.1:18642", "digit") as client,
            pytest.raises(ServeError, match="did you mean digits"),
        ):
            client.predict(x)
    finally:
        serve.shutdown()
        ray.shutdown()
