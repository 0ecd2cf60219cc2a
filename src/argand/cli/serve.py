"""`argand serve`: models behind one server that speaks many protocols."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from argand.base.errors import ArgumentError
from argand.base.settings import of_container

_NEEDED = ("httptools", "msgspec", "prometheus_client")
_FIELDS = (
    "host",
    "port",
    "grpc_port",
    "workers",
    "hung_seconds",
    "busy_poll",
    "poll",
    "profile",
    "model",
    "certificate",
    "clients",
    "key",
    "token",
    "drain",
    "log",
)
_LIMITS = {"max_body": "body", "max_connections": "connections", "body_seconds": "body_seconds"}


def run(options: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ArgumentError(
            f"the server needs {', '.join(missing)}, which come with: pip install 'argand[serve]'"
        )
    from argand.serve.beside import goes_on
    from argand.serve.server import Server

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    made, models, default = settings_of(options)
    if not options.paths and not made.multi_model:
        raise ArgumentError("give what is to be served: a folder of models, or a file")
    server = Server(options.paths, made, models=models, default=default)
    server.run()
    if goes_on():
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
    return 0


def settings_of(options: argparse.Namespace) -> tuple[Any, Any, Any]:
    """The options of the server and of its models: of the profile, then of the file, then of the
    command line, where the later ones count."""
    from argand.serve.config import Config, read_config
    from argand.serve.options import ModelOptions
    from argand.serve.profiles import settings_of_profile
    from argand.serve.settings import ServerOptions

    config = Config({}, {}, ModelOptions())
    if options.config is not None:
        config = read_config(options.config)
    profile = options.profile or config.server.get("profile")
    set = {} if profile is None else settings_of_profile(profile, of_container())
    set |= config.server
    given = {name: getattr(options, name) for name in _FIELDS}
    set |= {name: value for name, value in given.items() if value is not None}
    if options.token is not None:
        set["token"] = _from_file(options.token)
    set["log"] = None if set.get("log") == "none" else set.get("log", "json")
    tokens = dict(map(_token, options.model_token))
    if tokens:
        set["tokens"] = tokens
    token = of_container().get("ARGAND_SERVE_TOKEN")
    if token and "token" not in set:
        set["token"] = token
    made = ServerOptions(**set)
    limits = {f: getattr(options, n) for n, f in _LIMITS.items() if getattr(options, n) is not None}
    return replace(made, limits=replace(made.limits, **limits)), config.models, config.default


def _token(text: str) -> tuple[str, str]:
    model, sign, token = text.partition("=")
    if not sign or not token:
        raise ArgumentError(f"--model-token takes MODEL=TOKEN, got {text!r}")
    return model, _from_file(token)


def _from_file(text: str) -> str:
    """A secret, or what stands in the file of `@FILE`, which other users can't see in `ps`."""
    return Path(text[1:]).read_text().strip() if text.startswith("@") else text


def add_options(command: argparse.ArgumentParser) -> None:
    """What the command takes."""
    command.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        help="a folder of models (a folder each, numbered folders their versions), or a file",
    )
    add = command.add_argument
    add("--host", help="the address to listen on (127.0.0.1; 0.0.0.0 with a profile)")
    add("--port", type=int, help="of HTTP (8000); 0 for a free one")
    add("--grpc-port", type=int, help="of gRPC; 0 for a free one; none without it")
    add("--workers", type=int, metavar="NUMBER", help="processes that compute (0: this one does)")
    add(
        "--hung-seconds",
        type=float,
        metavar="SECONDS",
        help="of one call, after which its worker is ended (120)",
    )
    add(
        "--busy-poll",
        type=float,
        metavar="SECONDS",
        help="look for requests for so long before sleeping (0.0001; 0 for never)",
    )
    add("--profile", choices=("vertex", "sagemaker", "azure", "kserve"), help="a cloud's paths")
    add("--model", metavar="NAME", help="the model that a profile's paths ask")
    add("--poll", type=float, metavar="SECONDS", help="look at the folders again so often")
    add("--config", metavar="FILE", help="options of the server and its models, as TOML or JSON")
    add("--certificate", metavar="FILE", help="of TLS, as PEM")
    add("--key", metavar="FILE", help="the certificate's key")
    add("--clients", metavar="FILE", help="certificates of clients, as PEM: others are refused")
    add(
        "--token",
        help="opens the management of models: TOKEN or @FILE; also from ARGAND_SERVE_TOKEN",
    )
    add(
        "--model-token",
        action="append",
        default=[],
        metavar="MODEL=TOKEN",
        help="who asks this model must give this token (or that of =@FILE); * for all models",
    )
    add("--max-body", type=int, metavar="BYTES", help="the largest body of a request (64 MiB)")
    add("--max-connections", type=int, metavar="NUMBER", help="open at once (4096)")
    add("--body-seconds", type=float, metavar="SECONDS", help="in which a body must come (60)")
    add("--drain", type=float, metavar="SECONDS", help="for requests to end after SIGTERM (30)")
    add("--log", choices=("json", "none"), help="a line for each request on standard output (json)")


__all__ = ["add_options", "run", "settings_of"]
