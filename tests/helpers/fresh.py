"""New processes: what is imported there, and what comes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def fresh(code: str, *first_on_path: Path, cwd: Path | None = None) -> Any:
    """What a new process prints as JSON, with warnings as errors and nothing else on its terminal."""
    path = os.pathsep.join([*map(str, first_on_path), *(name for name in sys.path if name)])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import json, sys\n{code}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
        cwd=cwd,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)
