"""Recorded replies as the models of a search: rewards, costs and failures are those of the recording."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from paretune.commands import main as commands
from paretune.errors import ConfigError, UsageError
from paretune.estimating.estimate import estimate
from paretune.estimating.spending import Range
from paretune.files import read_json, read_jsonl, write_jsonl
from paretune.lm.ledger.default import default_ledger
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.sections.together import check_together
from paretune.pipeline.tuners import make_tuner
from paretune.stages import evaluate, search
from paretune.trials.store import read_trials

ROOT = Path(__file__).resolve().parents[2]
N = 20
COLUMNS = {"key": "text", "reply": "replies", "latency_s": "seconds"}


def log_row(number: int) -> dict[str, Any]:
    """`good` is always right, `bad` at even numbers; it has no JSON at 4, and no reply at 6."""
    label = "joy" if number % 2 == 0 else "fear"
    bad = None if number == 6 else "I would say joy" if number == 4 else f'```json\n{{"label": "{label}"}}\n```'
    return {
        "text": f"text {number}",
        "replies": {"good": '{"label": "Joy"}', "bad": bad},
        "seconds": {"good": 2.0, "bad": 0.5},
    }


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two recorded models on twenty texts of joy, in an empty project."""
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / ".paretune"))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    for file, numbers in (("splits/train", [0]), ("splits/val", range(N)), ("materialized/test", range(N))):
        rows = [{"x": {"text": f"text {number}"}, "y": {"label": "joy"}} for number in numbers]
        (tmp_path / "data" / file).parent.mkdir(parents=True, exist_ok=True)
        write_jsonl(tmp_path / f"data/{file}.jsonl", rows)
    write_jsonl(tmp_path / "log.jsonl", map(log_row, range(N)))
    found: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    found["lm"] |= {"model": "recorded/bad", "source": "log.jsonl", "recording": COLUMNS}
    found["search"] |= {"space": {"model": {"kind": "choice", "values": ["recorded/*"]}}, "max_trials": None}
    found["objective"]["objectives"] = [{"name": "val_reward", "direction": "max"}]
    found["report"] |= {"resamples": 100}
    found["evaluate"] |= {"human": None}
    return found


def write(params: dict[str, Any]) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params))


def test_a_search_over_a_log(params: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Every model of the file is a trial; a fence and another case are read, a missing reply is a failure, what is
    not recorded is unknown; nothing is paid for, and a second run reads the same."""
    write(params)
    search.main()
    told = capsys.readouterr().err
    assert "40 replies, which are looked up: nothing is sent" in told
    assert "1 of 2 recorded models lack replies, 'bad' the most: 1;" in told
    good, bad = read_trials("data/search/trials.jsonl")
    assert [good.values, bad.values] == [{"model": "recorded/good"}, {"model": "recorded/bad"}]
    assert good.metrics["val_reward"] == 1.0 and good.metrics["val_latency"] == 2.0
    assert bad.metrics["val_reward"] == pytest.approx(8 / 19)  # right at 8 even numbers of the 19 that were recorded
    assert bad.metrics["val_failure_rate"] == 1 / N and bad.metrics["val_invalid_rate"] == pytest.approx(1 / 19)
    failed = bad.outcomes[6]
    assert (failed.status, failed.reward, failed.calls) == ("failed", None, 0)
    assert failed.error is not None and "no reply is recorded for 'text 6'" in failed.error
    for record in (good, bad):
        assert record.prompt_tokens is None and record.cost_usd is None
        assert not {"val_tokens_per_request", "val_cost"} & record.metrics.keys()
    run = read_json("reports/run.json")
    assert run["lm_calls_paid"] == 0 and run["spent_usd"] == 0
    with default_ledger().transaction() as connection:
        assert connection.execute("SELECT COUNT(*) FROM replies").fetchone() == (2 * N - 1,)
    rows = list(read_jsonl("data/search/replies.jsonl"))
    assert rows[0]["replies"] == [['{"label": "Joy"}', None], ['```json\n{"label": "joy"}\n```', None]]
    search.main()
    assert read_trials("data/search/trials.jsonl") == [good, bad]
    evaluate.main()
    assert read_json("reports/detail.json")["gain"]["reward"] == pytest.approx(11 / 19)


def test_other_replies_are_another_model(params: dict[str, Any]) -> None:
    """A changed file is searched anew, and not served from what the ledger knows of the old one."""
    write(params)
    search.main()
    write_jsonl("log.jsonl", [{**log_row(n), "replies": {"good": '{"label": "fear"}'}} for n in range(N)])
    write(params)
    search.main()
    (good,) = read_trials("data/search/trials.jsonl")
    assert good.metrics["val_reward"] == 0.0


def test_replicates_draw_further_replies(params: dict[str, Any]) -> None:
    """Several replies to one text are those of several replicates."""
    rows = [
        {**log_row(n), "replies": {"good": json.dumps({"label": label})}} for label in ("joy", "fear") for n in range(N)
    ]
    write_jsonl("log.jsonl", rows)
    params["lm"]["model"], params["search"]["executions_per_trial"] = "recorded/good", 2
    write(params)
    search.main()
    (good,) = read_trials("data/search/trials.jsonl")
    assert [one.metrics["val_reward"] for one in good.replicates] == [1.0, 0.0]


def test_prices_and_recorded_tokens(params: dict[str, Any]) -> None:
    """Dollars are the tokens of the recording at the declared price, or those that were recorded."""
    rows = [{**log_row(n), "tokens": {"good": 1000, "bad": 2000}, "usd": {"good": 0.5, "bad": 0.25}} for n in range(N)]
    write_jsonl("log.jsonl", rows)
    params["lm"]["recording"] = {**COLUMNS, "prompt_tokens": "tokens", "completion_tokens": "tokens"}
    priced = copy.deepcopy(params)
    priced["lm"]["price"] = {"prompt": 9.0, "completion": 9.0}
    price = {"prompt": 1.0, "completion": 2.0}
    priced["lm"]["models"] = {name: {"price": price} for name in ("recorded/good", "recorded/bad")}
    params["lm"]["recording"]["cost_usd"] = "usd"
    for given, costs in ((priced, [0.003, 0.006]), (params, [0.5, 0.25])):
        given["objective"]["objectives"].append({"name": "val_cost", "direction": "min"})
        write(given)
        check_together(given)
        search.main()
        found = read_trials("data/search/trials.jsonl")
        assert [record.metrics["val_cost"] for record in found] == pytest.approx(costs)
        assert [record.metrics["val_tokens_per_request"] for record in found] == [2000, 4000]


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        ("val_tokens_per_request", "cannot be told: 20 of the 20 replies of 'recorded/good' have none recorded"),
        ("val_cost", "the price of 'recorded/good' is unknown"),
    ],
)
def test_what_is_not_recorded_is_no_objective(params: dict[str, Any], objective: str, words: str) -> None:
    """It is refused before anything is read."""
    params["objective"]["objectives"].append({"name": objective, "direction": "min"})
    write(params)
    with pytest.raises(UsageError) as caught:
        search.main()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("section", "values", "words"),
    [
        ("search", {"space": {"model": {"kind": "choice", "values": ["recorded/*"]}, "few_shot": {"kind": "boolean"}}},
         "vary the model alone"),
        ("search", {"space": {"temperature": {"kind": "choice", "values": [0.0, 1.0]}}}, "vary the model alone"),
        ("program", {"few_shot": 2}, "program.few_shot: has no effect on recorded replies"),
        ("lm", {"recording": None}, "needs the file of its replies: -S lm=recorded -S lm.source=FILE"),
        ("lm", {"recording": {"key": "question"}}, "no column 'question'"),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_refused(params: dict[str, Any], section: str, values: Any, words: str) -> None:
    """A recorded reply depends on the input alone: no other hyperparameter may be searched as if it mattered."""
    params[section] |= values
    if section == "lm":
        params["search"]["space"]["model"]["values"] = ["recorded/good"]
    write(params)
    with pytest.raises(ConfigError) as caught:
        search.main()
    assert words in str(caught.value)


@pytest.mark.parametrize("reply", ["Joy.", "Emotion: joy"])
def test_replies_in_lines(params: dict[str, Any], reply: str) -> None:
    """Replies that are no JSON are read where the program is told so."""
    write_jsonl("log.jsonl", [{**log_row(n), "replies": {"good": reply}} for n in range(N)])
    params["program"]["structured_output"] = "text"
    write(params)
    search.main()
    assert read_trials("data/search/trials.jsonl")[0].metrics["val_reward"] == 1.0


def test_a_field_of_several(params: dict[str, Any]) -> None:
    """Of an input with several fields, the one that replies are looked up by must be named."""
    params["task"]["input"]["fields"]["lang"] = {"type": "str", "description": ""}
    for file in ("splits/train", "splits/val"):
        rows = [{**row, "x": {**row["x"], "lang": "en"}} for row in read_jsonl(f"data/{file}.jsonl")]
        write_jsonl(f"data/{file}.jsonl", rows)
    write(params)
    with pytest.raises(Exception, match=r"name it, recording\.field"):
        search.main()
    params["lm"]["recording"] = {**COLUMNS, "field": "text"}
    write(params)
    search.main()
    assert read_trials("data/search/trials.jsonl")[0].metrics["val_reward"] == 1.0


def test_the_experiment_of_the_sample() -> None:
    """The experiment names columns and models that its file has."""
    lm = yaml.safe_load((ROOT / "conf/experiment/recorded.yaml").read_text())["lm"]
    base = yaml.safe_load((ROOT / "conf/lm/recorded.yaml").read_text())
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    recording = {**base["recording"], **lm["recording"]}
    params["lm"] = {**params["lm"], **lm, "source": str(ROOT / lm["source"]), "recording": recording}
    params["search"]["space"] = {"model": {"kind": "choice", "values": ["recorded/*"]}}
    setup = ProgramSetup(params)
    names = list(setup.space["model"].values)  # type: ignore[union-attr]
    assert lm["model"] in names and len(names) == 3
    assert not any(setup.language_model(name).backend.unmeasured() for name in names)  # type: ignore[attr-defined]


def test_calls_of_unknown_length(
    params: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not recorded is unknown on the console, too, and not 0."""
    write(params)
    search.main()
    capsys.readouterr()
    monkeypatch.setenv("COLUMNS", "200")
    commands.main(["calls"])
    first = capsys.readouterr().out.splitlines()[1].split()
    assert first[3:5] == ["-", "-"]  # tokens and dollars
    commands.main(["calls", first[0]])
    assert "tokens      unknown" in capsys.readouterr().out


def test_an_estimate_with_some_models_recorded(params: dict[str, Any]) -> None:
    """Replies that are looked up are counted apart: the calls are those of the other models."""
    params["search"]["space"]["model"]["values"] = ["recorded/*", "local/smollm2-135m-instruct"]
    setup = ProgramSetup(params)
    x, y = setup.scoring.read("data/splits/train.jsonl")
    fit = {"validation_data": setup.scoring.read("data/splits/val.jsonl"), "epochs": 1, "batch_size": 4}
    found = estimate(make_tuner(params, setup), x, y, **fit)
    assert (found.recorded, found.calls) == (Range(2 * N, 2 * N), Range(N, N))
    assert [share.model for share in found.models] == ["local/smollm2-135m-instruct"]
