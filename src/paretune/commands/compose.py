"""Compose ``conf/`` into params.yaml, exactly as ``dvc exp run`` does."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from paretune.errors import ConfigError
from paretune.pipeline.conf_digest import conf_folders
from paretune.pipeline.sections.yaml_file import load_yaml
from paretune.schemas.faults import did_you_mean, shown
from paretune.wording import shortened

__all__ = ["compose", "find_root"]

_LONGEST = 20_000  # Hydra's parser takes a second for as many signs, and much longer for more


def find_root(start: Path) -> Path:
    """The nearest folder at or above ``start`` that holds ``conf/config.yaml``."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "conf" / "config.yaml").is_file():
            return folder
    raise ConfigError(f"no conf/config.yaml in {str(start)!r} or above; go to the project's folder")


def compose(root: Path, overrides: Sequence[str] = (), output: Path | None = None) -> Path:
    """Write ``root/params.yaml`` (or ``output``) from ``root/conf`` and Hydra overrides; return its path.

    Raises ConfigError when a file of conf/, a group, a key or the syntax is wrong; the old file then stays as it was.
    """
    from dvc.utils.hydra import compose_and_dump

    for file in sorted((root / "conf").rglob("*.yaml")):
        with contextlib.suppress(FileNotFoundError):
            load_yaml(file)
    for override in overrides:
        if len(override) > _LONGEST:
            raise ConfigError(
                f"an override may have at most {_LONGEST:,} characters (got {shown(override)}); edit conf/"
            )
        if "=" in override and not _key(override):
            raise ConfigError(f"cannot compose conf/: {shown(override, 200)} is not key=value: it has no key")
    output = output or root / "params.yaml"
    part = output.with_name(f".{output.stem}.{os.getpid()}.yaml")
    try:
        compose_and_dump(str(part), str(root / "conf"), None, "config", str(root), list(overrides))
        part.replace(output)
    except Exception as error:  # Hydra, OmegaConf and their plug-ins raise all kinds for what a user can write
        if isinstance(error, OSError) and not hasattr(error, "missing_cfg_file"):  # which Hydra's own has
            raise
        raise ConfigError(f"cannot compose conf/: {_reason(error, root, overrides)}") from None
    finally:
        part.unlink(missing_ok=True)
    return output


def _reason(error: Exception, root: Path, overrides: Sequence[str]) -> str:
    from hydra.errors import HydraException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, OverrideParseException):
        return f"{shown(error.override, 200)} is not key=value: {_shorten(str(error))}{_quoted(str(error.override))}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if str(error).startswith("Config group override must be"):
        folders = conf_folders(root / "conf")
        group = next((one for one in overrides if any((each / _key(one)).is_dir() for each in folders)), "")
        options = ", ".join(sorted({path.stem for each in folders for path in (each / _key(group)).glob("*.yaml")}))
        return f"{shown(group, 200)}: {_key(group)} is a group of conf/; choose one of {options or 'its options'}"
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and "is not in struct" in str(cause):
        known = list(getattr(cause, "parent_node", None) or ())
        hint = did_you_mean(str(cause.key), map(str, known))
        place = str(cause.full_key)
        matching = [one for one in overrides if place.startswith(_key(one)) or _key(one).startswith(place)]
        override = max(matching, key=lambda one: len(_key(one)), default="")  # not the choice of the group before it
        return f"{place!r} is no key and no group{hint}\n  to add it to what is there: {shown('+' + override, 500)}"
    if str(error).startswith("Interpolation key 'task."):
        return f"{_shorten(str(error))}; the layout takes it from the task: declare it there, or choose another layout"
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _shorten(str(error))
    return f"{type(error).__name__}: {str(error).partition(';')[0]}"


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~").strip()


def _quoted(override: str) -> str:
    """How the value is written where it is text that Hydra's grammar does not take as it stands."""
    key, equals, value = override.partition("=")
    if not (equals and re.fullmatch(r"[+~\w.@/-]+", key) and value.isprintable()):
        return ""
    if listed := re.fullmatch(r"\[(.*)\]", value):
        quoted = shlex.quote(f"{key}=[{','.join(_text(part.strip()) for part in listed[1].split(','))}]")
    else:
        quoted = shlex.quote(f"{key}={_text(value)}")
    return f"\n  text with signs beyond a-z, digits and -_./ must be quoted, once more for the shell: {quoted}"


def _text(value: str) -> str:
    """A text as Hydra's grammar takes it, whatever its signs."""
    return '"{}"'.format(value.strip("'\"").replace("\\", "\\\\").replace('"', '\\"'))


def _shorten(message: str) -> str:
    """Hydra's message without its search path and its advice, one line a statement."""
    message = re.sub(r"Could not override ('.*')\.", r"\1 is no key and no group", message)
    message = re.sub(r"LexerNoViableAltException: .*", "a sign that cannot stand there", message)
    lines = re.sub(r"\n\t+", " ", message).splitlines()
    drop = ("Config search path", "See https://", "To append to your", "3. To sweep over it", "Error parsing override")
    kept = [line.strip() for line in lines if line.strip(" ^") and not line.startswith(drop)]
    return "\n  ".join(shortened(line, 300) for line in kept)
