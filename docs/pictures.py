"""Make the pictures of docs/: `make pictures`, in a checkout whose pipeline has run (`make repro`).

The views of the report are of that run. For the queue, four experiments are run in a copy of the checkout, by two
workers, with the model of the configuration; what its ledger has is not asked again. Needs Chromium (CHROMIUM names
another one); asks no network for anything.
"""

from __future__ import annotations

import html
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from paretune.reporting.charts import to_png

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
#: Views of the report: name, address, height of the window.
VIEWS = [
    ("overview", "", 1220),
    ("examples", "#trial=2&vs=1&show=a", 900),
    ("hyperparameters", "#view=hyperparameters", 900),
]
WIDTH = 1240
#: The experiments of docs/queue.md: with 40 validation examples in the place of 140, after the same 60 to train.
FEWER = ["data.splits.train.limit=100", "split.validation_split=0.4"]
EXPERIMENTS = {
    f"{tuner}-{size}": [f"tuner={tuner}", "search.max_trials=4", *fewer]
    for tuner in ("grid", "random")
    for size, fewer in ((40, FEWER), (140, []))
}
_TERMINAL = "margin:0; padding:18px 22px; background:#fff; color:#1c1c1c; font:14px/1.5 'DejaVu Sans Mono',monospace"


def main() -> None:
    """Write every picture."""
    PICTURES.mkdir(exist_ok=True)
    report = ROOT / "reports" / "report.html"
    if not report.exists():
        raise SystemExit("error: reports/report.html is missing; run: make repro")
    for name, view, height in VIEWS:
        photograph(f"{report.as_uri()}{view}", PICTURES / f"report-{name}.png", WIDTH, height)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        run_experiments(copy)
        table = run(copy, "paretune", "experiments")
        targets = ["--targets", "reports/pareto.json", "--show-vega"]
        plots = run(copy, "dvc", "plots", "diff", *EXPERIMENTS, *targets)
    draw_terminal(f"$ paretune experiments\n{table}", PICTURES / "experiments.png")
    (PICTURES / "plots-diff.png").write_bytes(to_png(json.loads(plots), scale=1.2))
    for path in sorted(PICTURES.glob("*.png")):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


def run_experiments(copy: Path) -> None:
    """Clone the checkout, put the experiments into the queue, and wait until two workers have run them."""
    run(ROOT, "git", "clone", "--quiet", str(ROOT), str(copy))
    run(copy, "git", "checkout", "--quiet", "-B", "main")
    if (ROOT / ".paretune").is_dir():
        shutil.copytree(ROOT / ".paretune", copy / ".paretune")
    for name, values in EXPERIMENTS.items():
        run(copy, "dvc", "exp", "run", "--queue", "-n", name, *(f"--set-param={value}" for value in values))
    run(copy, "dvc", "queue", "start", "--jobs", "2")
    while any(state in (status := run(copy, "dvc", "queue", "status")) for state in ("Queued", "Running")):
        time.sleep(2)
    if "Failed" in status:
        raise SystemExit(f"error: an experiment failed\n{status}")


def run(folder: Path, *command: str) -> str:
    """Run a command; what it prints."""
    who = {f"GIT_{who}_{what}": "docs" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**who, **os.environ, "COLUMNS": "150"}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def draw_terminal(text: str, path: Path) -> None:
    """A text as a terminal shows it."""
    lines = text.rstrip().split("\n")
    with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as page:
        page.write(f'<meta charset="utf-8"><body style="margin:0"><pre style="{_TERMINAL}">{html.escape(text)}</pre>')
        page.flush()
        width = round(44 + 8.5 * max(map(len, lines)))
        photograph(Path(page.name).as_uri(), path, width, 36 + 21 * len(lines))


def photograph(address: str, path: Path, width: int, height: int) -> None:
    """What a browser shows of a page in a window of this size, in light colours."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("error: no Chromium was found; name one in CHROMIUM")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=5000"]
    size = f"--window-size={width},{height}"
    subprocess.run([chromium, *options, size, f"--screenshot={path}", address], check=True, capture_output=True)


if __name__ == "__main__":
    main()
