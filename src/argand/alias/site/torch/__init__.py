"""Made by `argand as-torch`: the name `torch` for Argand; `argand as-torch --remove` removes it."""

from argand.alias.install import install_as_torch

install_as_torch()
