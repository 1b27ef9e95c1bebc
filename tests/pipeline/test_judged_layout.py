"""A judge that conf declares, from conf to reports: rubric, repeated judgements, and people's scores beside them."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from openai_server import Asked, chat, openai_server
from project_copy import ROOT, copy_project

from paretune.commands.compose import compose
from paretune.commands.estimate import report as estimate_report
from paretune.errors import ConfigError, DataError
from paretune.files import read_jsonl, write_jsonl
from paretune.pipeline.human_scores import human_scores
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.scoring import Scoring
from paretune.pipeline.sections.base import read_params, section
from paretune.pipeline.sections.layout import LayoutParams
from paretune.rewards import ExactMatch, LMAsJudge, Weighted
from paretune.stages import check_params, evaluate, materialize, report, search, split

SMALL = ["layout=judged", "search=fast", "tuner=grid", "objective=reward", "report.resamples=100"]
SMALL += ["data.splits.train.limit=20", "data.splits.test.limit=40", "search.space.few_shot.values=[0]"]
SMALL += ["evaluate.baseline=null", "layout.reward.language_model=openai/judge", "+layout.reward.seed=1"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of this project's configuration and sample data, as the current folder."""
    copy_project(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setattr(sys, "argv", ["paretune"])
    return tmp_path / "project"


def is_right(answer: dict[str, str], reference: dict[str, str]) -> bool:
    """What people say of an answer."""
    return answer["text"].startswith(reference["text"])


def answered(asked: Asked) -> Any:
    """The model calls each text joy; the judge gives 1 to 5, around 2 or 4, and wavers by the seed that it is sent."""
    question = asked.body["messages"][-1]["content"]
    given, seed = json.loads(question), asked.body.get("seed")
    if asked.body["model"] != "judge":
        return chat(json.dumps({"text": f"joy: {given['text']}"}))
    usual = 4 if is_right(given["answer"], given["reference"]) else 2
    correct = usual + random.Random(f"{question} {seed}").choice([-1, 0, 0, 1])
    return chat(json.dumps({"correct": correct, "concise": 5}))


def test_from_conf_to_reports(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A search with three judgements an answer makes the calls that were planned; section ``judge`` tells how much the
    judge wavers and, with people's scores of some answers, for no call more, its bias and the corrected reward."""
    with openai_server() as server:
        server.answer = answered
        lm = ["lm=openai_compatible", "lm.model=openai/m", f"lm.api_base={server.api_base}"]
        compose(project, [*SMALL, *lm])
        check_params.main()
        for part in ("train", "test"):
            sys.argv = ["materialize", part]
            materialize.main()
        split.main()
        planned = json.loads(estimate_report(project, [*SMALL, *lm], as_json=True))
        for stage in (search, evaluate, report):
            stage.main()
        run, metrics = (json.loads(Path(f"reports/{name}.json").read_text()) for name in ("run", "detail"))
        validated = len(list(read_jsonl("data/splits/val.jsonl")))
        assert metrics["search"]["lm_calls"] == 4 * validated == run["lm_calls_paid"]
        assert planned["search"]["calls"] == {"low": 4 * validated, "high": 4 * validated}
        assert set(metrics["judge"]) == {"judgements", "judge_sd", "variance_share"}
        assert metrics["judge"]["judgements"] == 3 and 0 < metrics["judge"]["variance_share"] < 1
        answers = list(read_jsonl("data/evaluation/predictions.jsonl"))
        first = answers[0]
        assert len(first["judgements"]) == 3 and first["parts"]["concise"] == 1.0
        assert first["reward"] == pytest.approx((3 * first["parts"]["correct"] + 1) / 4)
        paid = len(server.asked)
        labelled = [{**row, "human": float(is_right(row["output"], row["y"]))} for row in answers[:20]]
        elsewhere = {"x": {"text": "?"}, "output": {"text": "?"}, "human": 1}
        write_jsonl("data/human.jsonl", [*labelled, elsewhere, {**answers[30], "human": None}])
        capsys.readouterr()
        evaluate.main()
        assert len(server.asked) == paid
    assert "1 of 21 scored answers are not the winner's on test" in capsys.readouterr().err
    judge, before = json.loads(Path("reports/detail.json").read_text())["judge"], metrics["test"]["reward"]
    right = [is_right(row["output"], row["y"]) for row in answers]
    assert judge["labelled"] == 20 and judge["bias_lo"] < judge["bias"] < judge["bias_hi"]
    assert judge["bias"] > 0.2 and judge["reward"] == pytest.approx(before - judge["bias"], abs=1e-9)
    assert judge["reward_lo"] <= sum(right) / len(right) <= judge["reward_hi"] < before


def declare(root: Path, reward: str) -> None:
    """A layout of open text with this reward."""
    text = (root / "conf/layout/judged.yaml").read_text()
    before, after = text.index("reward:"), text.index("metrics:")
    (root / "conf/layout/mine.yaml").write_text(f"{text[:before]}reward: {reward}\n{text[after:]}")
    compose(root, ["layout=mine", "lm.concurrency=7"])


def test_a_weighted_reward_in_conf(project: Path) -> None:
    """Its parts are declared like any reward, their judges reached as section lm says."""
    judge = "{name: LMAsJudge, as: style, language_model: openai/judge, judgements: 2, temperature: 0.5}"
    declare(project, f"{{name: Weighted, weights: [3, 1], rewards: [{{name: ExactMatch, in_mask: [text]}}, {judge}]}}")
    reward = ProgramSetup(read_params()).scoring.reward
    assert isinstance(reward, Weighted) and reward.weights == [0.75, 0.25] and reward.calls_per_example == 2
    exact, style = reward.rewards
    assert isinstance(exact, ExactMatch) and isinstance(style, LMAsJudge) and style.name == "style"
    assert (style.language_model.concurrency, style.options.temperature) == (7, 0.5)
    assert Scoring(read_params()).reward.language_models[0].model == "openai/judge"  # as the report knows it


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        ("{name: Weighted, rewards: {name: ExactMatch}}", r"layout\.reward\.rewards: must be a list of rewards"),
        ("{name: Weighted, rewards: [{name: ExactMach}]}", r"layout\.reward\.rewards\.0\.name: must be one of"),
        ("{name: Weighted, rewards: [{name: F1Score, averag: macro}]}", r"rewards\.0: F1Score takes no 'averag'"),
        ("{name: Weighted, rewards: [{name: ExactMatch}], weights: [1, 2]}", "a weight for each"),
        ("{name: Weighted}", "Weighted needs 'rewards'"),
        ("{name: LMAsJudge}", "LMAsJudge needs 'language_model'"),
        ("{name: LMAsJudge, language_model: openai/m, judgements: 0}", "judgements must be a whole number above 0"),
        ("{name: LMAsJudge, language_model: openai/m, rubric: {}}", r"(?s)invalid rubric:.*criteria: missing"),
        ("{name: LMAsJudge, language_model: openai/m, temprature: 1}", "(?s)invalid call options.*temprature"),
    ],
)
def test_what_is_declared_wrongly(project: Path, reward: str, message: str) -> None:
    """With its place, before anything is asked."""
    declare(project, reward)
    with pytest.raises(ConfigError, match=message):
        ProgramSetup(read_params())


def test_code_of_ones_own_inside_of_a_weighted_reward_must_be_watched(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first stage looks for it there, too, and a file that DVC does not watch is refused."""
    (project / "mine.py").write_text("def half(y_true, y_pred):\n    return 0.5\n")
    declare(project, "{name: Weighted, rewards: [{name: 'mine:half'}]}")
    own = section(read_params(), "layout", LayoutParams).own_code
    assert own == {"layout.reward.rewards.0.name": "mine:half"}
    monkeypatch.syspath_prepend(str(project))
    with pytest.raises(ConfigError, match=r"layout\.source: must be the file of 'mine:half'"):
        ProgramSetup(read_params())


X, OUTPUT = {"text": "hm"}, {"text": "joy"}


def test_scores_belong_to_answers(tmp_path: Path) -> None:
    """The mean of several; none for another output to the same input; a row without a score says nothing."""
    path = tmp_path / "human.jsonl"
    rows = [{"x": X, "output": OUTPUT, "human": 1, "y": {}}, {"x": X, "output": OUTPUT, "human": 0.5}]
    write_jsonl(path, [*rows, {"x": X, "output": {"text": "fear"}, "human": None}])
    answers = [{"x": X, "output": OUTPUT}, {"x": X, "output": {"text": "fear"}}, {"x": {}, "output": OUTPUT}]
    assert human_scores(path, answers) == [0.75, None, None]


def test_the_file_of_scores_that_a_project_begins_with() -> None:
    """It has no score, and is not empty, of which DVC would warn in each run."""
    path = ROOT / "data/human.jsonl"
    assert human_scores(path, [{"x": X, "output": OUTPUT}]) == [None] and path.stat().st_size


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"x": X, "human": 1}, "line 1: must be a row of predictions.jsonl"),
        ([1], "line 1: must be a row of predictions.jsonl"),
        ({"x": X, "output": OUTPUT, "human": 5}, "human must be a number from 0 to 1, or null .got 5"),
        ({"x": X, "output": OUTPUT, "human": "good"}, "human must be a number from 0 to 1, or null"),
    ],
)
def test_what_is_no_score(tmp_path: Path, row: Any, message: str) -> None:
    """Told with its file and line."""
    write_jsonl(tmp_path / "human.jsonl", [row])
    with pytest.raises(DataError, match=message):
        human_scores(tmp_path / "human.jsonl", [])
