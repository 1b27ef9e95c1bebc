"""``paretune models``: the local models by name, and the terms of those that must be agreed to."""

from __future__ import annotations

import argparse
import sys

from paretune.errors import UsageError
from paretune.lm.backends.local_models import BUILT_IN, OPTIONAL, PREFIX
from paretune.schemas.faults import did_you_mean

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = (
        "Models that run on this machine without a key. Any GGUF file is one as well: lm.model=local//path/m.gguf"
    )
    parser.add_argument("--accept", metavar="NAME", help="show a model's terms of use, ask, and put its file in place")
    parser.add_argument("--yes", action="store_true", help="agree to the terms without being asked")


def run(arguments: argparse.Namespace) -> None:
    """List the models, or put one in place."""
    if arguments.accept is not None:
        _accept(arguments.accept.removeprefix(PREFIX), arguments.yes)
        return
    for name in BUILT_IN:
        print(f"{PREFIX}{name}\n  ready")
    for name, model in OPTIONAL.items():
        print(f"{PREFIX}{name}\n  {model.lack() or 'ready'}")


def _accept(name: str, agreed: bool) -> None:
    if name not in OPTIONAL:
        raise UsageError(
            f"no model {name!r} has terms to agree to (there are: {', '.join(OPTIONAL)}){did_you_mean(name, OPTIONAL)}"
        )
    model = OPTIONAL[name]
    print(model.terms)
    if not agreed:
        if not sys.stdin.isatty():
            raise UsageError("nobody can be asked here: add --yes where you have read the terms and agree to them")
        agreed = input("Do you agree to these terms? [y/N] ").strip().lower() in ("y", "yes")
    if not agreed:
        raise UsageError(f"the terms of {name} were not agreed to: nothing was put in place")
    print(f"{PREFIX}{name} is ready: {model.assemble()}")
