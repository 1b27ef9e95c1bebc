"""What paretune takes as a ledger, a search and its data grow: ``python benchmarks/growth.py [--replies N …] …``.

Each size has a process of its own, and each line says what one more reply, trial or example took there: bytes, memory,
CPU time. What stays flat from size to size grows no faster than the work. ``--folder`` keeps the ledgers.
"""

from __future__ import annotations

import gc
import hashlib
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import paretune
from paretune.files import canonical_json
from paretune.lm.ledger.attribution import attributed_to
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Reply

SIZES = {"replies": [3_000, 30_000], "trials": [100, 1_000], "examples": [1_000, 10_000]}
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


def measure_ledger(replies: int, folder: Path) -> None:
    """One line of what a reply takes in a ledger of so many."""
    path = folder / str(replies) / "ledger.sqlite"
    put = 0.0 if path.exists() else fill(path, replies)
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
    age = max(1, int(time.time() - path.stat().st_mtime) + 1)
    one = chosen[0][:12]
    shown = [
        [],
        ["--slow"],
        [one],
        ["--search", "0" * 16, "--trial", "3"],
        ["--since", f"{age}s"],
        ["--export", str(target)],
    ]
    seconds = [command(path, *map(str, arguments)) for arguments in shown]
    pruned = command(path, "--prune", "0s", "--model", "openai", "--yes")
    target.unlink()
    print(
        f"{replies:>11,} {size / replies:6.0f} B {1e6 * put / replies:7.0f} {1e3 * opening:7.1f} "
        f"{1e6 * cold:6.0f} {1e6 * warm:6.0f} "
        + " ".join(f"{cpu:7.2f} s {mib:4.0f} MB" for cpu, mib in (*seconds, pruned)),
        flush=True,
    )


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


def measure_search(kind: str, trials: int, examples: int, folder: Path, per: int) -> None:
    """One line of what a search takes, for each of ``per`` trials or examples."""
    folder = folder / f"{kind}-{trials}-{examples}"
    folder.mkdir()
    some = texts(0, 12)
    x = [Question(text=next(some)) for _ in range(examples)]
    data = {"x": x[:2], "y": [Answer(label="joy")] * 2, "validation_data": (x, [Answer(label="joy")] * examples)}
    base, cells = peak_mib(), []

    def step(what: Callable[[], object]) -> None:
        seconds = timed(what)
        cells.append(f"{1e3 * seconds / per:8.3f} ms {peak_mib() - base:5.0f} MB")

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
    print(f"{per:>11,} {written / per:6.0f} B {page / per:6.0f} B " + " ".join(cells), flush=True)
