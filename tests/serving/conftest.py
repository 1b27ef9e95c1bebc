"""A program's file, and the server that its language model is asked at."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Literal

import openai_server as fake
import pytest
from openai_server import Answer, Asked, OpenAIServer, chat

from paretune import DataModel, Generator, Input, LanguageModel, Program, run_maybe_nested


class Message(DataModel):
    text: str


class Ticket(DataModel):
    topic: Literal["order", "refund"]
    day: date | None = None


def ticket(asked: Asked) -> Answer:
    """An answer that depends on the question; nonsense for one that wants it."""
    content = asked.body["messages"][-1]["content"]
    if "nonsense" in content:
        return chat("I do not know")
    digit = hashlib.sha256(content.encode()).digest()[0]
    return chat(json.dumps({"topic": ["order", "refund"][digit % 2], "day": None if digit % 3 else "2026-03-01"}))


@pytest.fixture
def upstream() -> Iterator[OpenAIServer]:
    with fake.openai_server() as running:
        running.answer = ticket
        yield running


@pytest.fixture
def program_file(upstream: OpenAIServer, tmp_path: Path) -> Path:
    """A program of two typed fields, in an empty folder."""

    async def build() -> Program:
        inputs = Input(Message)
        model = LanguageModel("openai/m", api_base=upstream.api_base, max_attempts=1)
        return Program(inputs, await Generator(Ticket, model, structured_output="native")(inputs), name="tickets")

    folder = tmp_path / "elsewhere"
    folder.mkdir()
    run_maybe_nested(build()).save(folder / "program.json")
    return folder / "program.json"


@pytest.fixture
def slow_down(upstream: OpenAIServer) -> Callable[[float], None]:
    """Makes the server take so many seconds for each of its answers."""

    def slow(seconds: float) -> None:
        upstream.answer = lambda asked: replace(ticket(asked), delay_s=seconds)

    return slow
