"""paretune beside inspect_ai, promptfoo, and DSPy with Optuna, on the same calls: ``python benchmarks/peers/run.py``.

A server on loopback answers each call after the same time; each tool compares the same configurations on the same
texts with the same number of calls in flight, in an environment of its own, which is installed into
``--environments`` when it is not there (promptfoo needs npm). While it is measured a tool reaches nothing but loopback,
where ``unshare`` can see to that. The ideal is ``calls * latency / in flight``. Each tool runs one call (its start),
then all calls, then once more with its results deleted and its stored replies kept, then in a new folder until kill -9
at half of the calls, and again. CPU is user and system time of all processes of a tool, the start's subtracted; memory
is the peak of their PSS together.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

import psutil
from loopback import Counts, loopback
from task import INSTRUCTIONS, accuracies, answer, grid, label_of, text_of

HERE = Path(__file__).parent
LATENCY_S = 0.2


class Size(NamedTuple):
    """A grid, the texts, and how many calls may be in flight."""

    models: int
    temperatures: int
    texts: int
    in_flight: int

    @property
    def calls(self) -> int:
        return self.models * self.temperatures * self.texts


SIZES = {12: Size(2, 2, 3, 4), 180: Size(2, 3, 30, 16), 5_000: Size(4, 5, 250, 64)}
TOOLS = ("paretune", "inspect_ai", "dspy", "promptfoo")
QUIET = {
    "OPENAI_API_KEY": "none",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # litellm asks the network for prices otherwise
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "PROMPTFOO_DISABLE_UPDATE": "1",
    "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
    "PROMPTFOO_DISABLE_SHARING": "1",
    "PROMPTFOO_DISABLE_DEBUG_LOG": "1",  # its log ends some long evals with "write after end"
    "PROMPTFOO_DISABLE_ERROR_LOG": "1",
    "PROMPTFOO_FAILED_TEST_EXIT_CODE": "0",
    "DO_NOT_TRACK": "1",
}


class Run(NamedTuple):
    """Of one process tree: seconds, CPU seconds, peak memory in MB, what it found (None: it was killed)."""

    seconds: float
    cpu_s: float
    memory_mb: float
    found: dict[str, float] | None


def install(tool: str, environments: Path) -> list[str] | None:
    """The command that runs a tool, its environment made where it is missing; None: it cannot be made here."""
    script = str(HERE / f"with_{tool}.py")
    if tool == "paretune":
        return [sys.executable, script]
    folder = environments / tool
    if tool == "promptfoo":
        program = folder / "node_modules" / ".bin" / "promptfoo"
        if not program.exists():
            if shutil.which("npm") is None:
                print("promptfoo: left out, npm is missing", file=sys.stderr)
                return None
            shutil.copytree(HERE / "promptfoo", folder, dirs_exist_ok=True)
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, check=True, stdout=sys.stderr)
        return [sys.executable, script, str(program)]
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pins = str(HERE / f"requirements-{tool}.txt")
        subprocess.run([str(python), "-m", "pip", "install", "-q", "--no-deps", "-r", pins], check=True)
        done.touch()
    return [str(python), script]


def tree(process: psutil.Process) -> list[psutil.Process]:
    """A process and all below it."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def memory_mb(process: psutil.Process) -> float:
    """What a process tree holds now: shared pages count once."""
    total = 0
    for each in tree(process):
        with contextlib.suppress(psutil.Error, FileNotFoundError):
            total += each.memory_full_info().pss
    return total / 1e6


def run(command: list[str], task: dict[str, Any], folder: Path, counts: Counts, kill_at: float = float("inf")) -> Run:
    """Run a tool once; with ``kill_at``, all its processes are killed when the server has had so many requests."""
    for name in ("home", "store"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "task.json").write_text(json.dumps(task))
    store = str(folder / "store")
    stores = {"DSPY_CACHEDIR": store, "INSPECT_CACHE_DIR": store, "HOME": str(folder / "home")}
    before, started, peak = counts.refresh()["requests"], time.perf_counter(), 0.0
    arguments = [*command[:2], str(folder / "task.json"), str(folder), *command[2:]]
    with (folder / "out").open("w+") as out, (folder / "log").open("a") as log:
        environment = {"PATH": os.environ["PATH"], **QUIET, **stores}
        process = subprocess.Popen(arguments, stdout=out, stderr=log, env=environment, cwd=folder)
        watched = psutil.Process(process.pid)
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak = max(peak, memory_mb(watched))
            if counts.refresh()["requests"] - before >= kill_at:
                for each in reversed(tree(watched)):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.send_signal(signal.SIGKILL)
            time.sleep(0.02 if kill_at < float("inf") else 0.2)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        out.seek(0)
        lines = out.read().strip().splitlines()
    killed = process.returncode and kill_at < float("inf")
    if process.returncode and not killed:
        raise SystemExit(
            f"error: {command[1]} ended with {process.returncode}:\n{(folder / 'log').read_text()[-2000:]}"
        )
    found = None if killed else json.loads(lines[-1])
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak, found)


def task_of(size: Size, api_base: str) -> dict[str, Any]:
    """What a tool's script reads."""
    configurations = grid(size.models, size.temperatures)
    return {
        "api_base": api_base,
        "models": sorted({model for model, _ in configurations}),
        "temperatures": sorted({temperature for _, temperature in configurations}),
        "instructions": INSTRUCTIONS,
        "rows": [{"text": text_of(number), "label": label_of(number)} for number in range(size.texts)],
        "in_flight": size.in_flight,
    }


def same(found: dict[str, float] | None, size: Size) -> bool:
    """Whether a tool has measured the true accuracies."""
    true = accuracies(*size[:3])
    return found is not None and found.keys() == true.keys() and all(abs(found[k] - true[k]) < 1e-3 for k in true)


def measure(tool: str, command: list[str], size: Size, folder: Path, kill: bool) -> dict[str, Any]:
    """All runs of a tool at one size."""
    one = Size(1, 1, 1, size.in_flight)
    with loopback(LATENCY_S, 10**9, answer) as (api_base, counts):
        start = run(command, task_of(one, api_base), folder / "start", counts)
    with loopback(LATENCY_S, 10**9, answer) as (api_base, counts):
        first = run(command, task_of(size, api_base), folder / "whole", counts)
        asked = dict(counts.refresh())
        shutil.rmtree(folder / "whole" / "results", ignore_errors=True)
        again = run(command, task_of(size, api_base), folder / "whole", counts)
        asked_again = counts.refresh()["requests"] - asked["requests"]
    row: dict[str, Any] = {
        "tool": tool,
        "calls": size.calls,
        "in flight": size.in_flight,
        "x ideal": first.seconds / (size.calls * LATENCY_S / size.in_flight),
        "less start": (first.seconds - start.seconds) / ((size.calls - 1) * LATENCY_S / size.in_flight),
        "CPU ms a call": 1e3 * (first.cpu_s - start.cpu_s) / (size.calls - 1),
        "start s": start.seconds - LATENCY_S,
        "start CPU s": start.cpu_s,
        "MB": first.memory_mb,
        "requests": asked["requests"],
        "peak": asked["peak"],
        "rerun s": again.seconds,
        "rerun CPU s": again.cpu_s,
        "rerun requests": asked_again,
        "same work": same(first.found, size) and same(again.found, size),
    }
    if kill:
        with loopback(LATENCY_S, 10**9, answer) as (api_base, counts):
            run(command, task_of(size, api_base), folder / "killed", counts, kill_at=size.calls / 2)
            half = counts.refresh()["requests"]
            after = run(command, task_of(size, api_base), folder / "killed", counts)
            counts.refresh()
        row["killed after"] = half
        row["repeated"] = counts["requests"] - counts["distinct"]
        row["missing"] = size.calls - counts["distinct"]
        row["same after kill"] = same(after.found, size)
    return row


def shown(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def isolated() -> None:
    """Start this command again where only loopback can be reached."""
    inside = [*sys.orig_argv, "--isolated"]
    shell = 'ip link set lo up && exec "$@"'
    if subprocess.run(["unshare", "-rn", "sh", "-c", shell, "sh", "true"], capture_output=True).returncode == 0:
        os.execvp("unshare", ["unshare", "-rn", "sh", "-c", shell, "sh", *inside])
    print("note: no network namespace here; the tools are only asked to stay on loopback", file=sys.stderr)


def main() -> None:
    """Print a line a tool and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", nargs="*", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--sizes", nargs="*", type=int, choices=list(SIZES), default=[180, 5_000])
    parser.add_argument("--no-kill", action="store_true", help="leave out the runs that are killed")
    parser.add_argument("--environments", type=Path, default=Path.home() / ".cache" / "paretune-peers")
    parser.add_argument("--isolated", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    commands = {tool: install(tool, options.environments.absolute()) for tool in options.tools}
    if not options.isolated:
        isolated()
    for size in (SIZES[calls] for calls in options.sizes):
        for tool, command in commands.items():
            if command is not None:
                with tempfile.TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True) as folder:
                    row = measure(tool, command, size, Path(folder), not options.no_kill)
                print("  ".join(f"{name}: {shown(value)}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
