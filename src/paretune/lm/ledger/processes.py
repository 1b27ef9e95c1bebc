"""Who holds a reservation: a process, named so that another one with its number is not taken for it."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import subprocess
import time
from pathlib import Path

__all__ = ["LEASE_S", "is_dead", "this_process"]

#: A process that cannot be looked at from here is dead when it has renewed nothing for so many seconds.
LEASE_S = 20.0


def this_process() -> str:
    """Where this process runs (machine, start of the machine, container), its number, and when it started."""
    return _name(os.getpid())  # a fork is a process of its own


def is_dead(process: str, renewed: float) -> bool:
    """Whether the process of a name that ``this_process`` gave has ended; ``renewed`` (Unix time) is when it was last
    known to live: that tells it of the processes of other machines and containers."""
    place, number, started = process.rsplit(" ", 2)
    if place != this_process().rsplit(" ", 2)[0]:
        return time.time() - renewed > LEASE_S
    return _started(int(number)) != started


@functools.lru_cache(maxsize=1)
def _name(number: int) -> str:
    boot = container = "-"
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        container = os.readlink("/proc/self/ns/pid")  # numbers of processes mean something within it alone
    return f"{socket.gethostname()} {boot} {container} {number} {_started(number)}"


def _started(number: int) -> str | None:
    """When a process began, in whatever unit the system tells it; None where there is none (a zombie is none)."""
    if not Path("/proc/self/stat").exists():  # no Linux
        found = subprocess.run(["ps", "-o", "lstart=", "-p", str(number)], capture_output=True, text=True, check=False)
        return "_".join(found.stdout.split()) or None
    try:
        after_name = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if after_name[0] in "ZX" else after_name[19]
