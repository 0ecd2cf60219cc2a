"""What a schedule may know of the machine it is for. `codegen` finds out; everyone may ask."""

from __future__ import annotations

import dataclasses

from argand.nest.types import Ty


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """A machine to generate code for; two targets that compare equal get the same code.

    `features` is LLVM's list ("+avx2,+fma,…"). `l1` and `l2` are a core's data caches in bytes.
    """

    name: str
    triple: str
    cpu: str
    features: str
    vector_bytes: int
    vector_registers: int
    l1: int = 32 << 10
    l2: int = 512 << 10

    def lanes(self, elem: str) -> int:
        """How many elements of a dtype fill one vector register."""
        return max(1, self.vector_bytes // Ty(elem).bytes)

    def vector(self, elem: str) -> Ty:
        """The type of one full vector register of a dtype."""
        return Ty(elem, self.lanes(elem))

    @property
    def fused(self) -> bool:
        """Whether multiply and add round once."""
        return not self.triple.startswith(("x86_64", "i686", "wasm")) or self.has("fma")

    @property
    def matrix_unit(self) -> bool:
        """Whether it multiplies tiles of bfloat16 in registers of their own."""
        return self.vector_bytes == 64 and self.has("amx-tile") and self.has("amx-bf16")

    def has(self, feature: str) -> bool:
        """Whether LLVM's feature is on."""
        return f"+{feature}" in self.features.split(",")
