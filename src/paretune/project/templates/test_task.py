"""The configuration is valid, and every row of the data fits the task that it declares."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(folder: Path, stage: str, *arguments: str) -> None:
    """Run a stage of the pipeline in a folder; what it says is shown where it fails."""
    command = [sys.executable, "-m", f"paretune.stages.{stage}", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr


def test_every_row_fits_the_task(tmp_path: Path) -> None:
    """params.yaml is what conf/ says, and all rows become examples; a failure names the value and the row."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "data").mkdir()
    for file in (ROOT / "data").glob("*.jsonl"):
        shutil.copy(file, tmp_path / "data")
    run(tmp_path, "check_params")
    for split in ("train", "test"):
        run(tmp_path, "materialize", split)
        assert (tmp_path / f"data/materialized/{split}.jsonl").read_text(encoding="utf-8").count("\n") > 0


def test_no_row_is_in_both_parts() -> None:
    """The test says something only about rows that the search has not seen."""
    train, test = (
        {json.dumps(json.loads(line), sort_keys=True) for line in (ROOT / f"data/{name}.jsonl").open(encoding="utf-8")}
        for name in ("train", "test")
    )
    assert not train & test
