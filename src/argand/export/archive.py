"""Archives: an exported program as one file that is data.

A `.argand` file is a zip archive, stored without compression and aligned: `manifest.json`, the
text of a Program for each signature, `weights.safetensors` (mapped into memory when it is loaded),
samples (inputs with the outputs that they gave) and assets. Loading runs no code of the file's: the
text is parsed, its ops must be Argand's own, and everything is checked before anything is used.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argand.base.errors import ArgandError, FormatError
from argand.base.shape import same_shape
from argand.export.card import check_card
from argand.export.checking import UNEXPECTED
from argand.export.manifest import (
    Fields,
    as_json,
    check_facts,
    parsed,
    signature_fields,
    signature_of_fields,
    symbols_of,
)
from argand.export.pairs import as_pairs, needs_pairs, tensor_from_pairs
from argand.export.program import ExportedProgram
from argand.export.samples import Sample, read_samples, sample_parts, taken_samples
from argand.export.versions import FORMAT, op_versions, parse_archived
from argand.io.replacing import replacing
from argand.io.safetensors import contents, tensors_at
from argand.io.source import Source, opened
from argand.io.zipped import ZipReader, ZipWriter, is_zip
from argand.ir.program import Program, print_program
from argand.nn.parameter import Parameter
from argand.tensor.core import Tensor
from argand.tensor.generators import default_generator
from argand.version import __version__

KIND = "argand program"
MANIFEST, WEIGHTS = "manifest.json", "weights.safetensors"
_ROLES = ("parameter", "buffer", "constant", "generator")
_LARGEST_TEXT = 1 << 28
_LARGE = 1 << 20  # bytes of a part that is hashed beside the reading of the others
Parts = dict[str, Any]


def save(
    program: ExportedProgram,
    path: Any,
    *,
    assets: Mapping[str, Any] | None = None,
    card: Mapping[str, Any] | None = None,
    samples: bool | Mapping[str, Any] = True,
    extra_files: Mapping[str, Any] | None = None,
) -> None:
    """Write a program to a file, by convention ``.argand``; it appears whole or not at all.

    Args:
        program: what `ag.export.export` gave, or `load`.
        path: the file's name, or a binary file that is open.
        assets: further contents by name (vocabularies, class names): bytes, or strings.
        card: the model card: whatever JSON can say of the model. The fields ``inputs`` and
            ``outputs`` say what a server makes of images and strings, and of class scores; see
            `argand.export.card`.
        samples: whether to write, for each signature, the example arguments with the outputs that
            they give now, which `argand check` compares; or arguments ``{signature: [(args,
            kwargs), ...]}`` to take in their place.
        extra_files: PyTorch's name for assets.

    Raises TypeError for what a file can't hold, with its name; ArgumentError for a card that does
    not fit the signatures and assets, with the field.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "double.argand")
    >>> ag.export.save(ag.export.export(lambda x: x * 2, (ag.ones(2),)), path)
    >>> ag.export.load(path)(ag.tensor([3.0, 4.0]))
    tensor([6., 8.])
    """
    if not isinstance(program, ExportedProgram):
        raise TypeError(f"save takes an exported program, got {type(program).__name__}")
    assets = {**(assets or {}), **(extra_files or {})}
    card = {**program.card, **(card or {})}
    check_card(card, program.signatures.values(), {**program.assets, **assets})
    parts = _parts(program, assets, card, samples)
    if hasattr(path, "write"):
        _write(path, parts)
        return
    with replacing(Path(path)) as temporary, open(temporary, "wb") as file:
        _write(file, parts)


def as_bytes(program: ExportedProgram) -> bytes:
    """The contents of a program's file."""
    file = io.BytesIO()
    _write(file, _parts(program, {}, program.card, False))
    return file.getvalue()


def of_bytes(contents: bytes) -> ExportedProgram:
    """The program whose file has these contents."""
    return load(io.BytesIO(contents))


def _write(file: Any, parts: Parts) -> None:
    writer = ZipWriter(file.write)
    for name, data in parts.items():
        writer.add(name, data)
    writer.close()


def _parts(
    program: ExportedProgram,
    assets: Mapping[str, Any],
    card: Mapping[str, Any],
    samples: bool | Mapping[str, Any],
) -> Parts:
    """The contents of a program's file by their names."""
    parts: Parts = {}
    texts: dict[str, str] = {}
    signatures = {name: s.settled for name, s in program.signatures.items()}
    for i, (name, signature) in enumerate(signatures.items()):
        texts[name] = f"programs/{i}.txt"
        parts[texts[name]] = print_program(signature.program).encode()
    parts[WEIGHTS] = contents({name: as_pairs(t) for name, t in program.state.items()})
    for name, asset in {**program.assets, **assets}.items():
        parts[f"assets/{name}"] = asset.encode() if isinstance(asset, str) else bytes(asset)
    taken = taken_samples(program, samples)
    parts |= sample_parts(taken)
    manifest = {
        "kind": KIND,
        "format": FORMAT,
        "producer": f"argand {__version__}",
        "signatures": {
            name: {"program": texts[name]} | signature_fields(signature)
            for name, signature in signatures.items()
        },
        "state": {name: _state_fields(program, name) for name in program.state},
        "ops": op_versions(s.program for s in signatures.values()),
        "samples": [[sample.signature, part] for part, sample in taken.items()],
        "card": dict(card),
        "parts": {name: _digest(data) for name, data in parts.items()},
    }
    return {MANIFEST: as_json(manifest), **parts}


def _digest(data: Any) -> str:
    found = hashlib.sha256()
    for part in data if isinstance(data, list) else [data]:
        found.update(part)
    return found.hexdigest()


def _state_fields(program: ExportedProgram, name: str) -> dict[str, Any]:
    tensor = program.state[name]
    fields = {"role": program.role(name), "requires_grad": tensor.requires_grad}
    return fields | ({"pairs": True} if needs_pairs(tensor) else {})


def load(
    f: Any, *, mmap: bool = True, extra_files: dict[str, Any] | None = None
) -> ExportedProgram:
    """The program of a file that `save` wrote: callables that run compiled, without the code that
    they were made from.

    The weights are mapped into memory (`mmap`), so a large file loads at once; what is written to
    them is not written to the file. Every part of the file is checked against its SHA-256. The
    values of `extra_files` become the texts of the assets of these names, as PyTorch has it.

    Raises FormatError, which names the file, the field and what is wrong with it; nothing is left
    behind then. FileNotFoundError where there is no such file.
    """
    with opened(f, mmap and not hasattr(f, "read")) as source:
        try:
            archive = _Archive(source)
            try:
                program = archive.program()
            finally:
                archive.finish()
            for name in extra_files or ():
                extra_files[name] = program.assets.get(name, b"").decode()  # type: ignore[index]
            return program
        except (*UNEXPECTED, ArgandError, RecursionError) as e:
            if isinstance(e, FormatError) and str(e).startswith(source.name):
                raise
            kind = "" if isinstance(e, ArgandError) and str(e) else f"{type(e).__name__}: "
            raise source.error(f"{kind}{e}") from None


class _Check(threading.Thread):
    """The check of a part, which may run beside others: hashing doesn't hold Python's lock."""

    def __init__(self, part: str, data: Any, digest: str) -> None:
        super().__init__(name="argand", daemon=True)
        self.part = part
        self.passed = False
        self._data = data
        self._expected = digest

    def run(self) -> None:
        self.passed = _digest(self._data) == self._expected


class _Archive:
    """A file that is read, part by part, each checked before it is used."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.checks: list[_Check] = []
        if not is_zip(source):
            raise source.error("not an Argand program: it is no zip archive")
        self.zip = ZipReader(source)
        if MANIFEST not in self.zip.records:
            raise source.error(
                "not an Argand program: it has no manifest.json. PyTorch files of weights are read "
                "by ag.load"
            )
        self._check_stored()
        self.manifest = parsed(self._text(MANIFEST), MANIFEST)
        if self.manifest.get("kind", str) != KIND:
            raise source.error("not an Argand program: its manifest says something else")
        version = self.manifest.get("format", int)
        if not 1 <= version <= FORMAT:
            raise source.error(
                f"format {version} is not known to argand {__version__}, which reads 1 to "
                f"{FORMAT}; it was written by {self.manifest.get('producer', str):.60}, use that "
                "or a newer version"
            )
        self._check_parts()

    def _check_stored(self) -> None:
        for record in self.zip.records.values():
            if record.method:
                raise self.source.error(f"{record.name} is compressed, which a program never is")

    def _check_parts(self) -> None:
        """Every record is named, with its SHA-256, and every name is there."""
        digests = self.manifest.fields("parts")
        there = set(self.zip.records) - {MANIFEST}
        if there != set(digests.value):
            odd = sorted(there ^ set(digests.value))[0]
            raise self.source.error(f"parts: {odd!r:.60} is not both in the archive and named")
        for name in sorted(there, key=lambda name: self.zip.records[name].size):
            check = _Check(name, self.zip.array(name).data, digests.get(name, str))
            if self.zip.records[name].size >= _LARGE and self.source.map is not None:
                self.checks.append(check)
                check.start()
            else:
                check.run()
                self._expect(check)

    def _expect(self, check: _Check) -> None:
        if not check.passed:
            raise self.source.error(f"{check.part} is damaged: its SHA-256 is not the one stated")

    def finish(self) -> None:
        """Wait for the checks that run beside the reading; FormatError where one fails."""
        for check in self.checks:
            check.join()
        for check in self.checks:
            self._expect(check)

    def _text(self, name: str) -> bytes:
        record = self.zip.records.get(name)
        if record is None:
            raise self.source.error(f"{name!r:.60} is missing")
        if record.size > _LARGEST_TEXT:
            raise self.source.error(f"{name} has {record.size} bytes, more than is read as text")
        return self.zip.read(name)

    def program(self) -> ExportedProgram:
        """The program."""
        made = ExportedProgram()
        self._read_state(made)
        digest = self.manifest.fields("parts").get(WEIGHTS, str)
        contents = {name: f"{digest} {name}" for name in made.state}
        versions = self.manifest.fields("ops")
        for name, value in self.manifest.fields("signatures").value.items():
            fields = Fields(value, f"signatures.{name}")
            text = self._text(fields.get("program", str))
            program, facts = parse_archived(text.decode(), versions.value, symbols_of(fields))
            signature = signature_of_fields(name, fields, program)
            check_facts(signature, facts)
            _check_state(signature.state_names, program, made.state, fields.where)
            made.signatures[name] = signature.bind_state(made.state, contents)
        if not made.signatures:
            raise self.source.error("signatures: there is none")
        made.card = dict(self.manifest.fields("card").value)
        made.origin = {
            "format": self.manifest.get("format", int),
            "producer": self.manifest.get("producer", str),
            "ops": dict(versions.value),
        }
        for name in self.zip.records:
            if name.startswith("assets/"):
                made.assets[name.removeprefix("assets/")] = self.zip.read(name)
        made.samples = self._samples(made)
        return made

    def _read_state(self, made: ExportedProgram) -> None:
        tensors = self._tensors(WEIGHTS)
        described = self.manifest.fields("state")
        if set(tensors) != set(described.value):
            raise self.source.error("state: its names are not those of weights.safetensors")
        for name in described.value:
            fields = described.fields(name)
            role = fields.get("role", str)
            if role not in _ROLES:
                raise self.source.error(f"state.{name}: no role {role!r:.40}")
            wants = fields.get("requires_grad", bool)
            tensor = tensors[name]
            if fields.value.get("pairs") is True:
                tensor = tensor_from_pairs(tensor, fields.where)
            made.add_state(name, _made_tensor(tensor, role, wants), role)

    def _tensors(self, part: str) -> dict[str, Tensor]:
        record = self.zip.records.get(part)
        if record is None:
            raise self.source.error(f"{part} is missing")
        return tensors_at(self.source, record.place, record.size, part)

    def _samples(self, made: ExportedProgram) -> list[Sample]:
        pairs = self.manifest.items("samples")
        found = []
        for pair in pairs:
            if not isinstance(pair, list) or len(pair) != 2 or pair[0] not in made.signatures:
                raise self.source.error(f"samples: {pair!r:.60} names no signature")
            name, part = pair
            arrays = {k: t.numpy_array() for k, t in self._tensors(str(part)).items()}
            found.append(read_samples(made.signatures[name].settled, arrays, str(part)))
        return found


def _made_tensor(tensor: Tensor, role: str, wants: bool) -> Tensor:
    if role == "parameter":
        return Parameter(tensor, requires_grad=wants)
    if role == "generator":
        state = default_generator.state
        if state.dtype is tensor.dtype and state.shape == tensor.shape:
            return state  # draws go on from the process's own generator
    return tensor.requires_grad_() if wants else tensor


def _check_state(names: Any, program: Program, state: Mapping[str, Tensor], where: str) -> None:
    for name, value in zip(names, program.state, strict=True):
        if isinstance(name, int):
            continue
        tensor = state.get(name)
        if tensor is None:
            raise FormatError(f"{where}: state: there is no tensor {name!r:.60}")
        if tensor.dtype is not value.dtype or not same_shape(tuple(tensor.shape), value.shape):
            raise FormatError(
                f"{where}: {name} is {tensor.dtype.short}{list(tensor.shape)} in the weights, and "
                f"{value.type} in the program"
            )


__all__ = ["load", "save"]
