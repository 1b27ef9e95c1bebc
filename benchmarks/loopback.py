"""A server on loopback that speaks enough of OpenAI's protocol to be measured against, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

#: The text of every chat; a whole body; or a function from the body of a request to what makes it the same as another
#: one, and the text.
Answer = str | dict[str, Any] | Callable[[bytes], tuple[str, str]]
_ANSWER = '{"label": "joy"}'
_REFUSAL = {"error": {"message": "too many at once"}}
_HEAD_END = b"\r\n\r\n"


def _response(status: str, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(content)}".encode()
    return head + _HEAD_END + content


def _chat(text: str) -> bytes:
    """A chat of OpenAI's."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    more = {"id": "reply", "object": "chat.completion", "created": 0, "model": "echo"}
    return _response("200 OK", {**more, "choices": [choice], "usage": usage})


REFUSED = _response("429 Too Many Requests", _REFUSAL)
NO_CALL = _response("400 Bad Request", {"error": {"message": "only chat completions"}})


class Counts(dict[str, Any]):
    """What the server counted, up to the last ``refresh``."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def refresh(self) -> Counts:
        self._pipe.send("counts")
        self.update(self._pipe.recv())
        return self


class Server:
    """Answers each request with ``answer`` after ``latency_s``; refuses (429)
    what comes while ``most`` are being answered."""

    def __init__(self, latency_s: float, most: int, answer: Answer) -> None:
        self.latency_s, self.most, self.answer = latency_s, most, answer
        self.counts: dict[str, float] = {"requests": 0, "refused": 0, "peak": 0}
        self.distinct: set[str] = set()
        self.in_flight = 0

    def response(self, body: bytes) -> bytes:
        """What answers a request."""
        if isinstance(self.answer, dict):
            return _response("200 OK", self.answer)
        if isinstance(self.answer, str):
            return _chat(self.answer)
        key, text = self.answer(body)
        self.distinct.add(key)
        return _chat(text)


class Client(asyncio.Protocol):
    """One connection; streams would cost several times as much, and the server must not be what is measured."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(_HEAD_END)) >= 0:
            head = self.received[:end].lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            body, end = end + len(_HEAD_END), end + len(_HEAD_END) + length
            if len(self.received) < end:
                return
            request, self.received = self.received[body:end], self.received[end:]
            if request:
                self.answer(request)
            else:
                self.transport.write(NO_CALL)  # is there a server, and does it take the key?

    def answer(self, request: bytes) -> None:
        """Answer a request, in time."""
        server = self.server
        server.counts["requests"] += 1
        if server.in_flight >= server.most:
            server.counts["refused"] += 1
            self.transport.write(REFUSED)
            return
        server.in_flight += 1
        server.counts["peak"] = max(server.counts["peak"], server.in_flight)
        asyncio.get_running_loop().call_later(server.latency_s, self.reply, server.response(request))

    def reply(self, response: bytes) -> None:
        """The answer of a request whose time has come."""
        self.server.in_flight -= 1
        self.transport.write(response)


def _serve(pipe: Connection, latency_s: float, most: int, answer: Answer) -> None:
    async def main() -> None:
        server = Server(latency_s, most, answer)
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(lambda: Client(server), "127.0.0.1", 0, backlog=4096)
        pipe.send(listening.sockets[0].getsockname()[1])
        cpu_s = time.process_time()
        while await loop.run_in_executor(None, pipe.recv):
            counts = {**server.counts, "distinct": len(server.distinct), "cpu_s": time.process_time() - cpu_s}
            pipe.send(counts)

    asyncio.run(main())


@contextmanager
def loopback(latency_s: float, most: int, answer: Answer = _ANSWER) -> Iterator[tuple[str, Counts]]:
    """Run the server; gives its address, and at the end of the block its counts.

    These are requests, refused, peak, cpu_s, and where ``answer`` (a function of a module) tells requests apart,
    distinct; ``counts.refresh()`` brings them up to date before the end.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, latency_s, most, answer), daemon=True)
    process.start()
    counts = Counts(ours)
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1", counts
        counts.refresh()
    finally:
        process.kill()
        process.join()
