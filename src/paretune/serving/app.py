"""A program as an HTTP service: typed by its own data models, and as a model behind OpenAI's protocol.

Errors tell what the client can mend; what else goes wrong is in the log of the server alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Union

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import create_model
from starlette.exceptions import HTTPException as AnyHTTPException

from paretune.errors import BudgetError, ParetuneError
from paretune.eventloop import map_ordered
from paretune.schemas.data_model import DataModel
from paretune.schemas.faults import shown
from paretune.serving.answers import Answered, Serving, answer
from paretune.serving.chat import add_chat
from paretune.serving.limits import BodyLimit

__all__ = ["make_app"]

_LOG = logging.getLogger(__name__)
#: The most inputs of one request.
_MOST_INPUTS = 1_000


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
    turn = asyncio.Semaphore(concurrency)

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

    add_chat(app, serving, run)
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
