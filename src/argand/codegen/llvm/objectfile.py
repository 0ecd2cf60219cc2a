"""LLVM text to object bytes, and objects on disk; also the helper process that makes them.

This file imports nothing of Argand, so that the process starts fast, and LLVM only where an object
has to be made. Run as a script, it reads jobs
from its standard input and answers with objects, in order (see `tiers`). When the input ends it
finishes what it was given for the cache, and ends.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import queue
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, BinaryIO, Final

OPTIMISED: Final = 2
QUICK: Final = 0
"""Levels of code generation: as fast code as LLVM makes, and the fastest to make."""

_MAGIC: Final = b"argand-object-1\n"


# text to object -----------------------------------------------------------------------------------


@functools.cache
def start() -> None:
    """Let LLVM know its targets."""
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@functools.cache
def machine(triple: str, cpu: str, features: str, level: int = OPTIMISED) -> Any:
    """LLVM's description of a machine; raises RuntimeError where it knows none."""
    import llvmlite.binding as llvm

    start()
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=level, reloc="pic", codemodel="small"
    )


def object_of(text: str, known: Any, passes: bool) -> bytes:
    """Object bytes of an LLVM module for a machine; with `passes` LLVM improves the text first.

    Raises RuntimeError where the text is not valid.
    """
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(text)
    module.verify()
    if passes:
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        builder = llvm.create_pass_builder(known, options)
        builder.getModulePassManager().run(module, builder)
    data: bytes = known.emit_object(module)
    return data


# the cache ----------------------------------------------------------------------------------------


def cached_object(folder: Path, key: str) -> bytes | None:
    """The object of that name, or None when it is missing or damaged."""
    try:
        content = _path(folder, key).read_bytes()
    except OSError:
        return None
    head, body = content[: len(_MAGIC) + 32], content[len(_MAGIC) + 32 :]
    return body if head == _MAGIC + _digest(key, body) else None


def keep_object(folder: Path, key: str, data: bytes) -> bool:
    """Write an object into the cache, whole or not at all; False where that is not possible."""
    path = _path(folder, key)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + _digest(key, data) + data)
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        return False
    return True


def _digest(key: str, data: bytes) -> bytes:
    """Of an object and its name, so that one under another's name is refused too."""
    return hashlib.sha256(key.encode() + data).digest()


def _path(folder: Path, key: str) -> Path:
    return folder / key[:2] / f"{key[2:]}.o"


# messages: a line of JSON, then bytes -------------------------------------------------------------


def write_message(stream: BinaryIO, head: dict[str, Any], body: bytes) -> None:
    """Write a message to an unbuffered stream."""
    line = json.dumps({**head, "bytes": len(body)}) + "\n"
    rest = memoryview(line.encode() + body)
    while rest:
        rest = rest[stream.write(rest) :]


def read_message(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next message; None at the end of the stream."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    head: dict[str, Any] = json.loads(line)
    body = stream.read(head["bytes"])
    return (head, body) if len(body) == head["bytes"] else None


# the process --------------------------------------------------------------------------------------


def _serve(jobs: BinaryIO, answers: BinaryIO) -> None:
    waiting: queue.SimpleQueue[tuple[dict[str, Any], bytes] | None] = queue.SimpleQueue()
    threading.Thread(target=_read_all, args=(jobs, waiting), daemon=True).start()
    listening = True
    while (job := waiting.get()) is not None:
        head, text = job
        if not listening and head["folder"] is None:
            continue
        answer, data = _done(head, text.decode())
        try:
            if listening:
                write_message(answers, answer, data)
        except OSError:
            listening = False  # the asking process has ended; the next ones find the cache


def _read_all(jobs: BinaryIO, waiting: queue.SimpleQueue[Any]) -> None:
    while (job := read_message(jobs)) is not None:
        waiting.put(job)
    waiting.put(None)


def _done(head: dict[str, Any], text: str) -> tuple[dict[str, Any], bytes]:
    try:
        data = object_of(text, machine(*head["machine"]), head["passes"])
    except RuntimeError as error:
        return {"error": str(error)}, b""
    # A folder that was deleted meanwhile is not made again.
    if head["folder"] is not None and Path(head["folder"]).is_dir():
        keep_object(Path(head["folder"]), head["key"], data)
    return {"error": None}, data


if __name__ == "__main__":
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
    _serve(sys.stdin.buffer, open(1, "wb", buffering=0, closefd=False))  # noqa: SIM115
