"""A small task for the tests: name the feeling of a tweet, with a scripted language model."""

from __future__ import annotations

import json
from typing import Any, Literal

from paretune import DataModel, Field
from paretune.lm.types import Request


class Tweet(DataModel):
    text: str = Field(description="The tweet")


class Feeling(DataModel):
    label: Literal["joy", "fear"] = Field(description="The feeling")


def tweets(n: int, *, start: int = 0) -> tuple[list[Tweet], list[Feeling]]:
    """n different tweets; every second one is joyful."""
    numbers = range(start, start + n)
    return (
        [Tweet(text=f"tweet {number}") for number in numbers],
        [Feeling(label="joy" if number % 2 == 0 else "fear") for number in numbers],
    )


def asked(request: Request) -> dict[str, Any]:
    """The input record of a request in JSON form."""
    record: dict[str, Any] = json.loads(request.messages[-1][1])
    return record


def shown(request: Request) -> list[dict[str, Any]]:
    """The few-shot examples in a request's prompt, in order."""
    _, _, text = request.messages[0][1].partition("Examples:\n")
    return [json.loads(line) for line in text.splitlines()]


def truth(text: str) -> str:
    """The gold label of a tweet."""
    return "joy" if int(text.split()[-1]) % 2 == 0 else "fear"


def reply(label: str, **more: Any) -> str:
    """A reply in JSON form."""
    return json.dumps({**more, "label": label})


def always_right(request: Request) -> str:
    """The script of a model that knows every answer."""
    thinking = {"thinking": "I know"} if "thinking" in (request.schema or {}).get("properties", {}) else {}
    return reply(truth(asked(request)["text"]), **thinking)
