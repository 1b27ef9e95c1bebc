"""Who holds a reservation: a process, named so that another one with its number is not taken for it."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import time
from pathlib import Path

__all__ = ["is_dead", "this_process"]

#: No call takes this long, in seconds: the answer for processes of other machines, which cannot be looked at from here.
_LONGEST_CALL_S = 3600.0


def this_process() -> str:
    """Machine, start of the machine, number and start of this process."""
    return _name(os.getpid())  # a fork is a process of its own


def is_dead(process: str, since: float) -> bool:
    """Whether the process of a name that ``this_process`` gave has ended; ``since`` (Unix time) is when it gave it."""
    machine, boot, number, started = process.split(" ")
    here, boot_here, *_ = this_process().split(" ")
    if machine != here:
        return time.time() - since > _LONGEST_CALL_S
    return boot != boot_here or _started(int(number)) != started


@functools.lru_cache(maxsize=1)
def _name(number: int) -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = "-"
    return f"{socket.gethostname()} {boot} {number} {_started(number)}"


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
