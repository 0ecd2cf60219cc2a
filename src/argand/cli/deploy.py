"""`argand deploy`: what Docker, KServe, the clouds or Ray need to serve a model."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from argand.cli.models import read_model
from argand.serve.deploy.plan import Plan, name_of, packages_of
from argand.serve.deploy.targets import files_for
from argand.serve.deploy.writing import write


def run(options: argparse.Namespace) -> int:
    """Write the files; the model is read first, so that none is deployed that can't be served."""
    model = Path(options.file)
    program = read_model(str(model))
    plan = Plan(
        model,
        options.name or name_of(model),
        options.image or "",
        options.cpus,
        options.memory,
        options.replicas,
        max(options.replicas, options.most_replicas),
        packages_of(program.card),
    )
    folder = Path(options.output or f"{plan.name}-{options.to}")
    paths = write(files_for(plan, options.to), folder, force=options.force)
    if options.json:
        named = [str(path) for path in paths]
        print(json.dumps({"name": plan.name, "to": options.to, "files": named}))
        return 0
    print(f"{model}: {', '.join(program.signatures)}, as {plan.name} for {options.to}")
    for path in paths:
        print(f"  {path}")
    return 0
