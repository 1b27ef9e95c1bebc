"""The ledger that is used where none is given."""

from __future__ import annotations

import os
from pathlib import Path

from paretune.errors import ConfigError
from paretune.files import state_root
from paretune.lm.ledger.ledger import Ledger

__all__ = ["SWITCH", "default_ledger"]

#: The environment variable that switches it off, or names a database.
SWITCH = "PARETUNE_LEDGER"

_ledgers: dict[Path, Ledger] = {}


def default_ledger() -> Ledger:
    """The ledger of the project, one object a file (``.paretune/ledger.sqlite``, see files.state_root).

    Where the environment says ``PARETUNE_LEDGER=off`` it is one that keeps nothing; where it names a database
    (``postgresql://…``), one that is shared with all who name the same. Raises ConfigError for another value.
    """
    wish = os.environ.get(SWITCH, "on")
    if wish.startswith(("postgresql://", "postgres://")):
        from paretune.lm.ledger.shared import shared_ledger

        return shared_ledger((state_root() / "ledger.sqlite").absolute(), wish)
    if wish not in ("on", "off"):
        # there may be a password among other characters
        shown = repr(wish) if wish.isalnum() or not wish else f"{len(wish)} characters"
        raise ConfigError(f"{SWITCH} must be on, off or postgresql://… (got {shown})")
    if wish == "off":
        from paretune.lm.ledger.none import NoLedger

        return _ledgers.setdefault(Path(os.devnull), NoLedger())
    path = (state_root() / "ledger.sqlite").absolute()
    return _ledgers.setdefault(path, Ledger(path))
