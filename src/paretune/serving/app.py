"""A program as an HTTP service: typed by its own data models, and as a model behind OpenAI's protocol.

Errors tell what the client can mend; what else goes wrong is in the log of the server alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Union

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from starlette.exceptions import HTTPException as AnyHTTPException

from paretune.errors import BudgetError, ParetuneError
from paretune.eventloop import map_ordered
from paretune.prompting.trace import Call
from paretune.schemas.data_model import DataModel
from paretune.schemas.faults import find_faults, shown
from paretune.serving.answers import Answered, Serving, answer
from paretune.serving.limits import BodyLimit

__all__ = ["make_app"]

_LOG = logging.getLogger(__name__)
#: The most inputs of one request.
_MOST_INPUTS = 1_000


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


def make_app(serving: Serving, *, token: str | None = None, concurrency: int = 64) -> FastAPI:
    """The service of a program.

    With a ``token`` every request but ``/health`` must bring it (``Authorization: Bearer …``). At most ``concurrency``
    inputs are answered at a time, over all requests; the others wait.
    """
    program = serving.program

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await serving.close()

    app = FastAPI(
        lifespan=lifespan, title=program.name, version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json"
    )
    app.add_middleware(BodyLimit)
    began, turn = int(time.time()), asyncio.Semaphore(concurrency)

    async def run(record: DataModel) -> Answered:
        async with turn:
            try:
                return await answer(program, record)
            except BudgetError:
                raise HTTPException(429, "the budget of this service is spent") from None
            except ParetuneError as error:
                _LOG.error("no language model can be called: %s", error)
                raise HTTPException(503, "no language model can be called; the log of the service says why") from None

    @app.middleware("http")
    async def admit(request: Request, handle: Callable[[Request], Awaitable[Any]]) -> Any:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token is None or request.url.path == "/health" or hmac.compare_digest(given.encode(), token.encode()):
            return await handle(request)
        return _refusal(request, 401, "the header Authorization must be: Bearer, and the token of this service")

    _add_errors(app)
    _add_predict(app, serving, run)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        model = {"id": program.name, "object": "model", "created": began, "owned_by": "paretune"}
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
        return JSONResponse(_completion(program.name, answered), headers={"x-paretune-ignored": "sampling options"})

    return app


def _add_predict(app: FastAPI, serving: Serving, run: Callable[[DataModel], Awaitable[Answered]]) -> None:
    """``/predict``: one input, or a list of them; its types are the task's."""
    taken, given = serving.input_model, serving.output_model
    fields: dict[str, Any] = {"prediction": (given | None, None), "error": (str | None, None)}
    row: Any = create_model(f"{given.__name__}OrError", **fields)
    inputs: Any = Union[taken, list[taken]]  # type: ignore[valid-type]  # noqa: UP007
    outputs: Any = Union[given, list[row]]  # noqa: UP007

    async def predict(body: Any) -> Any:
        if not isinstance(body, list):
            answered = await run(body)
            if answered.output is None:
                raise HTTPException(422, f"the program has no answer: {answered.error}")
            return JSONResponse(answered.output)
        if len(body) > _MOST_INPUTS:
            raise HTTPException(413, f"a request may have {_MOST_INPUTS:,} inputs (got {len(body):,})")
        return JSONResponse([_row(each) for each in await map_ordered(run, body, 256)])

    predict.__annotations__ = {"body": inputs, "return": outputs}
    app.post("/predict", response_model=outputs)(predict)


def _row(answered: Answered) -> dict[str, Any]:
    return {"prediction": answered.output, "error": answered.error}


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


def _refusal(request: Request, status: int, message: str, **more: Any) -> JSONResponse:
    """An error, in OpenAI's form where its clients ask."""
    if not request.url.path.startswith("/v1/"):
        return JSONResponse({"detail": more.get("detail", message)}, status)
    kind = "invalid_request_error" if status < 500 else "server_error"
    code = "invalid_api_key" if status == 401 else None
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return JSONResponse(body, status, {"x-should-retry": "false"})


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(AnyHTTPException)
    async def told(request: Request, error: AnyHTTPException) -> JSONResponse:
        return _refusal(request, error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = [
            {
                "loc": list(fault["loc"]),
                "msg": fault["msg"],
                "type": fault["type"],
                "got": shown(fault.get("input"), 100),
            }
            for fault in error.errors()
        ]
        words = "; ".join(f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}" for fault in faults)
        return _refusal(request, 400 if request.url.path.startswith("/v1/") else 422, words, detail=faults)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return _refusal(request, 500, "an error of the service, which is in its log")
