"""Compose ``conf/`` into params.yaml, exactly as ``dvc exp run`` does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from paretune.errors import ConfigError

__all__ = ["compose", "find_root"]


def find_root(start: Path) -> Path:
    """The nearest folder at or above ``start`` that holds ``conf/config.yaml``."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "conf" / "config.yaml").is_file():
            return folder
    raise ConfigError(f"no conf/config.yaml in {str(start)!r} or above; go to the project's folder")


def compose(root: Path, overrides: Sequence[str] = (), output: Path | None = None) -> Path:
    """Write ``root/params.yaml`` (or ``output``) from ``root/conf`` and Hydra overrides; return its path.

    Raises ConfigError when a group, a key or the syntax is wrong; the old file then stays as it was.
    """
    from dvc.utils.hydra import compose_and_dump
    from hydra.errors import HydraException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    output = output or root / "params.yaml"
    try:
        compose_and_dump(str(output), str(root / "conf"), None, "config", str(root), list(overrides))
    except OverrideParseException as error:
        reason = _shorten(str(error))
        raise ConfigError(f"cannot compose conf/: {error.override!r} is not key=value: {reason}") from None
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise ConfigError(f"cannot compose conf/: {_shorten(str(error))}") from None
    return output


def _shorten(message: str) -> str:
    """Hydra's message without its search path and its advice, one line a statement."""
    message = re.sub(r"Could not override ('.*')\.", r"\1 is no key and no group", message)
    lines = re.sub(r"\n\t+", " ", message).splitlines()
    drop = ("Config search path", "See https://", "To append to your config")
    return "\n  ".join(line.strip() for line in lines if line.strip() and not line.startswith(drop))
