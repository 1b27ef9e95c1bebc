"""A program as a model behind OpenAI's protocol for chats."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from paretune.prompting.trace import Call
from paretune.schemas.data_model import DataModel
from paretune.schemas.faults import find_faults
from paretune.serving.answers import Answered, Serving

__all__ = ["add_chat"]


class ChatMessage(BaseModel):
    """A message; all but the last one of the role ``user`` is left aside."""

    model_config = ConfigDict(extra="ignore")

    role: str
    content: Any = None


class ChatBody(BaseModel):
    """What is read of a request of OpenAI's protocol: the program has its own options."""

    model_config = ConfigDict(extra="ignore")

    model: str | None = None
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = False
    n: int | None = 1


def add_chat(app: FastAPI, serving: Serving, run: Callable[[DataModel], Awaitable[Answered]]) -> None:
    """``/v1/models`` and ``/v1/chat/completions``; ``run`` answers an input."""
    name, began = serving.program.name, int(time.time())

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        model = {"id": name, "object": "model", "created": began, "owned_by": "paretune"}
        return {"object": "list", "data": [model]}

    @app.post("/v1/chat/completions")
    async def chat(body: ChatBody) -> JSONResponse:
        if body.stream:
            raise HTTPException(400, "stream is not supported: a program's answer comes as a whole")
        if body.n not in (None, 1):
            raise HTTPException(400, "n must be 1: a program gives one answer")
        answered = await run(_last_input(body.messages, serving.input_model))
        if answered.output is None:
            raise HTTPException(422, f"the program has no answer: {answered.error}")
        return JSONResponse(_completion(name, answered), headers={"x-paretune-ignored": "sampling options"})


def _last_input(messages: Sequence[ChatMessage], model: type[DataModel]) -> DataModel:
    """The input that the last message of a user holds: JSON of its fields, or the text of its only one."""
    said = next((each.content for each in reversed(messages) if each.role == "user"), None)
    if isinstance(said, list):  # parts of a message
        parts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in said]
        if None in parts or not all(isinstance(part, str) for part in parts):
            raise HTTPException(400, "messages: only text can be read")
        said = "".join(map(str, parts))
    if not isinstance(said, str):
        raise HTTPException(400, "messages must have one of the role user, with a text")
    names = list(model.model_fields)
    values = _read(said)
    if len(names) == 1 and not (isinstance(values, dict) and names[0] in values):
        values = {names[0]: said}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(str(fault) for fault in find_faults(error, model))
        wanted = f"the last message of the user must be JSON with {', '.join(names)}"
        raise HTTPException(400, f"{wanted}: {faults}") from None


def _read(text: str) -> Any:
    """The JSON value of a text, or the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _completion(name: str, answered: Answered) -> dict[str, Any]:
    message = {"role": "assistant", "content": json.dumps(answered.output, ensure_ascii=False), "refusal": None}
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": name,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": _usage(answered.calls),
    }


def _usage(calls: Sequence[Call]) -> dict[str, int]:
    """The tokens of all calls within."""
    prompt = sum(call.reply.prompt_tokens or 0 for call in calls)
    completion = sum(call.reply.completion_tokens or 0 for call in calls)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
