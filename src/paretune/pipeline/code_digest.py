"""One name for the code of a stage, so that an upgrade of this package reruns the stages whose code it changed.

DVC depends on files of the project, and the package is installed elsewhere: so the first stage writes these names into
files, and the other stages depend on those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import paretune
from paretune.import_closure import closure

__all__ = ["code_digest"]

_PACKAGE = Path(paretune.__file__).resolve().parent


def code_digest(stage: str) -> str:
    """SHA-256 (hex) over the names and the texts of all files of this package that the stage can reach.

    Those are the modules that it may import, and what lies in folders of their packages that hold no modules (scripts
    and styles of the report). Line ends do not count.
    """
    modules = closure([f"paretune.stages.{stage}"])
    files = modules | {file for module in modules if module.name == "__init__.py" for file in _data(module.parent)}
    total = hashlib.sha256()
    for name, file in sorted((file.relative_to(_PACKAGE).as_posix(), file) for file in files):
        content = file.read_bytes().replace(b"\r\n", b"\n")
        total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()


def _data(package: Path) -> Iterator[Path]:
    for folder in package.iterdir():
        if folder.is_dir() and folder.name != "__pycache__" and not (folder / "__init__.py").exists():
            yield from (file for file in folder.rglob("*") if file.is_file())
