"""How sparse tensors are shown: PyTorch's way."""

from __future__ import annotations

from typing import Any

from argand.base.dtype import bool_, get_default_dtype, int64
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
    dtype, usual = x.dtype, (get_default_dtype(), bool_, int64)
    complex_is_usual = dtype.is_complex and dtype.itemsize == 2 * get_default_dtype().itemsize
    if dtype not in usual and not complex_is_usual:
        parts.append(f"dtype={dtype!r}")
    parts.append(f"layout={x.layout!r}")
    if x.grad_fn is not None:
        parts.append(f"grad_fn={x.grad_fn!r}")
    elif x.requires_grad:
        parts.append("requires_grad=True")
    return parts
