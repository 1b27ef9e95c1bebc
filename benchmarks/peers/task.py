"""The work that every tool is given, and the model that answers it: both follow from numbers alone."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

LABELS = ("north", "east", "south", "west")
INSTRUCTIONS = "Say where the wind in the text comes from. Answer with one word: north, east, south or west."


def text_of(number: int) -> str:
    """An input; its number is what the model knows it by."""
    return f"Report {number:05d}: the flags on the harbour wall all point the same way this morning."


def label_of(number: int) -> str:
    """The right answer."""
    return LABELS[number * 7 % len(LABELS)]


def reply_of(model: str, temperature: float, number: int) -> str:
    """The model's answer: right in a share of the cases that depends on model and temperature."""
    digest = hashlib.sha256(f"{model} {temperature:.2f} {number}".encode()).digest()
    share = 0.5 + 0.1 * (ord(model[-1]) - ord("a")) - 0.1 * temperature
    wrong = LABELS[(LABELS.index(label_of(number)) + 1 + digest[1] % 3) % len(LABELS)]
    return label_of(number) if digest[0] / 256 < share else wrong


def grid(models: int, temperatures: int) -> list[tuple[str, float]]:
    """The configurations that are compared."""
    return [(f"model-{'abcdefgh'[m]}", round(t / 10, 2)) for m in range(models) for t in range(temperatures)]


def accuracies(models: int, temperatures: int, texts: int) -> dict[str, float]:
    """What a tool must find."""
    return {
        f"{model} {temperature}": sum(
            reply_of(model, temperature, number) == label_of(number) for number in range(texts)
        )
        / texts
        for model, temperature in grid(models, temperatures)
    }


def answer(body: bytes) -> tuple[str, str]:
    """Answer a request in the form that it asks for: JSON, DSPy's fields, or the word alone."""
    request: dict[str, Any] = json.loads(body)
    (number,) = re.findall(r"Report (\d{5})", json.dumps(request["messages"]))
    reply = reply_of(request["model"], request["temperature"], int(number))
    key = f"{request['model']} {request['temperature']} {number}"
    if "response_format" in request:
        return key, json.dumps({"label": reply})
    if b"[[ ## label ## ]]" in body:
        return key, f"[[ ## label ## ]]\n{reply}\n\n[[ ## completed ## ]]"
    return key, reply
