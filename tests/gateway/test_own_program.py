"""Programs that are other processes: what they get, what becomes of their answers, and how their faults are told."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tweets import Feeling, Tweet, truth, tweets

from paretune import Budget, Input, LanguageModel, Ledger, Program, ScriptedLanguageModel
from paretune.errors import BudgetError, ConfigError, FatalError, TransientError
from paretune.gateway.own_program import Host, OwnProgram
from paretune.lm.ledger.queries import opened
from paretune.lm.types import Price, Request
from paretune.pipeline.sections.program import check_names, variable
from paretune.programs.running import Evaluation
from paretune.rewards import ExactMatch

#: What every program begins with: ``ask(text)`` is the reply of its model.
ASK = """
import json, os, sys, time, urllib.request

def ask(text, **more):
    body = json.dumps({"model": os.environ["OPENAI_MODEL"], "messages": [{"role": "user", "content": text}], **more})
    headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body.encode(), headers)
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]

"""
LOOP = """
for line in sys.stdin:
    print(json.dumps({"label": ask(json.loads(line)["text"], temperature=0)}))
"""


@pytest.fixture
def evaluated(tmp_path: Path) -> Callable[..., Evaluation]:
    """What a program makes of some tweets."""

    def evaluate(code: str, model: LanguageModel, n: int = 4, **options: Any) -> Evaluation:
        return asyncio.run(run(code, tmp_path, model, n, **options))

    return evaluate


async def run(
    code: str,
    folder: Path,
    model: LanguageModel,
    n: int = 4,
    *,
    values: Mapping[str, Any] | None = None,
    workers: int = 2,
    words: Sequence[str] = (),
    **options: Any,
) -> Evaluation:
    script = folder / "app.py"
    script.write_text(ASK + code)
    shared = {"workers": workers, "log": folder / "program.log", "secrets": ["MY_SECRET"], "kept": ["DATABASE_API_KEY"]}
    host = Host(lambda name: model if name == model.model else LanguageModel(name), [model.model], **shared)
    try:
        command = [sys.executable, str(script), *words]
        module = OwnProgram(command, values or {}, Feeling, [model], lambda: host, variable, name="app", **options)
        inputs = Input(Tweet)
        program = Program(inputs, await module(inputs))
        program.compile(reward=ExactMatch())
        return await program.evaluation(*tweets(n))
    finally:
        await host.close()


def knowing(ledger: Ledger | None = None, **options: Any) -> LanguageModel:
    """A model that names the feeling of a tweet."""
    return ScriptedLanguageModel(lambda request: truth(request.messages[-1][1]), ledger=ledger, **options)


def test_a_program_that_loops(evaluated: Callable[..., Evaluation], tmp_path: Path) -> None:
    """A process answers many examples; the calls of each are accounted to it, and cost nothing the second time."""
    model = knowing(Ledger(tmp_path / "ledger.sqlite"), price=Price(1.0, 2.0))
    code = 'print("hello", file=sys.stderr)\n' + LOOP
    first = evaluated(code, model, 12)
    assert first.values["reward"] == 1.0
    assert {(one.calls, one.prompt_tokens, one.completion_tokens, one.cost_usd) for one in first.outcomes} == {
        (1, 2, 1, 4e-6)
    }
    assert evaluated(code, model, 12).outcomes == first.outcomes
    assert model.ledger.session.paid == 12
    assert (tmp_path / "program.log").read_text().count("hello") == 4  # two processes, two evaluations


def test_a_program_that_answers_once(evaluated: Callable[..., Evaluation]) -> None:
    """One that ends after each line is started again for the next one."""
    once = 'print(json.dumps({"label": ask(json.loads(sys.stdin.readline())["text"])}))'
    assert evaluated(once, knowing(), workers=1).values["reward"] == 1.0


def test_what_a_program_finds_in_its_environment(
    evaluated: Callable[..., Evaluation], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The hyperparameters, its model, and no key of a provider but those that it is to keep."""
    for name in ("OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "MY_SECRET", "DATABASE_API_KEY", "OTHER"):
        monkeypatch.setenv(name, "of the person")
    code = 'json.dump(dict(os.environ), open("' + str(tmp_path / "seen.json") + '", "w"))' + LOOP
    values = {"temperature": 0.5, "style": "short", "extra.top_k": 3, "think": True}
    evaluated(code, knowing(), 1, values=values)
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert {name: seen[name] for name in seen if name.startswith("PARETUNE_") and name != "PARETUNE_HOME"} == {
        "PARETUNE_TEMPERATURE": "0.5",
        "PARETUNE_STYLE": "short",
        "PARETUNE_EXTRA_TOP_K": "3",
        "PARETUNE_THINK": "true",
        "PARETUNE_HYPERPARAMETERS": json.dumps(values),
    }
    assert (seen["OPENAI_MODEL"], seen["DATABASE_API_KEY"], seen["OTHER"]) == (
        "scripted/scripted",
        *["of the person"] * 2,
    )
    assert not {"AWS_SECRET_ACCESS_KEY", "MY_SECRET"} & set(seen)
    assert seen["OPENAI_API_KEY"].startswith("sk-paretune-")
    assert "127.0.0.1" in seen["NO_PROXY"]


@pytest.mark.parametrize(
    ("code", "status", "kind", "expected"),
    [
        ('for line in sys.stdin: print("no idea")', "invalid", "malformed", "no JSON object (got 'no idea')"),
        ('for line in sys.stdin: print("[1]")', "invalid", "malformed", "no JSON object"),
        ('for line in sys.stdin: print(\'{"label": "bored"}\')', "invalid", "malformed", "label: must be 'joy' or"),
        ('for line in sys.stdin: print(\'{"feeling": "joy"}\')', "invalid", "malformed", "feeling: unknown field"),
        ('for line in sys.stdin: print(\'{"error": "I tried"}\')', "invalid", "malformed", "app: I tried"),
        ("for line in sys.stdin: raise ValueError(1)", "failed", None, "status 1: ValueError: 1"),
        ("sys.exit(3)", "failed", None, "it ended with status 3"),
        ("for line in sys.stdin: os.kill(os.getpid(), 9)", "failed", None, "it ended with status -9"),
        ("for line in sys.stdin: ask(line) / 2", "invalid", "malformed", "status 1: TypeError:"),
        ("for line in sys.stdin: print()", "invalid", "malformed", "got ''"),
    ],
)
def test_faults_are_outcomes(
    evaluated: Callable[..., Evaluation], code: str, status: str, kind: str | None, expected: str
) -> None:
    """What is no answer is an invalid example, and a crash a failed one unless a reply came before; each keeps its
    reason, and the others go on."""
    found = evaluated(code, ScriptedLanguageModel(lambda request: "odd"), 3)
    for outcome in found.outcomes:
        assert (outcome.status, outcome.kind) == (status, kind)
        assert expected in (outcome.error or "")


def test_an_example_has_limited_time(evaluated: Callable[..., Evaluation]) -> None:
    """One that takes too long fails, its process is ended with all that it started, and the others are answered."""
    code = """
for line in sys.stdin:
    text = json.loads(line)["text"]
    if text == "tweet 1":
        os.system("sleep 60")
    print(json.dumps({"label": ask(text)}))
"""
    found = evaluated(code, knowing(), timeout_s=1.0, workers=1)
    assert [outcome.status for outcome in found.outcomes] == ["ok", "failed", "ok", "ok"]
    assert found.outcomes[1].error == "app: no answer within 1 s"


def test_more_answers_than_lines(evaluated: Callable[..., Evaluation]) -> None:
    """What is printed after an answer is left alone, as long as it cannot be taken for one; then the search stops."""
    code = LOOP + "    print('done')\n    time.sleep(0.05)"
    assert evaluated(code, knowing(), workers=1).values["reward"] == 1.0
    twice = LOOP + '    print(\'{"label": "joy"}\')\n    time.sleep(0.05)'
    with pytest.raises(ConfigError, match="one line in, one line out"):
        evaluated(twice, knowing(), workers=1)


def test_a_crash_takes_no_other_example_along(evaluated: Callable[..., Evaluation]) -> None:
    """After a crash the next example has a new process."""
    code = 'for line in sys.stdin:\n    assert "tweet 1" not in line\n    print(json.dumps({"label": "joy"}))'
    found = evaluated(code, knowing(), workers=1)
    assert [outcome.status for outcome in found.outcomes] == ["ok", "failed", "ok", "ok"]


def swallowing(request: Request) -> str:
    """Fails for one tweet for a passing reason, and for another for good."""
    text = request.messages[-1][1]
    if text == "tweet 1":
        raise TransientError("down")
    return truth(text)


GUESSING = """
for line in sys.stdin:
    try:
        label = ask(json.loads(line)["text"])
    except Exception:
        label = "joy"
    print(json.dumps({"label": label}))
"""


@pytest.mark.parametrize("code", [LOOP, GUESSING])
def test_an_answer_without_a_reply_is_no_answer(evaluated: Callable[..., Evaluation], code: str) -> None:
    """Where no call succeeded the example failed, whether the program gives up or guesses."""
    found = evaluated(code, ScriptedLanguageModel(swallowing, max_attempts=1))
    assert [outcome.status for outcome in found.outcomes] == ["ok", "failed", "ok", "ok"]
    assert found.outcomes[1].error is not None and "down" in found.outcomes[1].error


@pytest.mark.parametrize("code", [LOOP, GUESSING])
def test_what_no_call_can_pass_stops_the_search(evaluated: Callable[..., Evaluation], code: str) -> None:
    """A refused key is raised, whatever the program makes of it; so is the end of a budget."""

    def refusing(request: Request) -> str:
        raise FatalError("bad key")

    with pytest.raises(FatalError, match="bad key"):
        evaluated(code, ScriptedLanguageModel(refusing))


def test_a_model_that_there_is_not_stops_the_search(evaluated: Callable[..., Evaluation]) -> None:
    """A program that names another model, and guesses when that is refused, does not pass for one that answers."""
    code = GUESSING.replace('ask(json.loads(line)["text"])', 'ask(json.loads(line)["text"], model="nonsense")')
    with pytest.raises(FatalError, match="nonsense"):
        evaluated(code, knowing())


def test_the_end_of_a_budget(tmp_path: Path) -> None:
    """A program that guesses when the budget is spent is stopped all the same, and no call passes the cap."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    model = knowing(ledger)

    async def main() -> None:
        with Budget(calls=3, ledger=ledger).charging():
            await run(GUESSING, tmp_path, model, 8)

    with pytest.raises(BudgetError, match=r"budget\.calls=3"):
        asyncio.run(main())
    assert len(model.backend.calls) == 3  # type: ignore[attr-defined]


def test_a_program_may_mend_what_a_model_refuses(evaluated: Callable[..., Evaluation]) -> None:
    """A parameter that is refused is the program's own affair, where another call then succeeds."""

    def picky(request: Request) -> str:
        if request.body is not None and "response_format" in request.body:
            raise FatalError("no such parameter")
        return truth(request.messages[-1][1])

    code = GUESSING.replace('ask(json.loads(line)["text"])', 'ask(json.loads(line)["text"], response_format={})')
    code = code.replace('label = "joy"', 'label = ask(json.loads(line)["text"])')
    assert evaluated(code, ScriptedLanguageModel(picky)).values["reward"] == 1.0


def test_the_ledger_notes_whose_answers_were_invalid(evaluated: Callable[..., Evaluation], tmp_path: Path) -> None:
    """A call is valid when the answer that came of it is."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    evaluated(
        LOOP, ScriptedLanguageModel(lambda request: request.messages[-1][1].replace("tweet 0", "joy"), ledger=ledger)
    )
    ledger.flush()
    with opened(ledger.path) as connection:
        noted = dict(connection.execute("SELECT example, valid FROM asked").fetchall())
    assert noted == {"val/0": 1, "val/1": 0, "val/2": 0, "val/3": 0}


def test_hyperparameters_in_the_command(evaluated: Callable[..., Evaluation], tmp_path: Path) -> None:
    """A program that has options of its own gets the values as these; other braces stay."""
    code = 'open("' + str(tmp_path / "seen") + '", "w").write(" ".join(sys.argv[1:]))' + LOOP
    words = ["--temperature={temperature}", "{style}", "{other}", '{"a": 1}']
    evaluated(code, knowing(), 1, values={"temperature": 0.25, "style": "short"}, words=words)
    assert (tmp_path / "seen").read_text() == '--temperature=0.25 short {other} {"a": 1}'


def test_as_many_processes_as_declared(evaluated: Callable[..., Evaluation]) -> None:
    """The calls in flight are as many as there are processes."""
    model = knowing(latency_s=0.05)
    evaluated(LOOP, model, 9, workers=3)
    assert model.backend.peak == 3  # type: ignore[attr-defined]


def test_a_command_that_there_is_not(tmp_path: Path) -> None:
    """Told as a fault of the configuration, which no example can mend."""
    model = knowing()

    async def main() -> None:
        host = Host(lambda name: model, [model.model], workers=1, log=tmp_path / "log")
        module = OwnProgram(["no-such-program"], {}, Feeling, [model], lambda: host, variable)
        try:
            await module.call(Tweet(text="hello"))
        finally:
            await host.close()

    with pytest.raises(ConfigError, match=r"program\.command: 'no-such-program' cannot be started"):
        asyncio.run(main())


def test_no_process_is_left(evaluated: Callable[..., Evaluation], tmp_path: Path) -> None:
    """At the end all processes have ended."""
    code = f'open("{tmp_path}/" + str(os.getpid()) + ".pid", "w")' + LOOP
    evaluated(code, knowing(), 6, workers=3)
    pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert len(pids) == 3
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["home"], "paretune's own"), (["top_k", "top-k"], "'top_k' as well"), (["hyperparameters"], "paretune's own")],
)
def test_names_that_would_be_one_variable(names: list[str], expected: str) -> None:
    """Hyperparameters have any names, as long as their variables differ."""
    with pytest.raises(ConfigError, match=expected):
        check_names(names)
    check_names(["model", "temperature", "extra.top_k"])
