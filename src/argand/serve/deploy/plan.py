"""What is deployed: a model, under which name, with how much of a machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argand.base.errors import ArgumentError
from argand.export.card import inputs_described, outputs_described
from argand.serve.generation.layout import CARD as GENERATION

TARGETS = ("docker", "kserve", "vertex", "sagemaker", "azure", "ray")
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,47}[a-z0-9])?")
_MEMORY = re.compile(r"([1-9][0-9]*)(Mi|Gi)")


@dataclass(frozen=True, slots=True)
class Plan:
    """One deployment.

    Args:
        model: the file, .argand or .onnx.
        name: of the model, the service and the image: small letters, digits and hyphens, as all
            targets take it.
        image: the image's address in a registry; `name:1` where not given.
        cpus: processors of a replica.
        memory: of a replica, `4Gi` or `512Mi`.
        replicas: the least that run.
        most_replicas: the most, where the target scales by load.
        packages: what the model needs beside the server; see `packages_of`.

    Raises ArgumentError for what no target takes.
    """

    model: Path
    name: str
    image: str = ""
    cpus: int = 2
    memory: str = "4Gi"
    replicas: int = 1
    most_replicas: int = 4
    packages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ArgumentError(
                f"a name is at most 49 small letters, digits and hyphens, and begins with a "
                f"letter, got {self.name!r}; give --name"
            )
        if self.image and (not self.image.isprintable() or re.search(r"\s", self.image)):
            raise ArgumentError(f"an image is like registry/name:tag, got {self.image!r}")
        if self.cpus < 1 or not 1 <= self.replicas <= self.most_replicas:
            raise ArgumentError(
                f"cpus and replicas are at least 1, and replicas at most {self.most_replicas}"
            )
        if not _MEMORY.fullmatch(self.memory):
            raise ArgumentError(f"memory is like 4Gi or 512Mi, got {self.memory!r}")

    @property
    def tag(self) -> str:
        """The image's address."""
        return self.image or f"{self.name}:1"

    @property
    def mebibytes(self) -> int:
        """The memory of a replica."""
        number, unit = self.memory[:-2], self.memory[-2:]
        return int(number) * (1024 if unit == "Gi" else 1)

    @property
    def stored(self) -> str:
        """Where the model lies below the output's folder, as the server reads it."""
        return f"models/{self.name}/1/model{self.model.suffix.lower()}"


def name_of(path: Path) -> str:
    """A name for a model's file: the file's own, or of `digits/1/model.argand` the folder's."""
    of_version = path.stem == "model" and path.absolute().parent.name.isdecimal()
    text = path.absolute().parent.parent.name if of_version else path.stem
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return name if name[:1].isalpha() else f"model-{name}".strip("-")


def packages_of(card: Mapping[str, Any]) -> tuple[str, ...]:
    """The packages that read what a model's card names: the library of its tokenizer.

    >>> from argand.serve.deploy.plan import packages_of
    >>> packages_of({"inputs": {"ids": ag.export.card.text("tokenizer.json")}})
    ('tokenizers',)
    """
    described = [*inputs_described(card).values(), *outputs_described(card).values()]
    kinds = {getattr(how, "type", None) for how in described}
    writer = card.get(GENERATION)
    if isinstance(writer, Mapping) and writer.get("tokenizer"):
        kinds.add(writer.get("type", "tokenizers"))
    return ("tokenizers",) if "tokenizers" in kinds else ()


__all__ = ["TARGETS", "Plan", "name_of", "packages_of"]
