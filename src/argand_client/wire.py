"""Messages of protocols, defined by their names, numbers and types.

A protocol is a text of lines. `package` names it; a line at the margin begins a message (`A.B` is
nested in `A`), `enum` an enumeration, and `service` a service; indented below stand the fields as
`number type name`, the values as `number name`, and the methods as `name request response`. A type
is a scalar, a message of the package, or one of another package after a dot; `T[]` is repeated,
`map<K,V>` a map, `name|choice` a field of which only one of its choice is set, and `stream T` of a
method many messages.

The classes are made in a pool of our own, so they stand beside generated modules of the same names
(TensorFlow's, Triton's) in one process, which a pool that is shared would refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_SCALARS = {
    "double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9,
    "bytes": 12, "uint32": 13,
}  # fmt: skip
_MESSAGE, _OPTIONAL, _REPEATED = 11, 1, 3
_MAP = re.compile(r"map<(\w+),([\w.]+)>")


class Method(NamedTuple):
    """A method of a service, with the classes of its messages."""

    name: str
    request: Any
    response: Any
    many_requests: bool
    many_responses: bool


class Messages:
    """The messages and services of some protocols.

    Args:
        texts: by the names that their files have for reflection; each after those it refers to.
    """

    def __init__(self, texts: dict[str, str]) -> None:
        self.pool = descriptor_pool.DescriptorPool()
        self.services: list[str] = []
        for name, text in texts.items():
            file = _File(name, list(texts)).read(text)
            self.pool.Add(file)
            self.services += [f"{file.package}.{s.name}" for s in file.service]

    def __call__(self, name: str) -> Any:
        """The class of a message, by its full name."""
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def methods(self, service: str) -> Iterator[Method]:
        """The methods of a service, by its full name."""
        described = descriptor_pb2.ServiceDescriptorProto()
        self.pool.FindServiceByName(service).CopyToProto(described)
        for m in described.method:
            classes = [self(t.removeprefix(".")) for t in (m.input_type, m.output_type)]
            yield Method(m.name, classes[0], classes[1], m.client_streaming, m.server_streaming)

    def file_of(self, *, symbol: str = "", name: str = "") -> bytes:
        """The description of the file with a symbol or of a name; KeyError where there is none."""
        pool = self.pool
        file = pool.FindFileContainingSymbol(symbol) if symbol else pool.FindFileByName(name)
        found: bytes = file.serialized_pb
        return found


class _File:
    """Reads a text."""

    def __init__(self, name: str, names: list[str]) -> None:
        self.file = descriptor_pb2.FileDescriptorProto(name=name, syntax="proto3")
        self.file.dependency.extend(names[: names.index(name)])
        self.messages: dict[str, Any] = {}
        self.enums: set[str] = set()

    def read(self, text: str) -> Any:
        """The description of the file."""
        self.enums = set(re.findall(r"^enum (\S+)", text, re.M))
        into: Any = None
        for line in text.strip().splitlines():
            words = line.split()
            if not words:
                continue
            if line.startswith(" "):
                into(words)
            elif words[0] == "package":
                self.file.package = words[1]
            elif words[0] == "enum":
                into = self._values(words[1])
            elif words[0] == "service":
                into = self._methods(words[1])
            else:
                into = self._fields(words[0])
        return self.file

    def _message(self, name: str) -> Any:
        if name not in self.messages:
            outer, dot, inner = name.rpartition(".")
            made = self._message(outer).nested_type.add() if dot else self.file.message_type.add()
            made.name = inner
            self.messages[name] = made
        return self.messages[name]

    def _values(self, name: str) -> Any:
        outer, dot, inner = name.rpartition(".")
        made = self._message(outer).enum_type.add() if dot else self.file.enum_type.add()
        made.name = inner
        return lambda words: made.value.add(number=int(words[0]), name=words[1])

    def _methods(self, name: str) -> Any:
        made = self.file.service.add(name=name)

        def method(words: list[str]) -> None:
            streams = [False, False]
            types: list[str] = []
            for word in words[1:]:
                if word == "stream":
                    streams[len(types)] = True
                else:
                    types.append(self._type_name(word))
            made.method.add(
                name=words[0],
                input_type=types[0],
                output_type=types[1],
                client_streaming=streams[0],
                server_streaming=streams[1],
            )

        return method

    def _fields(self, name: str) -> Any:
        message = self._message(name)

        def field(words: list[str]) -> None:
            number, kind, label = words
            label, _, choice = label.partition("|")
            made = message.field.add(name=label, number=int(number), label=_OPTIONAL)
            if choice:
                choices = [c.name for c in message.oneof_decl]
                if choice not in choices:
                    message.oneof_decl.add(name=choice)
                    choices.append(choice)
                made.oneof_index = choices.index(choice)
            mapped = _MAP.fullmatch(kind)
            if mapped:
                made.label = _REPEATED
                made.type = _MESSAGE
                made.type_name = self._entry(name, label, *mapped.groups())
                return
            if kind.endswith("[]"):
                made.label, kind = _REPEATED, kind[:-2]
            self._set_type(made, kind)

        return field

    def _entry(self, name: str, label: str, key: str, value: str) -> str:
        """The message of a map's pairs, as protobuf has it."""
        title = "".join(part.capitalize() for part in label.split("_")) + "Entry"
        entry = self._message(f"{name}.{title}")
        entry.options.map_entry = True
        for number, (part, kind) in enumerate((("key", key), ("value", value)), 1):
            self._set_type(entry.field.add(name=part, number=number, label=_OPTIONAL), kind)
        return self._type_name(f"{name}.{title}")

    def _set_type(self, field: Any, kind: str) -> None:
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
        else:
            field.type_name = self._type_name(kind)  # the pool sees whether it is an enumeration

    def _type_name(self, kind: str) -> str:
        return kind if kind.startswith(".") else f".{self.file.package}.{kind}"


__all__ = ["Messages", "Method"]
