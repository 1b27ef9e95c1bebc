"""A port on loopback that leads to another one, as far away as it is told: what a network between two machines does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

__all__ = ["slow_link"]


@contextlib.contextmanager
def slow_link(port: int, round_trip_s: float) -> Iterator[int]:
    """The port of a link to ``port`` on which an answer comes ``round_trip_s`` later."""
    begun: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(asyncio.CancelledError, OSError):  # the end of the link, or of a side
            await asyncio.gather(_carry(reader, back, round_trip_s / 2), _carry(there, writer, round_trip_s / 2))
        back.close()
        writer.close()

    async def serve() -> None:
        server, ended = await asyncio.start_server(connected, "127.0.0.1", 0), asyncio.Event()
        begun.set_result((server.sockets[0].getsockname()[1], asyncio.get_running_loop(), ended))
        await ended.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    here, loop, ended = begun.result()
    try:
        yield here
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """Write what is read, each piece after a while, until nothing more comes."""
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def read() -> None:
        piece = b"-"
        while piece:
            piece = await reader.read(1 << 16)
            pieces.put_nowait((time.monotonic() + delay_s, piece))

    reading = asyncio.create_task(read())
    try:
        while (arrived := await pieces.get())[1]:
            await asyncio.sleep(arrived[0] - time.monotonic())
            writer.write(arrived[1])
        writer.write_eof()
    finally:
        reading.cancel()
