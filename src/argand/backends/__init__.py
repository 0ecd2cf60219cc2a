"""Backends: what runs a Program. `cpu` compiles it; `reference` interprets it with NumPy.

`cudnn` and `mps` answer what PyTorch's programs ask of `torch.backends`.
"""

from argand.backends import cudnn as cudnn
from argand.backends import mps as mps
