"""An LLVM module that is to become an object, and where the object is kept."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

from argand.base.settings import settings
from argand.codegen.llvm.objectfile import QUICK, cached_object, keep_object
from argand.codegen.llvm.objects import text_to_object
from argand.codegen.llvm.target import llvm_versions
from argand.nest.target import Target

__all__ = ["Source", "kept_source"]


def kept_source(
    text: str, name: str, target: Target, facts: tuple[Any, ...], passes: bool = False
) -> Source:
    """A module whose object is kept by all that it follows from: `facts`, the target and LLVM."""
    known = repr((llvm_versions(), target, facts))
    key = hashlib.sha256(known.encode()).hexdigest()
    folder = Path(settings.cache_dir) / "objects" if settings.cache else None
    return Source(text, name, target, folder, key, passes)


@dataclasses.dataclass(slots=True)
class Source:
    """An LLVM module to be optimised, and where its object is to be kept."""

    text: str
    name: str
    target: Target
    folder: Path | None
    key: str
    passes: bool = False

    def kept(self) -> bytes | None:
        """The optimised object, where the cache has it."""
        return None if self.folder is None else cached_object(self.folder, self.key)

    def quick(self, more: str = "") -> bytes:
        """The object of the text and of `more` text, made as fast as possible."""
        return text_to_object(self.text + more, self.target, self.name, level=QUICK)

    def optimised(self) -> bytes:
        """The optimised object, made now; the cache gets it too."""
        data = text_to_object(self.text, self.target, self.name, passes=self.passes)
        if self.folder is not None:
            keep_object(self.folder, self.key, data)
        return data

    def message(self) -> tuple[dict[str, Any], bytes]:
        """What the helper process is sent."""
        folder = None if self.folder is None else os.fspath(self.folder)
        target = self.target
        head = {"machine": (target.triple, target.cpu, target.features), "passes": self.passes}
        return {**head, "folder": folder, "key": self.key}, self.text.encode()
