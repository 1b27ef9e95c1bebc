"""``paretune report``: the page of a search that runs, drawn while it does, or of the last one."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from paretune.commands.compose import find_root
from paretune.errors import ConfigError
from paretune.files import state_root
from paretune.terminal import plain

if TYPE_CHECKING:
    from paretune.commands.watched import Watched
    from paretune.tuners.status import Status

__all__ = ["add_arguments", "run"]

_EVERY_S, _REST = 2.0, 4.0  # seconds between two looks; and so many times as long as drawing takes
_NONE = "no search has begun here; `dvc repro` begins one, and writes reports/report.html when it has ended"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--watch", action="store_true", help="draw it again while the search runs; where none does, wait for the next"
    )


def run(arguments: argparse.Namespace) -> None:
    """Draw once, or until the search has ended."""
    from paretune.commands.watched import Watched
    from paretune.tuners.status import latest_status

    root = find_root(Path.cwd())
    with contextlib.chdir(root):
        searches, folder = state_root().absolute() / "searches", state_root() / "live"
        status = latest_status(searches)
        if status is None and not arguments.watch:
            raise ConfigError(_NONE)
        if status is not None and not (arguments.watch and status.is_running()):
            _told(Watched(status, folder).draw()[0], folder)
        if not arguments.watch:
            return
        _watch(Watched(_next_running(searches), folder), folder)


def _next_running(searches: Path) -> Status:
    """The search that runs, as soon as one does."""
    from paretune.tuners.status import latest_status

    told = False
    while (status := latest_status(searches)) is None or not status.is_running():
        if not told:
            print("waiting for a search to begin (dvc repro; Ctrl-C ends this)", file=sys.stderr)
            told = True
        time.sleep(_EVERY_S / 2)
    return status


def _watch(watched: Watched, folder: Path) -> None:
    said = ""
    while True:
        started = time.monotonic()
        sentence, running = watched.draw()
        if sentence != said:
            _told(sentence, folder)
            said = sentence
        if not running:
            return
        time.sleep(max(_EVERY_S, _REST * (time.monotonic() - started)))


def _told(sentence: str, folder: Path) -> None:
    print(f"{folder / 'report.html'}: {plain(sentence)}", flush=True)
