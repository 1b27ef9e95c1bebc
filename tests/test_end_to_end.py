"""The real pipeline, run by DVC with the real local model, on a few rows."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = ["trial", "status", "few_shot", "val_reward", "val_reward_lo", "val_reward_hi", "val_f1", "val_f1_lo"]
COLUMNS += ["val_tokens_per_request", "n", "calls", "prompt_tokens", "completion_tokens", "cost_usd", "latency_s"]
COLUMNS += ["score", "on_frontier"]


class Checkout:
    """A copy of this project in a folder of its own, with an empty home and no keys."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self.environment = {
            "HOME": str(home),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(home / "site"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(root / "src"),  # its code is that of the copy, which a test changes
        }

    def run(self, *command: str) -> str:
        """Run a command; its output, both streams. Fails the test when the command fails."""
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, text=True, capture_output=True, timeout=400, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def stages_run(self, *options: str) -> list[str]:
        """The stages that ``dvc repro`` runs."""
        lines = self.run("dvc", "repro", *options).splitlines()
        return [line.split("'")[1] for line in lines if line.startswith("Running stage")]

    def files(self) -> dict[str, bytes]:
        """Every output of the stages, but the account of the run itself."""
        folders = ("data/materialized", "data/splits", "data/search", "data/evaluation", "reports")
        paths = sorted(path for folder in folders for path in (self.root / folder).rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths if path.name != "run.json"}

    def read(self, name: str) -> dict[str, dict[str, float]]:
        """A JSON report."""
        found: dict[str, dict[str, float]] = json.loads((self.root / name).read_text())
        return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The project's files as Git sees them, in a new repository, after one run of the pipeline."""
    root, home = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("home")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True, capture_output=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("reports/", "dvc.lock")):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    project = Checkout(root, home)
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.run("paretune", "compose", "experiment=fast")
    assert project.stages_run() == [
        "check_params",
        "materialize@train",
        "materialize@test",
        "split",
        "search",
        "evaluate",
        "report",
    ]
    yield project


def test_the_reports_have_their_keys_and_columns(checkout: Checkout) -> None:
    """What other tools rely on: sections and keys of the numbers, columns of the trials, a picture."""
    metrics, detail = checkout.read("reports/metrics.json"), checkout.read("reports/detail.json")
    run = checkout.read("reports/run.json")
    assert {"test", "val", "optimism", "baseline", "gain", "majority", "search"} <= set(detail)
    assert {"reward", "reward_lo", "reward_hi", "f1", "f1_lo", "f1_hi", "n", "failures"} <= set(detail["test"])
    assert detail["test"]["reward_lo"] <= detail["test"]["reward"] <= detail["test"]["reward_hi"]
    assert detail["search"]["trials"] == detail["search"]["completed"] == 2
    assert run["lm_calls_paid"] == metrics["search"]["lm_calls"] > 0
    assert {"trial", "few_shot"} <= set(metrics["winner"]) and metrics["test"]["f1"] == detail["test"]["f1"]
    assert [trial["trial"] for trial in run["trials"]] == ["0001", "0002"]
    assert 0 < sum(trial["seconds"] for trial in run["trials"]) <= run["seconds"]
    with open(checkout.root / "reports/trials.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert set(COLUMNS) <= set(rows[0]) and len(rows) == 2
    points = json.loads((checkout.root / "reports/pareto.json").read_text())
    assert len(points) == 2 and set(points[0]) == set(points[1])
    assert (checkout.root / "reports/pareto.png").read_bytes().startswith(b"\x89PNG")
    page = (checkout.root / "reports/report.html").read_text()
    replies = (checkout.root / "data/search/replies.jsonl").read_text().splitlines()
    assert page.count('id="example-') == len(replies) == detail["val"]["n"]
    assert all(set(json.loads(line)["calls"]) == {trial["trial"] for trial in run["trials"]} for line in replies)


def test_dvc_reads_the_metrics(checkout: Checkout) -> None:
    """`dvc metrics show` finds the numbers to compare and which configuration won, and nothing else."""
    shown = json.loads(checkout.run("dvc", "metrics", "show", "--json"))
    assert shown[""]["data"] == {"reports/metrics.json": {"data": checkout.read("reports/metrics.json")}}


def test_dvc_draws_the_plots_without_a_network(checkout: Checkout) -> None:
    """The page has the scripts, the points and the picture, and loads nothing from elsewhere."""
    shown = checkout.run("dvc", "plots", "show")
    page = checkout.root / "dvc_plots" / "index.html"
    assert page.name in shown
    text = page.read_text(encoding="utf-8")
    assert "window.vegaEmbed=" in text and "few shot" in text and 'src="static/' in text
    assert "<script src" not in text and "cdn." not in text


def test_only_what_changed_runs_again(checkout: Checkout) -> None:
    """Nothing without a change; the report alone after a chart; the search and what follows after a metric."""
    assert checkout.stages_run() == ["check_params"]
    before = checkout.files()
    for module, stages in (
        ("reporting/charts.py", ["report"]),
        ("metrics/classification.py", ["search", "evaluate", "report"]),
    ):
        path = checkout.root / "src/paretune" / module
        text = path.read_text()
        path.write_text(text + "\n# changed\n")
        assert checkout.stages_run() == ["check_params", *stages]
        path.write_text(text)
        checkout.stages_run()
    assert checkout.files() == before


def test_a_forced_search_pays_for_nothing_and_changes_no_file(checkout: Checkout) -> None:
    """With the record of the search gone as well, the ledger alone serves every call."""
    before = checkout.files()
    shutil.rmtree(checkout.root / ".paretune" / "searches")
    assert "search" in checkout.stages_run("-f", "search")
    assert checkout.read("reports/run.json")["lm_calls_paid"] == 0
    assert checkout.files() == before
