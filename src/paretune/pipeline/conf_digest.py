"""One name for the state of ``conf/``, so that a stale params.yaml is noticed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from paretune.shared_files import shared_conf

__all__ = ["conf_digest", "conf_folders"]

_SHARES = b"${paretune_conf:}"


def conf_folders(folder: Path) -> list[Path]:
    """The folders in which the groups of a project's ``conf/`` are looked for: itself, and, where its config.yaml names
    ``${paretune_conf:}``, those that this package brings."""
    config = folder / "config.yaml"
    shares = config.is_file() and _SHARES in config.read_bytes()
    return [folder, shared_conf()] if shares else [folder]


def conf_digest(folder: Path) -> str:
    """SHA-256 (hex) over the relative name and the raw bytes of every ``.yaml`` file in ``conf_folders(folder)``.

    Hydra reads no other files, so an editor's backup or a note beside them changes nothing.
    """
    total = hashlib.sha256()
    for place in conf_folders(folder):
        for name, path in sorted((path.relative_to(place).as_posix(), path) for path in place.rglob("*.yaml")):
            if not path.is_file():
                continue
            total.update(hashlib.sha256(name.encode()).digest())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
