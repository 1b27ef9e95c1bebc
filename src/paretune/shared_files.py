"""The files that every project shares: those of this package's own repository, which the wheel carries along."""

from __future__ import annotations

from pathlib import Path

__all__ = ["NAMES", "SHARED", "shared_conf"]

_PACKAGE = Path(__file__).resolve().parent
_CARRIED = _PACKAGE / "project" / "files"
#: The folder that holds them: in the installed package, or the checkout that is installed as it is.
SHARED = _CARRIED if _CARRIED.is_dir() else _PACKAGE.parent.parent
#: What a project holds of them; its groups of conf/ stay in the package, see ``shared_conf``.
NAMES = (
    "dvc.yaml",
    ".dvc/config",
    ".dvc/.gitignore",
    ".dvc/page.html",
    ".dvc/plots/pareto.json",
    ".dvcignore",
    ".gitignore",
    ".gitattributes",
)


def shared_conf() -> Path:
    """The groups of ``conf/`` that a project finds beside its own, by ``hydra.searchpath: ['${paretune_conf:}']``."""
    return SHARED / "conf"
