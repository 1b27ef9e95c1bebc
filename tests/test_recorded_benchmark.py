"""The benchmark on recorded results works on a small table that was made up for it, and says what it needs."""

import csv
import random
import subprocess
import sys
from pathlib import Path

COMMAND = Path(__file__).parent.parent / "benchmarks" / "recorded" / "run.py"
#: By model, how many of ten items it answers rightly, and how long its answers are.
MODELS = {"small-1b": (3, 40), "small-7b": (5, 80), "large-8b": (7, 160), "large-70b": (9, 400)}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command with these arguments."""
    return subprocess.run([sys.executable, str(COMMAND), *arguments], capture_output=True, text=True, check=False)


def rows(printed: str, start: str) -> list[list[str]]:
    """The cells of all printed rows that begin so."""
    found = (line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith(f"| {start}"))
    return [[cell.strip() for cell in cells] for cells in found]


def test_replays_a_table(tmp_path):
    """The truths are the table's, and a tuner that makes all calls of the grid finds what random draws then find."""
    with (tmp_path / "tiny.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["configuration", "item", "score", "out_chars"])
        for name, (right, length) in MODELS.items():
            rng = random.Random(name)
            for item in range(100):
                writer.writerow([name, item, int(item % 10 < right), length + rng.randrange(20)])
    done = run("--data", str(tmp_path), "--runs", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(done.stdout, "tiny | 4")[0][1:3] == ["4 x 100", "0.30 to 0.90"]
    searches = rows(done.stdout, "tiny, 4 models, 40")
    assert [row[1:4] for row in searches] == [["0.0 ± 0.0", "+0.0 ± 0.0", "+0.0 ± 0.0"]] * 2
    assert len(rows(done.stdout, "tiny, 52 cascades")) == 4
    for row in rows(done.stdout, "tiny (4), n = 500"):
        assert float(row[1]) > 0.5 and row[2] == "0.000"  # models that differ so much are soon told apart


def test_says_what_it_needs(tmp_path):
    """Without a folder, and with one that has no tables, it says so."""
    for arguments, complaint in (([], "--data"), (["--data", str(tmp_path)], "error: ")):
        done = run(*arguments)
        assert done.returncode != 0 and done.stdout == ""
        assert complaint in done.stderr.splitlines()[-1]
