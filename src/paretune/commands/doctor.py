"""``paretune doctor``: what a run needs, each with what is wrong and the cure."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from paretune import __version__
from paretune.commands.compose import find_root
from paretune.errors import ConfigError, ParetuneError
from paretune.files import state_root
from paretune.lm.backends.local_models import find_gguf
from paretune.lm.ledger import queries
from paretune.lm.ledger.default import SWITCH, default_ledger
from paretune.lm.ledger.none import NoLedger
from paretune.lm.ledger.shared import SharedLedger
from paretune.lm.ledger.shared_calls import SharedCalls
from paretune.pipeline.conf_digest import conf_digest
from paretune.pipeline.sections.base import read_params, section, unset
from paretune.pipeline.sections.lm import LmParams
from paretune.shared_files import NAMES, SHARED
from paretune.terminal import plain

__all__ = ["Finding", "add_arguments", "examine", "run"]

_GIGABYTE = 2**30
#: Of disk space: what a search of the bundled size leaves behind many times over.
_LITTLE_SPACE = _GIGABYTE
_LARGE_LEDGER = 10 * _GIGABYTE
_PYTHONS = ((3, 11), (3, 13))


class Finding(NamedTuple):
    """One line: ``state``, what was looked at, and what was found there, with the cure where it is not ``ok``."""

    state: Literal["ok", "warning", "fault"]
    what: str
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Print a line a finding; exit 1 where one is a fault."""
    found = list(examine(Path.cwd()))
    if arguments.json:
        print(json.dumps([finding._asdict() for finding in found], indent=2))
    else:
        print(*(f"{each.state:<8} {each.what:<12} {plain(each.text, lines=True)}" for each in found), sep="\n")
    if any(each.state == "fault" for each in found):
        sys.exit(1)


def examine(folder: Path) -> Iterator[Finding]:
    """Look at the environment and at the project around ``folder``; nothing is changed (a probe file goes again)."""
    yield _python()
    yield from _packages()
    yield from _commands()
    try:
        root = find_root(folder)
    except ConfigError:
        yield Finding("warning", "project", "none here or above; make one: paretune init my-task --data rows.csv")
        return
    checks: tuple[Callable[[Path], Iterator[Finding]], ...] = (_git, _files, _conf, _model, _ledger, _team)
    for check in checks:
        yield from check(root)
    yield _space(root)


def _python() -> Finding:
    text = f"{platform.python_version()} on {platform.system()}, paretune {__version__}"
    if not _PYTHONS[0] <= sys.version_info[:2] <= _PYTHONS[1]:
        return Finding("fault", "python", f"{text}; install Python 3.11, 3.12 or 3.13")
    return Finding("ok", "python", text)


def _packages() -> Iterator[Finding]:
    """What this package needs, by its own metadata, against what is installed."""
    from packaging.requirements import Requirement

    needed = [Requirement(text) for text in metadata.requires("paretune") or ()]
    wrong = []
    extras: dict[str, list[str]] = {}
    for one in needed:
        extra = str(one.marker).partition("extra ==")[2].strip(" \"'") if one.marker else ""
        if one.marker and not extra and not one.marker.evaluate():
            continue
        try:
            version = metadata.version(one.name)
            lack = (
                "" if one.specifier.contains(version, prereleases=True) else f"{one.name}{one.specifier} (is {version})"
            )
        except metadata.PackageNotFoundError:
            lack = f"{one.name}{one.specifier} (is missing)"
        if extra:
            extras.setdefault(extra, []).extend([lack] if lack else [])
        elif lack:
            wrong.append(lack)
    if wrong:
        yield Finding("fault", "packages", f"needed: {', '.join(wrong)}; install them, or paretune again")
    else:
        yield Finding("ok", "packages", f"all {len(needed)} that are needed" if not extras else "all that are needed")
    there = [extra for extra, lacks in extras.items() if not lacks]
    absent = [extra for extra, lacks in extras.items() if lacks and extra != "dev"]
    cure = f"; not installed: {', '.join(absent)} (pip install 'paretune[{absent[0]}]')" if absent else ""
    yield Finding("ok", "extras", f"{', '.join(there) or 'none'}{cure}")


def _commands() -> Iterator[Finding]:
    """The stages run ``python`` and DVC's queue runs ``dvc``, as PATH finds them."""
    found = shutil.which("python")
    done = "" if found is None else _output(found, "-c", "import sys; print(sys.prefix)")
    if not done or not Path(done).exists() or not os.path.samefile(done, sys.prefix):
        other = f"{found} is another environment" if found else "no `python` on PATH"
        yield Finding("fault", "PATH", f"{other}, but the stages run it; activate the environment {sys.prefix}")
    elif not shutil.which("dvc"):
        yield Finding("fault", "PATH", f"no `dvc` on it; activate the environment {sys.prefix}")
    else:
        yield Finding("ok", "PATH", f"python and dvc of {sys.prefix}")
    version = _output("git", "--version")
    if not version:
        yield Finding("fault", "git", "no `git` on PATH, which DVC needs; install Git")


def _git(root: Path) -> Iterator[Finding]:
    if not _output("git", "--version"):
        return
    if _output("git", "rev-parse", "--is-inside-work-tree", cwd=root) != "true":
        yield Finding("fault", "git", "the project is in no repository, which DVC needs; git init")
        return
    lacks = [name for name in ("user.name", "user.email") if not _output("git", "config", name, cwd=root)]
    if lacks:
        cure = " && ".join(f"git config --global {name} …" for name in lacks)
        yield Finding("warning", "git", f"it does not know you, so that `dvc exp run` cannot commit: {cure}")
    elif not _output("git", "rev-parse", "--verify", "--quiet", "HEAD", cwd=root):
        yield Finding(
            "warning", "git", "no commit yet, without which there is no `dvc exp run`: git add . && git commit"
        )
    else:
        yield Finding("ok", "git", "a repository with commits, and it knows you")


def _files(root: Path) -> Iterator[Finding]:
    lost = [name for name in NAMES if not (root / name).is_file()]
    other = [name for name in NAMES if name not in lost and not _same(root / name, SHARED / name)]
    if "dvc.yaml" in lost or ".dvc/config" in lost:
        yield Finding("fault", "pipeline", f"not there: {', '.join(lost)}; paretune init --upgrade")
    elif differing := [name for name in (*lost, *other) if name.startswith((".dvc/", "dvc"))]:
        text = f"not as paretune {__version__} has it: {', '.join(differing)}"
        yield Finding("warning", "pipeline", f"{text}; unless you meant it: paretune init --upgrade")
    else:
        yield Finding("ok", "pipeline", f"dvc.yaml and .dvc/ are those of paretune {__version__}")


def _same(one: Path, other: Path) -> bool:
    return one.read_bytes().replace(b"\r\n", b"\n") == other.read_bytes().replace(b"\r\n", b"\n")


def _conf(root: Path) -> Iterator[Finding]:
    try:
        params = read_params(root / "params.yaml")
    except ParetuneError as error:
        yield Finding("fault", "conf", str(error))
        return
    if params.get("conf_digest") != conf_digest(root / "conf"):
        yield Finding("fault", "conf", "conf/ is not what params.yaml was composed from; paretune compose")
    elif missing := unset(params):
        yield Finding("fault", "conf", f"still to be given: {', '.join(missing)}; edit conf/, then paretune compose")
    else:
        yield Finding("ok", "conf", "params.yaml is composed of conf/ as it is")


def _model(root: Path) -> Iterator[Finding]:
    try:
        lm = section(read_params(root / "params.yaml"), "lm", LmParams)
        if lm.model.startswith("local/"):
            path = find_gguf(lm.model)
            if not path.is_file():
                raise ConfigError(f"{lm.model}: no such file: {str(path)!r}")
            text = f"{lm.model}: {path} ({_size(path.stat().st_size)})"
        else:
            text = lm.model if lm.api_base is None else f"{lm.model} at {lm.api_base.rpartition('@')[2]}"
    except ParetuneError as error:
        yield Finding("fault", "model", str(error))
        return
    if lm.api_key_env and not os.environ.get(lm.api_key_env) and not lm.env_file:
        yield Finding("fault", "model", f"{text}: no key in {lm.api_key_env}; export {lm.api_key_env}=…")
    else:
        yield Finding("ok", "model", text)


def _ledger(root: Path) -> Iterator[Finding]:
    try:
        folder = root / state_root()
        path = folder / "ledger.sqlite"
        probe = (folder if folder.is_dir() else root) / f".probe-{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink()
        if not path.exists():
            yield Finding("ok", "ledger", f"{path}: none yet")
            return
        with queries.opened(path) as connection:
            (count,) = connection.execute("SELECT count(*) FROM calls").fetchone()
        if not os.access(path, os.W_OK):
            raise ConfigError(f"{path} may not be written; make it writable")
    except OSError as error:
        yield Finding("fault", "ledger", f"{folder} cannot be written ({error.strerror}); make it writable")
        return
    except ParetuneError as error:
        yield Finding("fault", "ledger", str(error))
        return
    size = sum(each.stat().st_size for each in folder.glob("ledger.sqlite*"))
    text = f"{path}: {count:,} replies, {_size(size)}"
    if size > _LARGE_LEDGER:
        yield Finding("warning", "ledger", f"{text}; old ones go with: paretune calls --prune 90d --yes")
    else:
        yield Finding("ok", "ledger", text)


def _team(root: Path) -> Iterator[Finding]:
    """The ledger that the environment names, where it is another one than the project's file."""
    try:
        ledger = default_ledger()
        if isinstance(ledger, NoLedger):
            yield Finding(
                "warning", "team ledger", f"{SWITCH}=off keeps no reply, which a search needs; unset {SWITCH}"
            )
        if not isinstance(ledger, SharedLedger):
            return
        SharedCalls(ledger.home).check_rights()
        count, size = SharedCalls(ledger.home).size()
    except ParetuneError as error:
        yield Finding("fault", "team ledger", str(error))
        return
    text = f"{ledger.home.database.name}: {count:,} replies, {_size(size)}"
    if waiting := _waiting(root / state_root() / "ledger.sqlite"):
        text += f"; {waiting:,} replies of this machine wait for it, the next run hands them over"
    yield Finding("ok", "team ledger", text)


def _waiting(path: Path) -> int:
    with contextlib.suppress(ParetuneError), queries.opened(path) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'unshared'").fetchone():
            return int(connection.execute("SELECT count(*) FROM unshared").fetchone()[0])
    return 0


def _space(root: Path) -> Finding:
    free = shutil.disk_usage(root).free
    if free < _LITTLE_SPACE:
        return Finding("warning", "disk", f"{_size(free)} free; a full disk stops a search (and loses nothing)")
    return Finding("ok", "disk", f"{_size(free)} free")


def _size(count: int) -> str:
    for unit, factor in (("GB", _GIGABYTE), ("MB", 2**20)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count / 1024:.3g} kB"


def _output(*command: str, cwd: Path | None = None) -> str:
    """What a command prints; nothing where it fails or is not there."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
