"""What other systems need to run a model's server: `argand deploy`."""

from argand.serve.deploy.plan import TARGETS, Plan
from argand.serve.deploy.targets import files_for
from argand.serve.deploy.writing import write

__all__ = ["TARGETS", "Plan", "files_for", "write"]
