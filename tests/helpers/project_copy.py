"""A copy of this project's configuration and sample data, for tests that change them."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copy_project(root: Path) -> None:
    """Copy into ``root`` what composing and the stages before the search read."""
    for name in ("conf", "data/sample"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "data/human.jsonl"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
