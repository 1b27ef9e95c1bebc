"""``paretune serve`` over a real server on loopback, by HTTP and by OpenAI's own client."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
import uvicorn
from openai_server import OpenAIServer, failure
from pydantic import BaseModel

from paretune.commands.main import main
from paretune.serving.answers import load_serving
from paretune.serving.app import make_app

TOKEN = "token-0123456789"


@contextmanager
def served(path: Path, **options: Any) -> Iterator[str]:
    """The address of a program's service that runs while the block does."""
    config = uvicorn.Config(make_app(load_serving(path), **options), port=0, log_level="critical", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture
def address(program_file: Path) -> Iterator[str]:
    with served(program_file) as found:
        yield found


def called(url: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and JSON of a request; a body that is no bytes is sent as JSON."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_one_input_or_a_list(address: str) -> None:
    """Typed answers in the order of the inputs, with an error in the place of an answer that there is not."""
    status, one = called(f"{address}/predict", {"text": "my parcel"})
    assert status == 200 and set(one) == {"topic", "day"}
    status, many = called(f"{address}/predict", [{"text": "my parcel"}, {"text": "nonsense"}, {"text": "x"}])
    assert status == 200 and many[0] == {"prediction": one, "error": None}
    assert many[1]["prediction"] is None and "has not the form" in many[1]["error"] and many[2]["error"] is None
    assert called(f"{address}/predict", {"text": "nonsense"})[0] == 422
    assert called(f"{address}/predict", []) == (200, [])


def test_the_schema_is_the_task_s(address: str) -> None:
    """Fields, labels and dates of input and output stand in the OpenAPI document, and no page loads anything."""
    _, document = called(f"{address}/openapi.json")
    schemas = document["components"]["schemas"]
    assert schemas["Message"]["properties"]["text"]["type"] == "string"
    assert schemas["Ticket"]["properties"]["topic"]["enum"] == ["order", "refund"]
    assert "date" in json.dumps(schemas["Ticket"]["properties"]["day"])
    assert called(f"{address}/docs")[0] == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [({"txt": "a"}, "text"), ({"text": 3}, "text"), ([{"text": "a"}, {}], "text"), (b"{nonsense", "body"), (7, "body")],
)
def test_a_422_names_the_field(body: Any, field: str, address: str) -> None:
    """What does not fit is told by field, and asks no model."""
    status, told = called(f"{address}/predict", body)
    assert status == 422 and any(field in fault["loc"] for fault in told["detail"])


def test_openais_own_client(address: str) -> None:
    """Models, a completion with the tokens of the calls within, and an answer parsed into the client's own class."""

    class Parsed(BaseModel):
        topic: str
        day: str | None

    client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
    assert [model.id for model in client.models.list()] == ["tickets"]
    messages: list[Any] = [{"role": "system", "content": "ignored"}, {"role": "user", "content": "my parcel"}]
    plain = client.chat.completions.create(model="tickets", messages=messages)
    assert plain.usage is not None and (plain.usage.prompt_tokens, plain.usage.completion_tokens) == (7, 3)
    messages[1]["content"] = json.dumps({"text": "my parcel"})
    parsed = client.chat.completions.parse(model="any", messages=messages, response_format=_closed(Parsed))
    answer = parsed.choices[0].message.parsed
    assert answer is not None and answer.model_dump() == json.loads(plain.choices[0].message.content or "")
    _, direct = called(f"{address}/predict", {"text": "my parcel"})
    assert answer.model_dump() == direct
    messages[1]["content"] = [{"type": "text", "text": "my parcel"}]
    assert client.chat.completions.create(model="m", messages=messages).choices[0].message.content


def _closed(model: type[BaseModel]) -> Any:
    return model


def test_what_openais_client_is_refused(address: str) -> None:
    """Errors in OpenAI's form: streams, several choices, other content, no user, another route."""
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
    user: list[Any] = [{"role": "user", "content": "a"}]
    image: list[Any] = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]
    create: Any = client.chat.completions.create
    for options, message in [
        ({"messages": user, "stream": True}, "stream"),
        ({"messages": user, "n": 2}, "n must be 1"),
        ({"messages": image}, "only text"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "a"}]}, "role user"),
    ]:
        with pytest.raises(openai.BadRequestError, match=message):
            create(model="m", **options)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="m", input="a")
    with pytest.raises(openai.UnprocessableEntityError, match="has no answer"):
        create(model="m", messages=[{"role": "user", "content": "nonsense"}])


def test_a_token_is_demanded(program_file: Path) -> None:
    """Every route but the health needs it, in full."""
    with served(program_file, token=TOKEN) as address:
        assert called(f"{address}/health") == (200, {"status": "ok"})
        for wrong in ("", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \xe4"):
            assert called(f"{address}/predict", {"text": "a"}, Authorization=wrong)[0] == 401
            assert called(f"{address}/openapi.json", Authorization=wrong)[0] == 401
        assert called(f"{address}/predict", {"text": "a"}, Authorization=f"Bearer {TOKEN}")[0] == 200
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=f"{address}/v1", api_key="none").models.list()


def test_errors_tell_nothing_of_the_inside(program_file: Path, upstream: OpenAIServer) -> None:
    """A provider's refusal of the key is the server's business; the client learns that it is none of its own."""
    upstream.answer = failure(401, "Incorrect API key sk-secret provided", code="invalid_api_key")
    with served(program_file) as address:
        status, told = called(f"{address}/predict", {"text": "a"})
    assert status == 503 and "sk-secret" not in json.dumps(told) and upstream.address not in json.dumps(told)


def test_long_bodies_are_refused(address: str) -> None:
    """More than 8 MiB, and more inputs than a request may have."""
    assert called(f"{address}/predict", {"text": "a" * (8 << 20)})[0] == 413
    assert called(f"{address}/predict", [{"text": "a"}] * 1001)[0] == 413


def test_no_more_than_the_limit_at_once(
    program_file: Path, upstream: OpenAIServer, slow_down: Callable[[float], None]
) -> None:
    """Inputs of all requests wait for their turn."""
    slow_down(0.02)
    with served(program_file, concurrency=3) as address, ThreadPoolExecutor(4) as pool:
        bodies = [[{"text": f"{place} {number}"} for number in range(5)] for place in range(4)]
        assert [status for status, _ in pool.map(lambda body: called(f"{address}/predict", body), bodies)] == [200] * 4
    assert upstream.peak == 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--host", "0.0.0.0"], "--token-env"), (["--token-env", "NOT_SET"], "NOT_SET must hold"),
        (["--concurrency", "0"], "at least 1"), (["--port", "70000"], "0 to 65535"),
    ],
)  # fmt: skip
def test_what_cannot_be_served(
    arguments: list[str], expected: str, program_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that says what is missing, before anything listens."""
    with pytest.raises(SystemExit):
        main(["serve", str(program_file), *arguments])
    assert expected in capsys.readouterr().err


def test_a_port_that_is_taken(program_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line that names it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SystemExit):
            main(["serve", str(program_file), "--port", str(port)])
    assert f"cannot listen on 127.0.0.1 port {port}" in capsys.readouterr().err


def test_without_the_extra(
    program_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says what to install."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit):
        main(["serve", str(program_file)])
    assert "paretune[serve]" in capsys.readouterr().err


def test_the_end_waits_for_answers(
    program_file: Path, upstream: OpenAIServer, slow_down: Callable[[float], None], tmp_path: Path
) -> None:
    """The command in an empty folder: SIGTERM lets the answer in flight come, and no file was made."""
    slow_down(1.0)
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = {**os.environ, "OPENAI_API_KEY": "none"}
    environment.pop("PARETUNE_HOME")
    command = [sys.executable, "-m", "paretune", "serve", str(program_file), "--port", "0"]
    with subprocess.Popen(command, env=environment, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if line.startswith("serving tickets at"))
        address = line.split(" at ")[1].split()[0]
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(called, f"{address}/predict", {"text": "a"})
            until = time.monotonic() + 30
            while not upstream.asked and time.monotonic() < until:
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            assert answer.result(30)[0] == 200
        process.stderr.read()
    assert process.returncode == 0 and list(folder.iterdir()) == []
