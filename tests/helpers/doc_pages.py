"""The blocks of a page of docs/, projects to run its commands in, and a server that answers in the place of a model."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openai_server import Answer, Asked, chat, text

ROOT = Path(__file__).resolve().parents[2]
_WAIT_S = 240


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what stands after that (a file's name), its text, its line in the page."""

    language: str
    name: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = re.finditer(r"^```(\w*) ?([^\n]*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [Block(each[1], each[2], each[3], page.count("\n", 0, each.start()) + 1) for each in found]


def sessions(block: Block) -> Iterator[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines that it prints."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, *lines = part.rstrip().split("\n")
        yield command, lines


def as_shown(shown: list[str], printed: str) -> bool:
    """Whether a command printed what a page shows; a line `…` there stands for any lines."""
    wanted = [".*" if line == "…" else re.escape(line.rstrip()) + "\n" for line in shown]
    got = "".join(f"{line.rstrip()}\n" for line in printed.rstrip().split("\n"))
    return re.fullmatch("".join(wanted), got, re.DOTALL) is not None


class Project:
    """A copy of this project's files as Git sees them, in a repository of its own, with an empty home and no keys."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        home = folder / "home"
        home.mkdir(parents=True)
        self.environment = {
            "HOME": str(home),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
            "LANG": "C.UTF-8",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(home / "site"),
            **{
                f"GIT_{who}_{what}": f"{what}@example.org"
                for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
            # Nothing leaves this machine: what is not on loopback meets a proxy that is not there
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
            **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
        }
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True, capture_output=True, check=True
        )
        for name in filter(lambda name: (ROOT / name).is_file(), listed.stdout.splitlines()):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.root / name)
        self.run("git init --quiet --initial-branch=main")
        self.commit()

    def run(self, script: str, **environment: str) -> str:
        """Run a script of the shell, which ends at the first command that fails; its output."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.root,
            env={**self.environment, **environment},
            text=True,
            capture_output=True,
            timeout=_WAIT_S,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def write(self, block: Block) -> None:
        """Write the file that a block is."""
        (self.root / block.name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / block.name).write_text(block.text, encoding="utf-8")

    def clean(self) -> None:
        """Back to the last commit, but for what Git ignores."""
        self.run("git checkout --quiet . && git clean --quiet -fd")

    def commit(self) -> None:
        """Commit every file."""
        self.run("git add -A && git commit --quiet --message state")

    def change(self, name: str, changes: Mapping[str, str]) -> None:
        """Replace texts of a file, each of which stands there once."""
        path = self.root / name
        found = path.read_text(encoding="utf-8")
        for old, new in changes.items():
            assert found.count(old) == 1, f"{name} has {old!r} {found.count(old)} times"
            found = found.replace(old, new)
        path.write_text(found, encoding="utf-8")

    def wait_for_the_queue(self) -> None:
        """Wait until nothing is queued or running, and fail where an experiment failed."""
        deadline = time.monotonic() + _WAIT_S
        while re.search(r"\b(Queued|Running)\b", status := self.run("dvc queue status")):
            assert time.monotonic() < deadline, status
            time.sleep(5)
        assert "Failed" not in status, status
        self.run("dvc queue stop")


class Answerer:
    """Answers a request about a known text with its label eight of ten times. ``labels`` maps texts to labels."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels

    def __call__(self, asked: Asked) -> Answer:
        prompt = asked.body.get("prompt") or "\n".join(each["content"] for each in asked.body["messages"])
        schema = asked.body.get("response_format", {}).get("json_schema", {}).get("schema")
        label = self._label(prompt)
        if "messages" not in asked.body:
            return text(f" {label}")
        return chat(
            json.dumps({name: self._value(part, label) for name, part in schema["properties"].items()})
            if schema
            else label
        )

    def _label(self, prompt: str) -> str:
        known = sorted(set(self._labels.values()))
        place, asked = max((prompt.rfind(each), each) for each in self._labels)
        if place < 0:  # a judge is asked about an answer, not about a text
            return known[0]
        sure = (len(asked) * 7 + len(prompt) // 60) % 10
        return self._labels[asked] if sure < 8 else known[sure % len(known)]

    def _value(self, part: Mapping[str, Any], label: str) -> Any:
        """A value that a field of the schema takes."""
        if "enum" in part:
            return label if label in part["enum"] else part["enum"][-1]
        return {"string": label, "boolean": True, "integer": 1, "number": 1.0}[part["type"]]
