"""The name that the package is printed by."""

from __future__ import annotations


class Naming:
    """The package that a dtype or a Size is printed as a part of: `torch` after
    `ag.install_as_torch`."""

    package = "argand"


naming = Naming()
