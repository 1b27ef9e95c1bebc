"""Processes of a program of one's own: one JSON line in, one JSON line out, for as long as they live."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import signal
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from paretune.errors import ConfigError
from paretune.gateway.keys import Key
from paretune.schemas.faults import shown

__all__ = ["EndedError", "Worker", "Workers", "is_object"]

#: The longest line of an answer, and how much of the end of its log tells why a process ended, in bytes.
_LONGEST_LINE, _LAST = 16 << 20, 4096
#: A log of so many bytes is put aside, in the place of the one before.
_LONGEST_LOG = 16 << 20
#: What a process may take to end once its input has, in seconds.
_END_S = 5.0

#: How long to look for what was printed after an answer, in seconds.
_UNASKED_S = 0.001

_running: weakref.WeakSet[Worker] = weakref.WeakSet()


def is_object(answer: str) -> bool:
    """Whether a text is a JSON object."""
    try:
        return isinstance(json.loads(answer), dict)
    except (ValueError, RecursionError):
        return False


class EndedError(Exception):
    """A process ended before it answered; the message says how, with the last line of its log."""


class Worker:
    """One process, whose ``key`` it calls language models with. Its stderr goes to the end of the file ``log``."""

    def __init__(self, process: asyncio.subprocess.Process, key: Key, log: Path) -> None:
        self.key = key
        #: How many lines it has answered.
        self.answered = 0
        self._process = process
        self._last = b""
        self._logging = asyncio.create_task(self._log(log))
        _running.add(self)

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str], key: Key, log: Path) -> Worker:
        """Start a process. Raises ConfigError where there is no such program."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # there is none yet, or others write to it
            if log.stat().st_size > _LONGEST_LOG:
                log.replace(log.with_name(f"{log.name}.1"))
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                limit=_LONGEST_LINE,
                start_new_session=True,  # what it starts in turn ends with it
            )
        except OSError as error:
            raise ConfigError(f"program.command: {command[0]!r} cannot be started: {error.strerror or error}") from None
        return cls(process, key, log)

    @property
    def lives(self) -> bool:
        """Whether the process runs."""
        return self._process.returncode is None

    async def answer(self, line: str) -> str:
        """The line that answers a line. Raises EndedError where the process ends instead, and ConfigError where it has
        answered more than it was asked, so that nobody knows which answer belongs to which line."""
        assert self._process.stdin is not None and self._process.stdout is not None
        answer = b""
        while unasked := await self._unasked():
            if is_object(text := unasked.decode(errors="replace").strip()):
                raise ConfigError(
                    "program.command: one line in, one line out, but it printed another JSON object before it was "
                    f"given the next example (got {shown(text, 200)}); print everything else to stderr"
                )
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(f"{line}\n".encode())
            await self._process.stdin.drain()
            try:
                answer = await self._process.stdout.readline()
            except ValueError:
                raise EndedError(f"its answer is longer than {_LONGEST_LINE >> 20} MiB") from None
        if not answer:
            raise EndedError(await self._why())
        self.answered += 1
        return answer.decode(errors="replace").strip()

    async def _unasked(self) -> bytes:
        """A line that was printed since the last answer; empty where there is none."""
        assert self._process.stdout is not None
        with contextlib.suppress(TimeoutError, ValueError):
            async with asyncio.timeout(_UNASKED_S):
                return await self._process.stdout.readline()
        return b""

    async def close(self) -> None:
        """End the process: kindly, then not."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _END_S)
        await self.kill()

    async def kill(self) -> None:
        """End the process, and what it has started, at once."""
        self.kill_now()
        await self._process.wait()
        self._logging.cancel()
        await asyncio.wait([self._logging])
        self._process._transport.close()  # type: ignore[attr-defined]  # else a pipe that a grandchild holds stays open

    def kill_now(self) -> None:
        """As ``kill``, without waiting for the end."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL) if hasattr(os, "killpg") else self._process.kill()

    async def _why(self) -> str:
        """How the process ended."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 1.0)
        await asyncio.wait([self._logging], timeout=1.0)
        last = next(iter(self._last.decode(errors="replace").strip().splitlines()[-1:]), "")
        how = "it closed its output" if self.lives else f"it ended with status {self._process.returncode}"
        return f"{how}{f': {last}' if last else ''}"

    async def _log(self, log: Path) -> None:
        assert self._process.stderr is not None
        with open(log, "ab") as file:
            while part := await self._process.stderr.read(1 << 16):
                file.write(part)
                file.flush()
                self._last = (self._last + part)[-_LAST:]


class Workers:
    """At most ``limit`` processes at once, over all configurations; one that is idle ends where another is needed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._turn = asyncio.Semaphore(limit)
        #: Processes that wait, by what they were started as; the one that has waited longest first.
        self._idle: dict[Worker, str] = {}
        self._leased: set[Worker] = set()

    @contextlib.asynccontextmanager
    async def lease(self, kind: str, start: Callable[[], Awaitable[Worker]]) -> AsyncIterator[Worker]:
        """A process of a kind, for the block alone; one that ``start`` starts where none waits. After an error it is
        ended, since its next line might be the answer to this one."""
        async with self._turn:
            worker = await self._take(kind, start)
            self._leased.add(worker)
            try:
                yield worker
            except BaseException:
                await worker.kill()
                raise
            finally:
                self._leased.discard(worker)
            if worker.lives:
                self._idle[worker] = kind
            else:
                await worker.kill()

    async def _take(self, kind: str, start: Callable[[], Awaitable[Worker]]) -> Worker:
        for worker in [one for one, its in self._idle.items() if its == kind]:
            del self._idle[worker]
            if worker.lives:
                return worker
            await worker.kill()
        while self._idle and len(self._idle) + len(self._leased) >= self._limit:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            await oldest.close()
        return await start()

    async def close(self) -> None:
        """End all processes."""
        idle, self._idle = list(self._idle), {}
        await asyncio.gather(*(worker.close() for worker in idle), *(worker.kill() for worker in self._leased))


@atexit.register
def _end_all() -> None:
    for worker in list(_running):
        if worker.lives:
            worker.kill_now()
