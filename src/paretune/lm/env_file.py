"""Keys from a ``.env`` file, where one is named: nothing looks for such files by itself."""

from __future__ import annotations

import io
import os
from pathlib import Path

from paretune.errors import ConfigError

__all__ = ["load_env_file"]


def load_env_file(path: str | Path) -> list[str]:
    """Put a file's ``NAME=value`` lines into the environment; returns the names that were set.

    What the environment has already stays. Values are taken as they stand: quotes and comments work as python-dotenv
    reads them, ``${…}`` is not replaced. A relative path begins in the project's folder, also in DVC's temporary ones.
    Raises ConfigError, which never shows a value, when the file cannot be read.
    """
    from dotenv.parser import parse_stream

    file = Path(os.environ.get("DVC_ROOT") or ".") / path
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"env_file: no such file: {str(file)!r}; write it (lines NAME=value), or set env_file to null"
        ) from None
    except OSError as error:
        raise ConfigError(f"env_file: {str(file)!r} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"env_file: {str(file)!r} is not UTF-8 text (byte {error.start})") from None
    except ValueError as error:  # a NUL in the name
        raise ConfigError(f"env_file: {str(file)!r} is no name of a file: {error}") from None
    found: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None) or "\0" in (binding.value or ""):
            raise ConfigError(f"env_file: {str(file)!r}, line {binding.original.line}: not of the form NAME=value")
        if binding.key is not None and binding.value is not None:
            found[binding.key] = binding.value
    missing = [name for name in found if name not in os.environ]
    os.environ.update({name: found[name] for name in missing})
    return missing
