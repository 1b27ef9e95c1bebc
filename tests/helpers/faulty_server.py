"""An OpenAI-compatible server on loopback that fails as real ones do, the same way for the same seed."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping

from openai_server import Answer, Asked, OpenAIServer, chat, failure, text

__all__ = ["FaultyServer", "INFRASTRUCTURE"]

#: The faults that may pass. ``garbage`` is a body that is no JSON, ``empty`` a JSON object without choices.
INFRASTRUCTURE = ("429", "500", "503", "timeout", "reset", "cut", "garbage", "empty")


class FaultyServer(OpenAIServer):
    """Answers with ``script(prompt)`` (the text of the last message), or with a fault.

    Parameters
    ----------
    script
        The reply to a prompt.
    seed
        Which fault a request meets depends on the seed, the request's content and how often that content came before,
        and on nothing else: not on the order in which requests arrive.
    faults
        The share of the requests that meets each fault: those of ``INFRASTRUCTURE``, an HTTP status such as ``401``,
        ``schema`` (a reply that does not validate) and ``slow`` (ten times the latency).
    latency_s
        Seconds that an answer takes.

    Every error repeats the Authorization header that came, as careless servers do. ``tries`` counts the requests by
    content, ``met`` the faults by name.
    """

    def __init__(
        self,
        script: Callable[[str], str],
        seed: int = 0,
        faults: Mapping[str, float] | None = None,
        latency_s: float = 0.0,
    ) -> None:
        super().__init__()
        self.script = script
        self.seed = seed
        self.faults = dict(faults or {})
        self.latency_s = latency_s
        self.tries: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self.answer = self._answer

    def _answer(self, asked: Asked) -> Answer:
        content = json.dumps([asked.path, asked.body], sort_keys=True)
        with self.lock:
            self.tries[content] += 1
            fault = self._fault(f"{self.seed} {self.tries[content]} {content}")
            self.met[fault] += 1
        answer = self._faulty(fault, asked)
        answer.delay_s = self.latency_s * (10 if fault == "slow" else 1)
        return answer

    def _fault(self, place: str) -> str:
        drawn = random.Random(place).random()
        for fault, share in self.faults.items():
            drawn -= share
            if drawn < 0:
                return fault
        return ""

    def _faulty(self, fault: str, asked: Asked) -> Answer:
        echo = f"not now; you sent {asked.headers.get('authorization')}"
        if fault == "timeout":
            return Answer(hang=True)
        if fault == "reset":
            return Answer(reset=True)
        if fault == "garbage":
            return Answer(f"<html>{echo}</html>".encode())
        if fault == "empty":
            return Answer({"detail": echo})
        if fault.isdigit():
            return failure(int(fault), echo, Retry_After="0")
        is_chat = "messages" in asked.body
        prompt = asked.body["messages"][-1]["content"] if is_chat else asked.body["prompt"]
        content = "I would rather not say." if fault == "schema" else self.script(prompt)
        reply = chat(content) if is_chat else text(content)
        reply.cut = fault == "cut"
        return reply
