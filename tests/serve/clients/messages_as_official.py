"""Holds the messages that the server defines against the official ones: `messages_as_official.py
SRC PACKAGE`, in an environment that has the package and, in SRC, `argand_client`."""

from __future__ import annotations

import importlib
import sys
from typing import Any

SERVICES = {
    "tritonclient": ["tritonclient.grpc.service_pb2"],
    "tensorflow_serving": [
        "tensorflow_serving.apis.prediction_service_pb2",
        "tensorflow_serving.apis.model_service_pb2",
    ],
    "grpc_health": ["grpc_health.v1.health_pb2"],
    "grpc_reflection": ["grpc_reflection.v1alpha.reflection_pb2"],
}


def described(message: Any) -> dict[int, tuple[Any, ...]]:
    """The fields of a message by number: name, type, whether repeated, and the type's name."""
    found = {}
    for field in message.fields:
        named = field.message_type or field.enum_type
        repeated = getattr(field, "is_repeated", None)
        if repeated is None:
            repeated = field.label == field.LABEL_REPEATED
        kind = field.type if field.enum_type is None else field.TYPE_INT32
        found[field.number] = (field.name, kind, repeated, named and named.full_name)
    return found


def hold(service: Any, ours: Any) -> int:
    """Each message that a service's methods lead to has the official names, numbers and types;
    how many there are."""
    todo = [m for method in service.methods for m in (method.input_type, method.output_type)]
    seen: set[str] = set()
    while todo:
        official = todo.pop()
        if official.full_name in seen:
            continue
        seen.add(official.full_name)
        try:
            message = ours.FindMessageTypeByName(official.full_name)
        except KeyError:
            continue  # of a method or a field that is not served
        theirs = described(official)
        for number, field in described(message).items():
            name, kind, repeated, named = theirs[number]
            if kind == 5 and field[1] == 5:  # enumerations and their numbers are the same bytes
                named = field[3]
            assert field == (name, kind, repeated, named), f"{official.full_name}.{name}"
        todo += [f.message_type for f in official.fields if f.message_type is not None]
    return len(seen)


def main(source: str, package: str) -> None:
    """Hold the services of a package."""
    sys.path.insert(0, source)
    from argand_client.definitions import messages

    for name in SERVICES[package]:
        for service in importlib.import_module(name).DESCRIPTOR.services_by_name.values():
            ours = {m.name for m in messages().methods(service.full_name)}
            absent = {m.name for m in service.methods} - ours
            print(
                service.full_name, hold(service, messages().pool), "messages; not served:", absent
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
