"""`argand.sparse`: tensors that hold what isn't 0, and where it is, as `torch.sparse`.

>>> x = ag.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3))
>>> x @ ag.ones(3, 2)
tensor([[3., 3.],
        [4., 4.]])
"""

from argand.sparse import elementwise as elementwise
from argand.sparse import formats as formats
from argand.sparse import parts as parts
from argand.sparse.formats import spdiags
from argand.sparse.legacy import (
    BFloat16Tensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)
from argand.sparse.products import addmm, mm, sampled_addmm
from argand.sparse.reducing import log_softmax, softmax, sum

__all__ = [
    "BFloat16Tensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "addmm",
    "log_softmax",
    "mm",
    "sampled_addmm",
    "softmax",
    "spdiags",
    "sum",
]
