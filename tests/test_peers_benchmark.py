"""The comparison with other tools works, as far as it can be tried without them."""

import subprocess
import sys
from pathlib import Path

COMMAND = Path(__file__).parent.parent / "benchmarks" / "peers" / "run.py"


def test_measures_paretune():
    """Twelve calls: each is made once, none on a rerun, and the accuracies are the true ones."""
    arguments = [sys.executable, str(COMMAND), "--tools", "paretune", "--sizes", "12", "--no-kill"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    row = dict(field.split(": ") for field in done.stdout.strip().split("  "))
    assert (row["calls"], row["requests"], row["rerun requests"]) == ("12", "12", "0")
    assert row["same work"] == "True"
    assert float(row["x ideal"]) > 1 and int(row["peak"]) <= 4
