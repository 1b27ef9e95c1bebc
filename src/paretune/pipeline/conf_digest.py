"""One name for the state of ``conf/``, so that a stale params.yaml is noticed."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["conf_digest"]


def conf_digest(folder: Path) -> str:
    """SHA-256 (hex) over the relative name and the raw bytes of every ``.yaml`` file below ``folder``.

    Hydra reads no other files, so an editor's backup or a note beside them changes nothing.
    """
    total = hashlib.sha256()
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*.yaml")):
        if path.is_file():
            total.update(hashlib.sha256(name.encode()).digest())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
