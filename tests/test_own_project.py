"""A project made by `paretune init`, run by DVC from file to picture, with a server on loopback as the model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from openai_server import chat, openai_server


@pytest.mark.slow
def test_from_a_file_to_a_picture_by_the_commands_that_are_told(tmp_path: Path) -> None:
    """init, compose, dvc repro: reports and picture; the project's own test passes; a second run does nothing; an
    experiment with another tuner of the package runs and is listed."""
    topics = ("Billing", "Delivery", "Account")
    rows = "".join(f"Customer {n} writes about {topics[n % 3]};{topics[n % 3]}\n" for n in range(45))
    (tmp_path / "raw.csv").write_text(f"Message text;Topic\n{rows}", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PARETUNE_"))}
    environment |= {
        "HOME": str(tmp_path),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(tmp_path / "site"),
        "GIT_CONFIG_COUNT": "2",
        **{"GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "A"},
        **{"GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": "a@example.org"},
    }

    def run(*command: str, cwd: Path = tmp_path / "mine") -> str:
        done = subprocess.run(
            command, cwd=cwd, env=environment, text=True, capture_output=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    with openai_server() as server:
        server.answer = chat('{"label": "Billing"}')
        run("paretune", "init", "mine", "--data", "raw.csv", cwd=tmp_path)
        config = tmp_path / "mine/conf/config.yaml"
        text = config.read_text(encoding="utf-8").replace("- lm: local", "- lm: openai_compatible")
        config.write_text(f"{text}\nlm: {{model: openai/small, api_base: {server.api_base}}}\n", encoding="utf-8")
        run("paretune", "compose", "experiment=fast")
        assert "'report'" in run("dvc", "repro")
        reports = tmp_path / "mine/reports"
        assert (reports / "pareto.png").read_bytes().startswith(b"\x89PNG")
        metrics = json.loads((reports / "metrics.json").read_text())
        assert metrics["test"]["reward"] == pytest.approx(1 / 3, abs=0.1)
        asked = len(server.asked)
        assert "Running stage 'search'" not in run("dvc", "repro") and len(server.asked) == asked
        run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
        run("git", "add", ".")
        run("git", "commit", "--quiet", "-m", "First run")
        run("dvc", "exp", "run", "-S", "experiment=fast", "-S", "tuner=random", "-S", "search.seed=3", "-n", "drawn")
        assert "drawn" in run("paretune", "experiments")
        assert "fault" not in run("paretune", "doctor")
