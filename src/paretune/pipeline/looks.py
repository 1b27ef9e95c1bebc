"""How often a test split was looked at: each configuration that was tested on it may have been chosen for its luck."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock

from paretune.files import digest, digest_files, read_jsonl, state_root
from paretune.lm.ledger.default import default_ledger
from paretune.lm.ledger.shared import SharedLedger

__all__ = ["count_looks"]


def count_looks(test: Path, configurations: Iterable[Any]) -> int:
    """Note that these configurations (JSON values) are tested on this split, and return how many were so far, these
    included; the same one again is no new look. The list is kept with the ledger, by the digest of the split, and where
    others share that, the looks of all count, those from before it was shared too."""
    split, tested = digest_files([test])[:16], {digest(configuration) for configuration in configurations}
    path = state_root() / "looks" / f"{split}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        known = {row["configuration"] for row in read_jsonl(path)} if path.exists() else set()
        new = tested - known
        with open(path, "a", encoding="utf-8") as handle:
            handle.writelines(json.dumps({"configuration": each}) + "\n" for each in sorted(new))
    if isinstance(ledger := default_ledger(), SharedLedger):
        return ledger.look(split, sorted(known | new))
    return len(known | new)
