"""The command ``paretune``. Each command is a function here that imports what it needs when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paretune import __version__
from paretune.commands import (
    best,
    calls,
    compare,
    doctor,
    experiments,
    export,
    gateway,
    import_results,
    init,
    models,
    predict,
    report,
    serve,
    show,
    trials,
)
from paretune.commands.help_text import OVERVIEW, example
from paretune.commands.output import printing
from paretune.pipeline.run_stage import run_stage

__all__ = ["main", "parser"]

#: The commands that have a module each, in the order in which they are listed.
_MODULES = {
    "init": (init, "make a project of your own from a file of examples"),
    "trials": (trials, "list the trials of the last search: sort, filter, choose columns"),
    "show": (show, "show one trial: hyperparameters, metrics, and its answers to the validation examples"),
    "best": (best, "show the winner, why it is that one, and what the test says"),
    "compare": (compare, "compare two trials, or the winners of two revisions, example by example"),
    "experiments": (experiments, "list DVC's experiments: what each changed, and what came of it"),
    "export": (export, "write the winner as messages, a request (curl, OpenAI, Python), a prompt or a program"),
    "predict": (predict, "write the winner's answers to new rows: any data file in, JSON lines or CSV out"),
    "serve": (serve, "serve the winner by HTTP: /predict, and as a model behind OpenAI's protocol"),
    "gateway": (gateway, "serve the language models by OpenAI's protocol on loopback, with ledger and budget"),
    "import": (import_results, "report results of other programs: a table, logs of inspect, promptfoo's output"),
    "models": (models, "list the local models, and agree to the terms of one"),
    "report": (report, "draw the page of a search while it runs (--watch): .paretune/live/report.html"),
    "calls": (calls, "list the calls of language models in the ledger, or show one in full"),
    "doctor": (doctor, "look at what a run needs: packages, model, ledger, Git, DVC, conf/, disk space"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command; an expected error prints ``error: …`` and exits 1, Ctrl-C exits 130."""
    arguments = parser().parse_args(argv)

    def run() -> None:
        with printing():
            arguments.run(arguments)

    run_stage(run, interrupted="interrupted")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="paretune",
        description="Choose and tune a language-model program: tools around the pipeline that `dvc repro` runs.",
        epilog=OVERVIEW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"paretune {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command", title="commands")

    _add_functions(commands)
    for name, (module, text) in _MODULES.items():
        command = commands.add_parser(name, help=text)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    command = commands.add_parser("completion", help="print what makes a shell complete these commands and options")
    command.add_argument("shell", choices=("bash", "zsh", "fish"))
    command.set_defaults(run=_completion)
    for name, command in commands.choices.items():
        command.formatter_class = argparse.RawDescriptionHelpFormatter
        command.epilog = example(name)
    return parser


def _add_functions(commands: Any) -> None:
    """The commands that are functions here."""
    command = commands.add_parser("compose", help="compose conf/ into params.yaml, as `dvc exp run` does")
    command.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="e.g. tuner=random search.max_trials=20")
    command.set_defaults(run=_compose)

    command = commands.add_parser("estimate", help="what the search would take: trials, calls, tokens, dollars, time")
    command.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="e.g. tuner=random search.max_trials=20")
    command.add_argument("--json", action="store_true", help="print the numbers as JSON")
    command.set_defaults(run=_estimate)

    command = commands.add_parser("check", help="exit 1 where this checkout's winner does worse than a revision's")
    command.add_argument("--against", default="HEAD", metavar="REV", help="a revision of Git (default: HEAD)")
    command.add_argument("--tolerance", type=float, default=0.0, help="a loss of reward that is accepted (default: 0)")
    command.add_argument("--strict", action="store_true", help="exit 1 also where a loss cannot be excluded")
    command.add_argument("--markdown", type=Path, metavar="FILE", help="also write the result for a pull request")
    command.set_defaults(run=_check)


def _completion(arguments: argparse.Namespace) -> None:
    import shtab

    whole = parser()
    commands: dict[str, Any] = next(each.choices for each in whole._actions if isinstance(each.choices, dict))
    for action in (action for command in commands.values() for action in command._actions):
        if action.type is Path:
            action.complete = shtab.FILE
    print(shtab.complete(whole, shell=arguments.shell))


def _compose(arguments: argparse.Namespace) -> None:
    from paretune.commands.compose import compose, find_root

    print(f"wrote {compose(find_root(Path.cwd()), arguments.overrides)}", file=sys.stderr)


def _estimate(arguments: argparse.Namespace) -> None:
    from paretune.commands.compose import find_root
    from paretune.commands.estimate import report

    print(report(find_root(Path.cwd()), arguments.overrides, as_json=arguments.json))


def _check(arguments: argparse.Namespace) -> None:
    from paretune.commands.check import check
    from paretune.commands.compose import find_root
    from paretune.files import open_atomic

    found = check(find_root(Path.cwd()), arguments.against, arguments.tolerance)
    if arguments.markdown is not None:
        with open_atomic(arguments.markdown) as handle:
            handle.write(found.markdown())
    print(*found.lines(), sep="\n")
    if found.regressed or (arguments.strict and not found.excluded):
        sys.exit(1)


if __name__ == "__main__":
    main()
