"""A PostgreSQL server of its own on loopback, of the machine's own programs."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

__all__ = ["PASSWORD", "PostgresServer", "programs"]

PASSWORD = "not-to-be-seen"


def programs() -> Path | None:
    """Where the server's programs are; None where there are none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class PostgresServer:
    """Started, killed and started again; its files are gone after ``close``."""

    def __init__(self) -> None:
        place = programs()
        assert place is not None, "there is no PostgreSQL on this machine"
        self._programs = place
        self.folder = Path(tempfile.mkdtemp(prefix="paretune-postgres-", dir="/tmp"))  # others' folders may be closed
        if os.getuid() == 0:  # the server refuses to run as root
            shutil.chown(self.folder, "postgres", "postgres")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        how = ["-D", str(self.folder / "data"), "-U", "team", "-A", "scram-sha-256", "--pwfile", str(secret)]
        self._as_user("initdb", *how, "--no-sync", "-E", "UTF8", "--locale=C").wait(60)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def address(self) -> str:
        """Where the database is, with its password."""
        return f"postgresql://team:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        how = {"fsync": "off", "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": ""}
        options = [part for name, value in how.items() for part in ("-c", f"{name}={value}")]
        self._process = self._as_user("postgres", "-D", str(self.folder / "data"), *options)
        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.address, connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None and time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """End the server as a loss of power does."""
        assert self._process is not None
        main = int((self.folder / "data/postmaster.pid").read_text().split()[0])
        os.kill(main, signal.SIGKILL)
        self._process.wait()
        until = time.monotonic() + 20
        while time.monotonic() < until:  # its children end by themselves, and must not hold the data
            found = subprocess.run(["pgrep", "-f", str(self.folder)], capture_output=True, check=False)
            if not found.stdout:
                break
            time.sleep(0.02)
        (self.folder / "data/postmaster.pid").unlink(missing_ok=True)

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """The rows of a statement."""
        with psycopg.connect(self.address, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def empty(self) -> None:
        """Drop all tables at once: somebody may be about to make them again."""
        names = [str(name) for (name,) in self.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        if names:
            self.run(f"DROP TABLE IF EXISTS {', '.join(names)}")

    def close(self) -> None:
        """Stop the server and delete its files."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _as_user(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                [str(self._programs / program), *arguments], stdout=log, stderr=log, cwd=self.folder, **user
            )
