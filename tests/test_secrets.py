"""No key leaves the environment: not into a file, not onto the terminal, whatever the servers say."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from faulty_server import FaultyServer
from helpers.ledger_rows import stored
from openai_server import OpenAIServer, openai_server

from paretune import run_maybe_nested
from paretune.lm.backends.litellm_errors import load_litellm
from paretune.lm.language_model import LanguageModel
from paretune.pipeline.evaluation import rebuild
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.run_stage import run_stage
from paretune.pipeline.sections.base import read_params
from paretune.stages import evaluate, report, search
from paretune.trials.winner import Best

TESTS = Path(__file__).parent

PARAMS = yaml.safe_load((TESTS.parent / "params.yaml").read_text())
KEY = "sk-test-0123456789abcdef"
PASSWORD = "pass-test-word"
LOGIN = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
#: What the user wrote, and where the secret may stand.
OWN = {".env", "params.yaml"}


@pytest.fixture(scope="module", autouse=True)
def litellm() -> Any:
    """litellm, imported once for the whole page: it takes seconds."""
    return load_litellm()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a few rows of data, in an environment that is put back; retries do not wait."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ.pop("DVC_ROOT", None)
    root = tmp_path / "project"
    os.environ["PARETUNE_HOME"] = str(root / ".paretune")
    for file, count in (("splits/train", 6), ("splits/val", 10), ("materialized/test", 6)):
        rows = [{"x": {"text": f"text {n} of {file}"}, "y": {"label": ["joy", "fear"][n % 2]}} for n in range(count)]
        (root / "data" / file).parent.mkdir(parents=True, exist_ok=True)
        (root / f"data/{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(root)

    async def no_pause(seconds: float) -> None:
        """Wait zero seconds."""

    made = ProgramSetup.language_model

    def without_pauses(self: ProgramSetup, name: str) -> LanguageModel:
        model = made(self, name)
        model.pause = no_pause
        return model

    monkeypatch.setattr(ProgramSetup, "language_model", without_pauses)
    return root


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    """Six of ten requests fail, with errors that repeat the key."""
    faults = dict.fromkeys(("429", "500", "garbage", "empty"), 0.15)
    with openai_server(FaultyServer(lambda prompt: '{"label": "joy"}', 0, faults)) as running:
        assert isinstance(running, FaultyServer)
        yield running


def write_params(root: Path, **lm: Any) -> None:
    """The committed configuration with a server, a small space, and patience."""
    params = {**PARAMS, "lm": {**PARAMS["lm"], "model": "openai/m", "max_attempts": 2, **lm}}
    params["program"] = {**PARAMS["program"], "structured_output": "native"}
    space = {"few_shot": {"kind": "choice", "values": [0, 2]}}
    params["search"] = {**PARAMS["search"], "space": space, "max_failure_rate": 1.0}
    params["evaluate"] = {"baseline": {"few_shot": 0}}
    (root / "params.yaml").write_text(yaml.safe_dump(params))


def run_pipeline(root: Path) -> None:
    """What DVC runs, and a saved program."""
    for stage in (search, evaluate, report):
        run_stage(stage.main)
    best = Best.read("data/search/best.json")
    program = run_maybe_nested(rebuild(ProgramSetup(read_params()), best.values, best.state))
    program.save(root / "reports" / "program.json")


def in_environment(root: Path, server: OpenAIServer) -> None:
    """The provider's own variables."""
    os.environ.update(OPENAI_API_KEY=KEY, OPENAI_BASE_URL=server.api_base)
    write_params(root)


def in_named_variable(root: Path, server: OpenAIServer) -> None:
    """A variable whose name does not sound like a key's."""
    os.environ["MY_CREDENTIALS"] = KEY
    write_params(root, api_base=server.api_base, api_key_env="MY_CREDENTIALS")


def in_env_file(root: Path, server: OpenAIServer) -> None:
    """The project's .env file, named in the configuration."""
    (root / ".env").write_text(f"MY_CREDENTIALS={KEY}\n")
    write_params(root, api_base=server.api_base, api_key_env="MY_CREDENTIALS", env_file=".env")


def in_address(root: Path, server: OpenAIServer) -> None:
    """A user and a password in the address, which become a header of their own."""
    write_params(root, api_base=server.api_base.replace("//", f"//user:{PASSWORD}@"))


PLACES = [in_environment, in_named_variable, in_env_file, in_address]
Place = Callable[[Path, OpenAIServer], None]


def leaks(root: Path, shown: str) -> list[str]:
    """Where a secret can be read."""
    secrets = (KEY, PASSWORD, LOGIN)
    files = [path for path in root.rglob("*") if path.is_file() and path.name not in OWN]
    texts = {str(path): path.read_bytes() for path in files} | {"terminal": shown.encode()}
    for path in root.rglob("ledger.sqlite"):  # it is packed
        texts[f"{path} (calls)"] = json.dumps(stored(path)).encode()
    return [name for name, text in texts.items() if any(secret.encode() in text for secret in secrets)]


@pytest.mark.parametrize("place", PLACES)
def test_a_run_leaves_no_key_behind(
    project: Path, server: FaultyServer, place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    """Search, evaluation, reports and a saved program over a server that repeats the key in its errors."""
    place(project, server)
    run_pipeline(project)
    headers = {asked.headers["authorization"] for asked in server.asked}
    assert headers == {f"Basic {base64.b64encode(f'user:{PASSWORD}'.encode()).decode()}"} or headers == {
        f"Bearer {KEY}"
    }
    assert "***" in (project / "data/search/trials.jsonl").read_text()  # errors came, and would have shown it
    files = {path.name for path in project.rglob("*")}
    assert {"ledger.sqlite", "trials.csv", "program.json", "predictions.jsonl", "metrics.json"} <= files
    shown = capfd.readouterr()
    assert leaks(project, shown.out + shown.err) == []


@pytest.mark.parametrize("place", PLACES)
def test_nor_does_a_run_that_stops(
    project: Path, server: FaultyServer, place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    """The line that says that the key was refused does not show it."""
    server.faults = {"401": 1.0}
    place(project, server)
    with pytest.raises(SystemExit):
        run_stage(search.main)
    shown = capfd.readouterr()
    assert "error: openai/m" in shown.err and "***" in shown.err
    assert leaks(project, shown.out + shown.err) == []
