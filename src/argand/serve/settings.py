"""What can be set for a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from argand.base.errors import ArgumentError
from argand.serve.limits import Limits
from argand.serve.options import HUNG_SECONDS, hold_above_zero, hold_at_least

Profile = Literal["vertex", "sagemaker", "azure", "kserve"]
PROFILES: tuple[Profile, ...] = ("vertex", "sagemaker", "azure", "kserve")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a server listens on, whom it answers, and how it ends.

    Args:
        host: the address to listen on; "0.0.0.0" for all of IPv4, "::" for IPv6 too.
        port: of HTTP; 0 for one that is free.
        grpc_port: of gRPC; 0 for one that is free, None for no gRPC.
        workers: how many processes compute; with 0 this one does.
        hung_seconds: after how many seconds of one call a worker is ended, and its call computed
            once more by another; at least the model's `timeout`. `inf` for never.
        busy_poll: for how many seconds a server with a process of its own looks for requests before
            it sleeps, as waking up takes longer than most requests of small models, while they come
            that quickly; 0 for never.
        poll: the seconds between two looks at the folders of models; None to look once.
        profile: the paths and ports of a cloud, besides the protocols.
        model: the model that a profile's paths without a name ask; the only one where not given.
        health_path: where Vertex asks for health, and `predict_path` for predictions.
        multi_model: SageMaker loads and unloads models, without a token.
        certificate: the file of a TLS certificate (PEM, its chain behind it), and `key` its key.
        clients: the file of certificates (PEM) of clients, or of who signed theirs; others are not
            answered, over HTTP and gRPC.
        token: opens the management of models, which is off without one.
        tokens: the tokens of models by their names, `"*"` for those without one.
        limits: what clients may take.
        drain: the seconds in which requests that have begun may end when the server stops.
        log: "json" writes a line for each request to standard output.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    grpc_port: int | None = None
    workers: int = 0
    hung_seconds: float = HUNG_SECONDS
    busy_poll: float = 100e-6
    poll: float | None = None
    profile: Profile | None = None
    model: str | None = None
    health_path: str | None = None
    predict_path: str | None = None
    multi_model: bool = False
    certificate: str | None = None
    key: str | None = None
    clients: str | None = None
    token: str | None = None
    tokens: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    drain: float = 30.0
    log: Literal["json"] | None = None

    def __post_init__(self) -> None:
        for name in ("port", "grpc_port"):
            value = getattr(self, name)
            if value is not None and not (type(value) is int and 0 <= value < 65536):
                raise ArgumentError(f"{name} must be a number from 0 to 65535, got {value!r:.60}")
        hold_at_least(self, workers=0, drain=0, busy_poll=0)
        hold_above_zero(self, "hung_seconds")
        if self.poll is not None:
            hold_above_zero(self, "poll", unit=" seconds")
        if self.log not in ("json", None):
            raise ArgumentError(f"log must be 'json' or None, got {self.log!r:.60}")
        for path in (self.certificate, self.key, self.clients):
            if path is not None and not Path(path).is_file():
                raise FileNotFoundError(2, "there is no such file", str(path))
        if self.profile is not None and self.profile not in PROFILES:
            raise ArgumentError(f"profile must be one of {', '.join(PROFILES)}: {self.profile!r}")
        if self.key is not None and self.certificate is None:
            raise ArgumentError("key is the key of a certificate; give certificate too")
        if self.clients is not None and self.certificate is None:
            raise ArgumentError("clients show certificates over TLS only; give certificate too")


__all__ = ["PROFILES", "Profile", "ServerOptions"]
