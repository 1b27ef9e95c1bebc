"""An OpenAI-compatible server on loopback that answers as a test tells it, and keeps what it was asked."""

from __future__ import annotations

import json
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


@dataclass
class Asked:
    """One HTTP request that arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Answer:
    """What the server does: a status with a JSON body, after ``delay_s``.

    With ``reset`` it drops the connection instead, with ``cut`` it does so in the middle of the body; with ``hang`` it
    waits until the client gives up.
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    reset: bool = False
    cut: bool = False
    hang: bool = False


def chat(content: str | None, *, usage: Any = USAGE, **message: Any) -> Answer:
    """A chat completion."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content, **message}}
    return Answer(_completion("chat.completion", [choice], usage))


def text(content: str) -> Answer:
    """A text completion."""
    return Answer(_completion("text_completion", [{"index": 0, "finish_reason": "stop", "text": content}], USAGE))


def failure(status: int, message: str, *, code: str | None = None, **headers: str) -> Answer:
    """An error as OpenAI words it."""
    error = {"message": message, "type": "invalid_request_error", "code": code}
    return Answer({"error": error}, status, {name.replace("_", "-"): value for name, value in headers.items()})


def _completion(kind: str, choices: list[dict[str, Any]], usage: Any) -> dict[str, Any]:
    body = {"id": "1", "object": kind, "created": 1, "model": "m", "choices": choices}
    return body if usage is None else {**body, "usage": usage}


class OpenAIServer:
    """``answer`` may be replaced at any time; ``asked`` holds the requests in the order of arrival, ``peak`` the most
    that were in flight at once. ``probed`` has the paths of requests that said nothing, which are no questions and get
    an error; what is in ``absent`` is not there at all."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.probed: list[str] = []
        self.absent: tuple[str, ...] = ()
        self.answer: Answer | Callable[[Asked], Answer] = chat("hello")
        self.address = ""
        self.connections = 0
        self.peak = 0
        self.in_flight = 0
        self.lock = threading.Lock()

    @contextmanager
    def counted(self, asked: Asked) -> Iterator[None]:
        """Note a request, which is in flight while the block lasts."""
        with self.lock:
            self.asked.append(asked)
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
        try:
            yield
        finally:
            with self.lock:
                self.in_flight -= 1

    @property
    def last(self) -> Asked:
        return self.asked[-1]

    @property
    def api_base(self) -> str:
        return f"{self.address}/v1"


@contextmanager
def openai_server(
    state: OpenAIServer | None = None, port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[OpenAIServer]:
    """A server that runs while the block does, on a free port when none is given."""
    state = state or OpenAIServer()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path in state.absent or not content:
                state.probed += [self.path] if not content else []
                found = self.path not in state.absent
                self.reply(failure(400, "no JSON") if found else Answer({"detail": "Not Found"}, 404))
                return
            body = json.loads(content)
            asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            with state.counted(asked):
                answer = state.answer(asked) if callable(state.answer) else state.answer
                time.sleep(answer.delay_s)
                if answer.hang:
                    self.wait_for_the_client()
                elif answer.reset:
                    self.drop()
                else:
                    self.reply(answer)

        def reply(self, answer: Answer) -> None:
            content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if answer.cut else content)
            self.close_connection = self.close_connection or answer.cut

        def drop(self) -> None:
            """Close with a reset (RST) in the place of an orderly end."""
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()

        def wait_for_the_client(self) -> None:
            self.close_connection = True
            while not ended.is_set() and not select.select([self.connection], [], [], 0.05)[0]:
                """The client says nothing more until it hangs up."""

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on the terminal."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def get_request(self) -> Any:
            state.connections += 1
            return super().get_request()

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that went away is what some tests are about."""

    server = Server(("127.0.0.1", port), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state.address = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
