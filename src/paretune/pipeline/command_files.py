"""What a program that is another process is made of: the files of its command."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from paretune.errors import ConfigError
from paretune.import_closure import closure
from paretune.pipeline.sections.program import ProgramParams

__all__ = ["check_command", "process_files"]


def process_files(program: ProgramParams) -> set[Path]:
    """The files that a program is made of: ``program.source`` (of a folder all), the scripts that it runs, and what
    these import in the project."""
    source, here = Path.cwd() / program.source, Path.cwd()
    files = {path for path in (source.rglob("*") if source.is_dir() else [source]) if path.is_file()}
    files = {path for path in files if "__pycache__" not in path.parts}
    for script in _scripts(program):
        files |= {script, *closure([script.stem], (script.parent, here, here / "src"))}
    return files


def check_command(program: ProgramParams) -> None:
    """Raise ConfigError for a program that there is not, and for a script of the project that DVC does not watch.
    Nothing is imported or run."""
    scripts = list(_scripts(program))
    if not program.is_own_process:
        return
    if program.function is not None and not scripts:
        raise ConfigError(
            f"program.function: no module {program.function.partition(':')[0]!r} in the project's folder or src/ "
            f"(got {program.function!r})"
        )
    if program.command and shutil.which(program.command[0]) is None:
        raise ConfigError(f"program.command: no program {program.command[0]!r} is found; give its path")
    watched = (Path.cwd() / program.source).resolve()
    if not watched.exists():
        raise ConfigError(f"program.source: no such file or folder (got {program.source!r})")
    for script in scripts:
        if not script.resolve().is_relative_to(watched):
            raise ConfigError(
                f"program.source: must be the file of the program or a folder around it, or DVC would not notice its "
                f"changes; set it to {script.relative_to(Path.cwd()).as_posix()} (got {program.source!r})"
            )


def _scripts(program: ProgramParams) -> Iterator[Path]:
    """The files of the project that a command names, or the one of a function."""
    here, words = Path.cwd(), program.command or ()
    if program.function is not None:
        path = f"{program.function.partition(':')[0].replace('.', '/')}.py"
        words = (path, f"src/{path}")
    for word in words:
        if not Path(word).is_absolute() and (here / word).is_file():
            yield here / word
