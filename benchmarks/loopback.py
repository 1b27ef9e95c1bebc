"""A server on loopback that speaks enough of OpenAI's protocol to be measured against, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

REPLY = {
    "id": "reply",
    "object": "chat.completion",
    "created": 0,
    "model": "echo",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"label": "joy"}'}}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
}


class Server:
    """Answers each request after ``latency_s``; refuses (429) what comes while ``most`` are being answered."""

    def __init__(self, latency_s: float, most: int) -> None:
        self.latency_s, self.most = latency_s, most
        self.counts = {"requests": 0, "refused": 0, "peak": 0}
        self._now = 0

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                await reader.readexactly(length)
                status, body = await self._answer()
                writer.write(
                    b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                    % (status, len(body), body)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    async def _answer(self) -> tuple[bytes, bytes]:
        self.counts["requests"] += 1
        if self._now >= self.most:
            self.counts["refused"] += 1
            return b"429 Too Many Requests", b'{"error": {"message": "too many at once"}}'
        self._now += 1
        self.counts["peak"] = max(self.counts["peak"], self._now)
        try:
            await asyncio.sleep(self.latency_s)
            return b"200 OK", json.dumps(REPLY).encode()
        finally:
            self._now -= 1


def _serve(pipe: Connection, latency_s: float, most: int) -> None:
    async def main() -> None:
        server = Server(latency_s, most)
        listening = await asyncio.start_server(server.connection, "127.0.0.1", 0)
        pipe.send(listening.sockets[0].getsockname()[1])
        asked = asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        await asked
        pipe.send(server.counts)

    asyncio.run(main())


@contextmanager
def loopback(latency_s: float, most: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run the server; gives its address, and at the end of the block its counts: requests, refused, peak."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, latency_s, most), daemon=True)
    process.start()
    counts: dict[str, Any] = {}
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1", counts
        ours.send("counts")
        counts.update(ours.recv())
    finally:
        process.kill()
        process.join()
