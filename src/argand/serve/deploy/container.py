"""The image of a server: its packages, pinned, and its Dockerfile."""

from __future__ import annotations

import json
import re
import sys
from importlib import metadata

from argand import version
from argand.serve.deploy.plan import Plan
from argand.serve.deploy.yaml import dump

PORT, GRPC_PORT = 8080, 8081
USER = 10001
DRAIN = 25
"""Seconds from SIGTERM in which requests end: Kubernetes and ECS send SIGKILL after 30."""

CACHE = "/var/cache/argand"
PACKAGES = (
    "numpy",
    "llvmlite",
    "ml_dtypes",
    "safetensors",
    "rich",
    "onnx",
    "pillow",
    "httptools",
    "grpcio",
    "protobuf",
    "prometheus-client",
    "msgspec",
)
"""What a server needs; the releases are those of this environment, in which the model was tried."""


def requirements(*more: str) -> str:
    """The packages of an image, each of one release; those that they need too."""
    lines = [f"argand=={version.__version__}"]
    lines += sorted({line for name in (*PACKAGES, *more) for line in _pinned(name, set())})
    return "\n".join(lines) + "\n"


def _pinned(name: str, seen: set[str]) -> list[str]:
    """A package, maybe with extras, and those that it needs, of the releases that are installed."""
    name, bracket, extras = name.partition("[")
    plain = re.sub(r"[-_.]+", "-", name).lower()
    if plain in seen:
        return []
    seen.add(plain)
    try:
        release, needs = metadata.version(name), metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return [plain + bracket + extras]  # not installed here: the newest
    found = [f"{plain}{bracket}{extras}=={release}"]
    for need in needs:
        match = re.match(r"[A-Za-z0-9._-]+", need)
        if match is not None and ";" not in need and "[" not in need.split(";")[0]:
            found += _pinned(match[0], seen)
    return found


def dockerfile(plan: Plan, profile: str | None = None, port: int = PORT) -> str:
    """An image that serves the model as a user without rights."""
    release = f"{sys.version_info.major}.{sys.version_info.minor}"
    serve = ["argand", "serve", "/models", "--host", "0.0.0.0", "--port", str(port)]
    serve += ["--grpc-port", str(GRPC_PORT), "--drain", str(DRAIN)]
    if profile is not None:
        serve += ["--profile", profile, "--model", plan.name]
    # SageMaker starts an image with the argument `serve`, which the shell drops
    start = json.dumps(["/bin/sh", "-c", "exec " + " ".join(serve), "argand"])
    probe = (
        "import urllib.request as r; "
        f"r.urlopen('http://127.0.0.1:{port}/v2/health/live', timeout=2)"
    )
    return f"""\
# docker build --tag {plan.tag} .
FROM python:{release}-slim-bookworm

# an index of packages other than the usual one
ARG PIP_INDEX_URL
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 ARGAND_CACHE={CACHE}

RUN groupadd --gid {USER} argand \\
 && useradd --uid {USER} --gid {USER} --no-create-home --shell /usr/sbin/nologin argand \\
 && install --directory --owner {USER} --group {USER} {CACHE}

# wheels that lie beside requirements.txt are taken before those of the index
COPY requirements.txt *.whl /tmp/packages/
RUN python -m pip install --find-links /tmp/packages --requirement /tmp/packages/requirements.txt

COPY --chown=root:root models /models
USER {USER}:{USER}
EXPOSE {port} {GRPC_PORT}
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \\
  CMD ["python", "-c", {json.dumps(probe)}]
ENTRYPOINT {start}
"""


def compose(plan: Plan) -> str:
    """`docker compose up`: the image with bounds, without rights."""
    service = {
        "build": ".",
        "image": plan.tag,
        "ports": [f"{PORT}:{PORT}", f"{GRPC_PORT}:{GRPC_PORT}"],
        "user": f"{USER}:{USER}",
        "read_only": True,
        "tmpfs": ["/tmp", f"{CACHE}:uid={USER},gid={USER},exec"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "stop_grace_period": "40s",
        "restart": "unless-stopped",
        "deploy": {
            "replicas": plan.replicas,
            "resources": {
                "limits": {"cpus": str(plan.cpus), "memory": f"{plan.mebibytes}M"},
                "reservations": {"memory": f"{plan.mebibytes // 2}M"},
            },
        },
    }
    return dump({"services": {plan.name: service}}, "docker compose up --build")


def ignored() -> str:
    """What is not sent to the builder."""
    return "*\n!requirements.txt\n!*.whl\n!models\n"


__all__ = ["CACHE", "GRPC_PORT", "PACKAGES", "PORT", "USER", "compose", "dockerfile", "ignored",
           "requirements"]  # fmt: skip
