"""Machines that tests force in the host's place: all of them run here."""

from __future__ import annotations

import dataclasses

from argand.codegen.llvm.target import add_target, host_target, named_target

WIDE = dataclasses.replace(host_target(), name="wide", vector_bytes=64, vector_registers=32)
"""The host with the vectors of AVX-512, which LLVM splits where it lacks them: the nests that
another machine gets - 16 lanes, larger tiles - run and are compared on every one."""

add_target(WIDE)


def _narrower() -> list[str]:
    if not host_target().triple.startswith("x86_64"):
        return []
    return [
        n for n in ("sse2", "avx2") if named_target(n).vector_bytes <= host_target().vector_bytes
    ]


FORCED = (*_narrower(), "wide")
HERE = ("host", *FORCED)
"""Names for `named_target` and the setting `target`."""
