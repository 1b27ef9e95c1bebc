"""What paretune takes as a ledger, a search and its data grow: ``python benchmarks/growth.py``.

    python benchmarks/growth.py --replies 10000 1000000 --trials 100 10000 --examples 1000 100000
    python benchmarks/growth.py --replies 250000 --copies 40 --trials --examples

A line a size, each from a process of its own: what one more reply, trial or example takes there in bytes, and in CPU
time. The last line of a table has the ratios of its last size to its first: what stays near 1 grows as the work does.
Memory is that at the end of a step, above what the process had before the search. With ``--copies`` a ledger has its
rows so many times, with other keys and searches, which SQLite writes faster than replies arrive.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import json
import os
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import paretune
from paretune.files import canonical_json
from paretune.lm.ledger.attribution import attributed_to
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Reply

SIZES = {"replies": [3_000, 30_000], "trials": [100, 500], "examples": [1_000, 5_000]}
STEPS = [f"{what} {unit}" for what in ("search", "resume", "report") for unit in ("ms", "MB")]
HEADS = {
    "replies": ["bytes", "put us", "open ms", "get us", "again us"]
    + [f"{what} {unit}" for what in ("list", "slowest", "one", "trial", "export", "prune") for unit in ("s", "MB")],
    "trials": [
        "record B",
        "page B",
        *(f"{what} {unit}" for what in ("search", "resume", "report") for unit in ("ms", "MB")),
    ],
}
HEADS["examples"] = HEADS["trials"]
#: Requests that share their instructions and examples, as those of a trial do.
SHARED = 500
EMOTIONS = ["sadness", "joy", "love", "anger", "fear", "surprise"]
HITS = 2_000


def peak_mib() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(what: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    gc.collect()
    started = time.process_time()
    what()
    return time.process_time() - started


# The ledger.


def texts(seed: int, words: int) -> Iterator[str]:
    """Texts of so many words, the frequent ones most often, as in a language."""
    rng = random.Random(seed)
    letters = "etaoinshrdlucmfwypvbgk"
    known = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(3_000)]
    weights = [1 / (place + 3) for place in range(len(known))]
    while True:
        yield " ".join(rng.choices(known, weights, k=words))


def calls(seed: int) -> Iterator[tuple[str, str, Reply]]:
    """Keys, requests and replies as of a classifier that thinks first, asked with six examples."""
    inputs, thoughts, rng = texts(seed, 16), texts(seed + 1, 22), random.Random(seed)
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "thinking": {"type": "string", "description": "Think step by step before you answer"},
            "label": {"type": "string", "enum": EMOTIONS, "description": "The one label that fits best"},
        },
        "required": ["thinking", "label"],
    }
    asked: dict[str, Any] = {"model": "openai/small", "endpoint": None, "schema": schema, "schema_name": "Answer"}
    while True:
        shown = [
            canonical_json({"input": {"text": next(inputs)}, "output": {"label": rng.choice(EMOTIONS)}})
            for _ in range(6)
        ]
        system = "\n".join(["Classify the emotion of each text.", "", "Examples:", *shown])
        for _ in range(SHARED):
            messages = [["system", system], ["user", canonical_json({"text": next(inputs)})]]
            request = canonical_json({**asked, "messages": messages, "max_tokens": 256, "temperature": 0.0})
            text = canonical_json({"thinking": next(thoughts), "label": rng.choice(EMOTIONS)})
            prompt, completion = len(request) // 4, len(text) // 4
            usage = {"completion_tokens": completion, "prompt_tokens": prompt, "total_tokens": prompt + completion}
            usage["prompt_tokens_details"] = {"cached_tokens": prompt // 128 * 128}  # type: ignore[assignment]
            price = {"prompt": 0.15, "completion": 0.6}
            cost = (0.15 * prompt + 0.6 * completion) / 1e6
            latency = round(rng.lognormvariate(0, 0.4), 4)
            key = hashlib.sha256(request.encode()).hexdigest()
            reply = Reply(text, prompt, completion, cost, latency, 1, "stop", False, key, "openai/small", usage, price)
            yield key, request, reply


def fill(path: Path, replies: int) -> float:
    """Put so many replies, each asked for once; CPU seconds."""
    ledger = Ledger(path)
    source, spent = calls(0), 0.0
    for number in range(replies):
        key, request, reply = next(source)
        began = time.process_time()
        reply = ledger.put(key, "openai/small", request, reply)
        with attributed_to(search=f"{number // 100_000:016x}", trial=f"{number // SHARED:04}", example=f"val/{number}"):
            ledger.note(reply, "generator", valid=True)
        spent += time.process_time() - began
    ledger.close()
    return spent


def multiply(path: Path, replies: int, copies: int) -> None:
    """Have the rows of a ledger so many times."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        calls, notes = (
            [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
            for table in ("replies", "notes")
        )
        other = {"id": "id + :first", "key": "randomblob(32)", "reply": "reply + :first", "search": ":search"}
        for copy in range(1, copies):
            search = connection.execute("INSERT INTO names (name) VALUES (?)", [f"{copy + 1_000:016x}"]).lastrowid
            values = {"first": copy * replies, "search": search, "last": replies}
            for table, names, place in (("replies", calls, "id"), ("notes", notes, "reply")):
                chosen = ", ".join(other.get(name, name) for name in names)
                connection.execute(f"INSERT INTO {table} SELECT {chosen} FROM {table} WHERE {place} <= :last", values)
            connection.commit()


def measure_ledger(replies: int, folder: Path, copies: int) -> list[float]:
    """What a reply takes in a ledger of so many, and the commands that look into it."""
    path = folder / "ledger.sqlite"
    put = fill(path, replies)
    multiply(path, replies, copies)
    size = path.stat().st_size
    opening = timed(lambda: Ledger(path).fact("f"))
    rng = random.Random(1)
    step = max(1, replies // HITS)
    chosen = [key for number, (key, _, _) in zip(range(replies), calls(0), strict=False) if number % step == 0]
    rng.shuffle(chosen)
    ledger = Ledger(path)
    cold, warm = (timed(lambda: [ledger.get(key) for key in chosen]) / len(chosen) for _ in range(2))
    ledger.close()
    target = folder / "export.jsonl"
    of_trial = ["--search", "0" * 16, "--trial", "3"]
    shown = [[], ["--slow"], [chosen[0][:12]], of_trial, ["--export", str(target)]]
    shown += [["--prune", "0s", "--model", "openai", "--yes"]]
    commands = [cell for arguments in shown for cell in command(path, *arguments)]
    return [size / replies / copies, 1e6 * put / replies, 1e3 * opening, 1e6 * cold, 1e6 * warm, *commands]


def command(path: Path, *arguments: str) -> tuple[float, float]:
    """CPU seconds and peak memory (MiB) of ``paretune calls``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "paretune", "calls", *arguments],
        env={**os.environ, "PARETUNE_HOME": str(path.parent)},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, arguments
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


# Searches.


class Question(paretune.DataModel):
    """The input."""

    text: str


class Answer(paretune.DataModel):
    """The output."""

    label: Literal["sadness", "joy", "love", "anger", "fear", "surprise"]


def made_up_tuner(kind: str, trials: int, folder: Path) -> Any:
    """A search whose model answers at once, right as often as its one hyperparameter says."""

    def answer(request: Any) -> str:
        known = random.Random(request.messages[-1][1])
        right = known.random() < 0.3 + 0.6 * request.options.temperature
        return canonical_json({"label": "joy" if right else known.choice(EMOTIONS)})

    model = paretune.ScriptedLanguageModel(answer, ledger=Ledger(folder / "ledger.sqlite"), concurrency=16)

    async def build_program(hp: Any) -> paretune.Program:
        inputs = paretune.Input(data_model=Question)
        temperature = hp.Float("temperature", 0.0, 1.0, step=1 / trials)
        generator = paretune.Generator(data_model=Answer, language_model=model, temperature=temperature)
        program = paretune.Program(inputs=inputs, outputs=await generator(inputs))
        program.compile(metrics=[paretune.metrics.CategoricalF1Score(average="macro", name="f1")])
        return program

    return getattr(paretune.tuners, kind)(
        build_program,
        ["val_reward", "val_tokens_per_request"],
        max_trials=trials,
        directory=folder,
        parallel_trials=2,
        verbose=False,
    )


def measure_search(kind: str, trials: int, examples: int, folder: Path, per: int) -> list[float]:
    """What a search takes, its continuation that finds it finished, and its report, for each of ``per``."""
    some = texts(0, 12)
    x = [Question(text=next(some)) for _ in range(examples)]
    data = {"x": x[:2], "y": [Answer(label="joy")] * 2, "validation_data": (x, [Answer(label="joy")] * examples)}
    base, cells = peak_mib(), []

    def step(what: Callable[[], object]) -> None:
        cells.extend([1e3 * timed(what) / per, peak_mib() - base])

    tuner = made_up_tuner(kind, trials, folder)
    step(lambda: tuner.search(**data))
    (record,) = (folder / "search").glob("*.jsonl")
    written = record.stat().st_size
    again = made_up_tuner(kind, trials, folder)
    step(lambda: again.search(**data))
    assert again.session.paid == 0
    assert record.stat().st_size == written
    step(lambda: paretune.report(again, folder / "reports"))
    page = (folder / "reports" / "report.html").stat().st_size
    return [written / per, page / per, *cells]


def measure(part: str, size: int, options: argparse.Namespace) -> list[float]:
    """The numbers of a size."""
    folder = Path(options.folder)
    if part == "replies":
        return measure_ledger(size, folder, options.copies)
    if part == "trials":
        return measure_search(options.tuner, size, 10, folder, size)
    return measure_search("GridSearch", 2, size, folder, size)


def line(size: str, cells: Sequence[float], heads: Sequence[str]) -> str:
    """A row of a table."""
    return f"{size:>11}" + "".join(f"  {cell:>{len(head)}.3g}" for cell, head in zip(cells, heads, strict=True))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for part, sizes in SIZES.items():
        parser.add_argument(f"--{part}", type=int, nargs="*", default=sizes, metavar="N")
    parser.add_argument("--tuner", default="GridSearch", help="which one runs the trials")
    parser.add_argument("--copies", type=int, default=1, metavar="N", help="of a ledger's rows")
    parser.add_argument("--folder", help="where there is room for the ledgers")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for part, heads in HEADS.items():
        sizes = getattr(arguments, part)
        if arguments.one and sizes:
            return print(json.dumps(measure(part, sizes[0], arguments)))
        rows = []
        print("\n" + f"{part:>11}  " + "  ".join(heads) if sizes else "", flush=True)
        for size in sizes:
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                options = [word for name in SIZES for word in (f"--{name}", *([str(size)] if name == part else []))]
                command = [sys.executable, __file__, *options, "--tuner", arguments.tuner, "--folder", folder, "--one"]
                command += ["--copies", str(arguments.copies)]
                ran = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
            rows.append(json.loads(ran.stdout))
            print(line(f"{size:,}", rows[-1], heads), flush=True)
        if len(rows) > 1:
            print(line("ratio", [b / a if a else float("nan") for a, b in zip(rows[0], rows[-1], strict=True)], heads))


if __name__ == "__main__":
    main()
