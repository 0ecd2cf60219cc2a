"""What the clouds say about the server in a container: ports and paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argand.base.errors import ArgumentError


def settings_of_profile(profile: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """The server's options in the container of a cloud.

    >>> from argand.serve.profiles import settings_of_profile
    >>> settings_of_profile("vertex", {"AIP_HTTP_PORT": "8090"})["port"]
    8090
    """
    found: dict[str, Any] = {"profile": profile, "host": "0.0.0.0", "port": 8080}
    if profile == "vertex":
        found["port"] = _port(environment, "AIP_HTTP_PORT", 8080)
        found["health_path"] = environment.get("AIP_HEALTH_ROUTE", "/health")
        found["predict_path"] = environment.get("AIP_PREDICT_ROUTE", "/predict")
    elif profile == "sagemaker":
        found["port"] = _port(environment, "SAGEMAKER_BIND_TO_PORT", 8080)
        found["multi_model"] = environment.get("SAGEMAKER_MULTI_MODEL", "").lower() == "true"
    elif profile == "azure":
        found["port"] = _port(environment, "AZUREML_INFERENCE_SERVER_PORT", 5001)
    elif profile == "kserve":
        found["grpc_port"] = 8081
    return found


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ArgumentError(f"{name} must be a port, got {text!r}")
    return int(text)


__all__ = ["settings_of_profile"]
