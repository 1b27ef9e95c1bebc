"""What each way of serving the local model gives: ``python benchmarks/local_model.py [rounds]``.

Two batches of training and a validation of a few-shot trial, as text and as JSON; each way in a process of its own, and
the ways in turn, so that other work on the machine meets them all. Prompt tokens are those that llama.cpp computed.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from paretune.lm.backends import local, local_slots
from paretune.lm.backends.local import LocalBackend
from paretune.lm.backends.local_engine import Share
from paretune.lm.backends.server import ServerBackend
from paretune.lm.options import CallOptions
from paretune.lm.types import Answer, Request
from paretune.lm.usage import cached_tokens

MODEL, SHOTS, BATCH, VALIDATION = "local/smollm2-135m-instruct", 6, 10, 20
LABELS = ("sadness", "joy", "love", "anger", "fear", "surprise")
#: By its name: whether one engine has all threads, whether they spin, whether beginnings are shared, calls in flight.
WAYS = {
    "one engine, spinning": (True, True, False, 4),
    "one engine": (True, False, False, 4),
    "one engine, shared": (True, False, True, 4),
    "an engine a core, shared": (False, False, True, 4),
    "the same, 8 in flight": (False, False, True, 8),
}
#: libgomp's own number where there is a core a thread.
SPINNING = {"GOMP_SPINCOUNT": "300000"}


def batches() -> list[list[Request]]:
    """The requests of each batch: other examples in the training's, the last ones again in the validation."""
    lines = Path("data/sample/train.jsonl").read_text().splitlines()
    rows = [(row["text"], LABELS[row["label"]]) for row in map(json.loads, lines)]
    asked = []
    for form in (_as_text, _as_json):
        for begin, end in ((0, BATCH), (BATCH, 2 * BATCH), (2 * BATCH, 2 * BATCH + VALIDATION)):
            shown = rows[60:][min(begin, BATCH) :][:SHOTS]
            asked.append([form(shown, text) for text, _ in rows[begin:end]])
    return asked


def _as_text(shown: list[tuple[str, str]], text: str) -> Request:
    examples = "".join(f"\n\nText: {text}\nEmotion: {label}" for text, label in shown)
    grammar = "root ::= " + " | ".join(f'<" {label}">' for label in LABELS)
    prompt = f"Classify the emotion of each text.{examples}\n\nText: {text}\nEmotion:"
    options = CallOptions(temperature=0.0, max_tokens=20)
    return Request((("prompt", prompt),), "completion", grammar=grammar, options=options)


def _as_json(shown: list[tuple[str, str]], text: str) -> Request:
    examples = "\n".join(json.dumps({"input": {"text": text}, "output": {"label": label}}) for text, label in shown)
    system = f"Classify the emotion of each text.\n\nExamples:\n{examples}"
    properties = {"label": {"type": "string", "enum": list(LABELS)}}
    schema = {"type": "object", "properties": properties, "required": ["label"], "additionalProperties": False}
    options = CallOptions(temperature=0.0, max_tokens=40)
    return Request((("system", system), ("user", json.dumps({"text": text}))), schema=schema, options=options)


async def measure(slots: int, answers: list[Answer]) -> dict[str, float]:
    """Wall and CPU seconds, tokens computed and generated."""
    backend = LocalBackend(MODEL, slots=slots, timeout_s=3600)
    await backend.prepare()
    places = asyncio.Semaphore(slots)

    async def call(request: Request) -> None:
        async with places:
            await backend.send(request)

    wall, cpu = time.perf_counter(), _cpu()
    for batch in batches():
        await asyncio.gather(*map(call, batch))
    wall, cpu = time.perf_counter() - wall, _cpu() - cpu
    backend.close()
    computed = sum((answer.prompt_tokens or 0) - cached_tokens(answer.usage) for answer in answers)
    return {"wall": wall, "cpu": cpu, "prompt": computed, "reply": sum(a.completion_tokens or 0 for a in answers)}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def one(engine: bool, shared: bool, slots: int) -> None:
    """One way, in this process."""
    answers: list[Answer] = []
    send = ServerBackend.send

    async def noted(self: ServerBackend, request: Request) -> Answer:
        answers.append(await send(self, request))
        return answers[-1]

    ServerBackend.send = noted  # type: ignore[method-assign]
    if engine:
        cores = len(os.sched_getaffinity(0))
        local.division = lambda path, slots: [Share(slots, cores, cores)]
    if not shared:
        local_slots._LONG = sys.maxsize
    print(json.dumps(asyncio.run(measure(slots, answers))))


def main() -> None:
    """Print the best of some rounds of each way."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, (engine, spinning, shared, slots) in WAYS.items():
            command = [sys.executable, __file__, "one", str(int(engine)), str(int(shared)), str(slots)]
            environment = os.environ | (SPINNING if spinning else {})
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
            found[name].append(json.loads(done.stdout))
    print(f"{2 * (2 * BATCH + VALIDATION)} calls, {SHOTS} examples each; load {os.getloadavg()[0]:.1f}")
    for name, runs in found.items():
        wall, cpu = (min(run[each] for run in runs) for each in ("wall", "cpu"))
        print(
            f"{name:34} wall {wall:6.1f} s  CPU {cpu:6.1f} s  "
            f"prompt tokens {runs[0]['prompt']:6,.0f}  of replies {runs[0]['reply']:5,.0f}"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        one(sys.argv[2] == "1", sys.argv[3] == "1", int(sys.argv[4]))
    else:
        main()
