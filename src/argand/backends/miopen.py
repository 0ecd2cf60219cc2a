"""The switch of MIOpen that PyTorch's programs set: there is no MIOpen to heed it.

>>> ag.backends.miopen.immediate
False
"""

from __future__ import annotations

from argand.backends.flags import block, setter

immediate = False
set_flags = setter(globals(), "immediate")
flags = block(globals(), {"immediate": False})
