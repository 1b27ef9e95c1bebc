"""A server on loopback that speaks enough of OpenAI's protocol to be measured against, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

Answer = str | dict[str, Any]
_ANSWER = '{"label": "joy"}'
_REFUSAL = {"error": {"message": "too many at once"}}
_HEAD_END = b"\r\n\r\n"


def _response(status: str, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(content)}".encode()
    return head + _HEAD_END + content


def _reply(answer: Answer) -> bytes:
    """A chat of OpenAI's with a text; a whole body as it is."""
    if isinstance(answer, dict):
        return _response("200 OK", answer)
    message = {"role": "assistant", "content": answer}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    more = {"id": "reply", "object": "chat.completion", "created": 0, "model": "echo"}
    return _response("200 OK", {**more, "choices": [choice], "usage": usage})


REFUSED = _response("429 Too Many Requests", _REFUSAL)


class Server:
    """Answers each request with ``answer`` (the text of a chat, or a whole body) after ``latency_s``; refuses (429)
    what comes while ``most`` are being answered."""

    def __init__(self, latency_s: float, most: int, answer: Answer) -> None:
        self.latency_s, self.most, self.reply = latency_s, most, _reply(answer)
        self.counts: dict[str, float] = {"requests": 0, "refused": 0, "peak": 0}
        self.in_flight = 0


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
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            end += len(_HEAD_END) + length
            if len(self.received) < end:
                return
            self.received = self.received[end:]
            self.answer()

    def answer(self) -> None:
        """Answer a request, in time."""
        server = self.server
        server.counts["requests"] += 1
        if server.in_flight >= server.most:
            server.counts["refused"] += 1
            self.transport.write(REFUSED)
            return
        server.in_flight += 1
        server.counts["peak"] = max(server.counts["peak"], server.in_flight)
        asyncio.get_running_loop().call_later(server.latency_s, self.reply)

    def reply(self) -> None:
        """The answer of a request whose time has come."""
        self.server.in_flight -= 1
        self.transport.write(self.server.reply)


def _serve(pipe: Connection, latency_s: float, most: int, answer: Answer) -> None:
    async def main() -> None:
        server = Server(latency_s, most, answer)
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(lambda: Client(server), "127.0.0.1", 0, backlog=4096)
        pipe.send(listening.sockets[0].getsockname()[1])
        cpu_s = time.process_time()
        await loop.run_in_executor(None, pipe.recv)
        pipe.send({**server.counts, "cpu_s": time.process_time() - cpu_s})

    asyncio.run(main())


@contextmanager
def loopback(latency_s: float, most: int, answer: Answer = _ANSWER) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run the server; gives its address, and at the end of the block its counts: requests, refused, peak, cpu_s."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, latency_s, most, answer), daemon=True)
    process.start()
    counts: dict[str, Any] = {}
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1", counts
        ours.send("counts")
        counts.update(ours.recv())
    finally:
        process.kill()
        process.join()
