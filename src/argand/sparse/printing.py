"""How sparse tensors are shown: PyTorch's way."""

from __future__ import annotations

from typing import Any

from argand.tensor import printing


def show(x: Any) -> str:
    """The text of a sparse tensor: of its parts, without history, and what it is."""
    texts = []
    for name, part in x._parts().items():
        head = f"{name}=tensor("
        text = head + printing.body(part.detach(), len(head) + 7)
        if not part.shape.numel():
            text += f", size={tuple(part.shape)}"
        texts.append(text + ")")
    first = "tensor(" + (",\n" + " " * 7).join(texts)
    return printing.with_suffixes(first, _suffixes(x), 7, below=x.is_sparse)


def _suffixes(x: Any) -> list[str]:
    parts = [f"size={tuple(x._sizes)}", f"nnz={x._nnz()}"]
    if not printing.is_usual(x.dtype):
        parts.append(f"dtype={x.dtype!r}")
    parts.append(f"layout={x.layout!r}")
    return parts + printing.history(x)
