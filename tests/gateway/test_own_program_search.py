"""A script that uses the openai package and knows nothing of paretune, tuned by the pipeline from search to report."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai_server import Answer, Asked, OpenAIServer, chat, openai_server
from project_copy import ROOT, copy_project

from paretune.commands.compose import compose
from paretune.commands.estimate import report as estimate_report
from paretune.errors import ConfigError
from paretune.files import read_json, read_jsonl
from paretune.lm.ledger.queries import opened
from paretune.stages import check_params, evaluate, materialize, report, search, split

APP = "emotions_app.py"
GOLD = {
    row["text"]: row["label"]
    for part in ("train", "test")
    for row in read_jsonl(ROOT / "data" / "sample" / f"{part}.jsonl")
}
LABELS = ("sadness", "joy", "love", "anger", "fear", "surprise")
OPTIONS = ["--model", "{model}", "--temperature", "{temperature}", "--votes", "{votes}"]
SPACE = {
    "model": {"kind": "choice", "values": ["openai/good", "openai/poor"]},
    "temperature": {"kind": "fixed", "value": 0.5},
    "votes": {"kind": "fixed", "value": 2},
}
#: As the script, without the second that the package takes to load.
ASK = """
import json, os, sys, urllib.request

def ask(model, text):
    body = {"model": model, "temperature": 0, "messages": [{"role": "user", "content": text}]}
    headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
    address = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    with urllib.request.urlopen(urllib.request.Request(address, json.dumps(body).encode(), headers)) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]
"""
LIGHT = f"""{ASK}
import wording

for line in sys.stdin:
    print(json.dumps({{"label": ask(os.environ["OPENAI_MODEL"], json.loads(line)["text"])}}))
"""
FUNCTION = f"""{ASK}
async def answer(example, hyperparameters):
    print("thinking")
    label = ask(hyperparameters["model"], example["text"])
    if label == "fear":
        raise ValueError("too bad")
    return {{"label": label}}
"""


def answer(asked: Asked) -> Answer:
    """The good model is right, the poor one says joy."""
    text = asked.body["messages"][-1]["content"]
    return chat(LABELS[GOLD[text]] if asked.body["model"] == "good" else "joy")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """A project with the script and four validation examples, whose models are on a loopback server."""
    monkeypatch.chdir(tmp_path)
    copy_project(tmp_path)
    shutil.copy(ROOT / "examples" / APP, tmp_path / APP)
    with openai_server() as server:
        server.answer = answer
        compose_own(server)
        for part in ("train", "test"):
            monkeypatch.setattr(sys, "argv", ["materialize", part])
            materialize.main()
        split.main()
        yield server


def compose_own(server: OpenAIServer, **changes: Any) -> None:
    """Write params.yaml; ``changes`` are values by section."""
    own = ["program=own", "search=own", f"program.source={APP}", "tuner=grid", "objective=reward_cost"]
    own += ["program.command=null", "data.splits.train.limit=6", "data.splits.test.limit=3", "report.resamples=100"]
    own += ["lm=openai_compatible", "lm.model=openai/good", f"lm.api_base={server.api_base}"]
    compose(Path.cwd(), own)
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["program"] |= {"command": [sys.executable, APP, *OPTIONS], "workers": 1}
    params["search"]["space"] = SPACE
    params["lm"]["price"] = {"prompt": 1.0, "completion": 2.0}
    for section, values in changes.items():
        params[section] |= values
    Path("params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture
def light(project: OpenAIServer) -> OpenAIServer:
    """The same with a light script, which imports a module of its own."""
    Path("light.py").write_text(LIGHT)
    Path("wording.py").write_text("VALUE = 1\n")
    compose_own(project, program={"command": [sys.executable, "light.py"], "source": "light.py"})
    return project


def test_from_the_search_to_the_report(project: OpenAIServer, own_state: Path) -> None:
    """The better model wins; every call is in the ledger with its trial and example; samples of a vote are drawn; and
    all of it again pays nothing."""
    check_params.main()
    search.main()
    best, run = read_json("data/search/best.json"), read_json("reports/run.json")
    assert best["values"]["model"] == "openai/good"
    assert (run["lm_calls_paid"], len(project.asked)) == (20, 20)  # two models, five examples, two votes
    assert run["spent_usd"] == pytest.approx(20 * (7 + 3 * 2) / 1e6, abs=1e-6)
    trials = list(read_jsonl("data/search/trials.jsonl"))
    assert [(trial["calls"], trial["prompt_tokens"]) for trial in trials] == [(10, 70)] * 2
    with opened(own_state / "ledger.sqlite") as connection:
        rows = connection.execute("SELECT trial, example, COUNT(*) FROM asked GROUP BY trial, example").fetchall()
    assert {tuple(row) for row in rows} == {(trial["trial"], f"val/{n}", 2) for trial in trials for n in range(5)}
    evaluate.main()
    report.main()
    assert read_json("reports/metrics.json")["test"]["reward"] == 1.0
    assert "one word" in Path("data/search/replies.jsonl").read_text()
    sent, before = len(project.asked), Path("data/search/trials.jsonl").read_text()
    shutil.rmtree(own_state / "searches")
    search.main()
    evaluate.main()
    assert (read_json("reports/run.json")["lm_calls_paid"], len(project.asked)) == (0, sent)
    assert _without_times(Path("data/search/trials.jsonl").read_text()) == _without_times(before)
    _predict_again()
    assert len(project.asked) == sent


def _predict_again() -> None:
    """The winner answers the test rows once more, in a process that ends by itself."""
    command = [sys.executable, "-m", "paretune", "predict", "--input", "data/sample/test.jsonl", "--limit", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, len(rows)) == (0, 3), done.stderr
    assert all(row["prediction"]["label"] == LABELS[row["label"]] for row in rows)


def _without_times(text: str) -> list[Any]:
    return [{**json.loads(line), "seconds": None} for line in text.splitlines()]


def test_the_cap_is_exact(light: OpenAIServer) -> None:
    """The search ends with the trials that the cap allows, and goes on when it is raised: nothing is sent twice."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    for cap, stopped in ((7, True), (10, False)):
        Path("params.yaml").write_text(yaml.safe_dump({**params, "budget": {**params["budget"], "calls": cap}}))
        search.main()
        assert (len(light.asked), read_json("reports/run.json")["stopped"]) == (cap, stopped)
    assert len({json.dumps(asked.body) for asked in light.asked}) == 10


def test_a_changed_program_is_another_search(light: OpenAIServer, own_state: Path) -> None:
    """A change in the script, or in what it imports, starts a record of its own; what it asks as before is not paid."""
    for name, text in (("light.py", LIGHT), ("wording.py", "VALUE = 2"), ("light.py", f"{LIGHT}\n# another")):
        Path(name).write_text(text)
        search.main()
    assert len(list((own_state / "searches").glob("*.jsonl"))) == 3
    assert len(light.asked) == 10


def test_a_function(project: OpenAIServer) -> None:
    """A Python function alone, with the hyperparameters as its second argument; what it prints disturbs nothing."""
    Path("own_function.py").write_text(FUNCTION)
    own = {"command": None, "function": "own_function:answer", "source": "own_function.py"}
    compose_own(project, program=own)
    check_params.main()
    search.main()
    records = list(read_jsonl("data/search/trials.jsonl"))
    errors = {outcome["error"] for record in records for outcome in record["replicates"][0]["examples"]}
    assert errors <= {None, "program: ValueError: too bad"}
    assert read_json("data/search/best.json")["values"]["model"] == "openai/good"


def test_the_estimate_says_that_it_guesses(project: OpenAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    """One call an example is counted, and a line says so; nothing is sent."""
    assert "calls          10" in estimate_report(Path.cwd())
    assert "one call an example is estimated" in capsys.readouterr().err
    assert not project.asked


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"program": {"source": "conf"}}, r"program\.source: must be the file .* set it to emotions_app\.py"),
        ({"program": {"command": ["no-such-program"]}}, r"no program 'no-such-program' is found"),
        ({"program": {"command": None}}, r"program\.command: give the words of a command, or program\.function"),
        ({"program": {"command": [sys.executable], "source": "no.py"}}, r"program\.source: no such file"),
        ({"program": {"function": "a:b"}}, r"give one of builder, command and function"),
        ({"program": {"command": None, "function": "nowhere:f"}}, r"no module 'nowhere'"),
        (
            {"evaluate": {"baseline": {"few_shot": 0}}},
            r"evaluate\.baseline\.few_shot: no hyperparameter of search\.space",
        ),
        ({"search": {"space": {"home": {"kind": "boolean"}}}}, r"PARETUNE_HOME is paretune's own"),
    ],
)
def test_what_cannot_be(project: OpenAIServer, changes: dict[str, Any], expected: str) -> None:
    """Told by the first stage, before anything is run."""
    compose_own(project, **changes)
    with pytest.raises(ConfigError, match=expected):
        check_params.main()
