"""A metric and a reward of the project's own, named in conf: what they score, what they change, and what is refused."""

from __future__ import annotations

import csv
import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai_server import openai_server
from openai_server import text as completion
from project_copy import copy_project

from paretune.commands.compose import compose
from paretune.commands.estimate import report as estimate_report
from paretune.errors import ConfigError
from paretune.files import read_jsonl
from paretune.pipeline.scoring import Scoring
from paretune.pipeline.sections.base import read_params
from paretune.rewards import RewardFunctionWrapper
from paretune.stages import check_params, evaluate, materialize, report, search, split

#: Joy is the right label for some examples, and the model says so of all.
SCORERS = """
import asyncio

import numpy as np

from paretune.metrics import BinaryF1Score, Metric
from paretune.rewards import ExactMatch, LMAsJudge

GLAD = ("joy", "love")


class Gladness(Metric):
    name = "gladness"

    def __init__(self, weight=1.0):
        self.weight = weight

    def statistics(self, y_true, y_pred):
        return np.array([self.weight * (y_pred is not None and y_pred["label"] in GLAD), 1.0])

    def reduce(self, totals):
        return totals[..., 0] / totals[..., 1]


class Nameless(Gladness):
    name = None


class Strict(Gladness):
    def __init__(self, weight):
        super().__init__(weight)


class Plain(Gladness):
    __init__ = object.__init__
    weight = 1.0


class Unfinished(Metric):
    name = "unfinished"


class Judge(LMAsJudge):
    def __init__(self):
        super().__init__("openai/judge")


def same_mood(y_true, y_pred):
    return (y_true.label in GLAD) == (y_pred.label in GLAD)


async def patient(y_true, y_pred):
    await asyncio.sleep(0)
    return 0.5


def of_one(y_pred):
    return 1.0


half = 0.5
metric = Gladness()
"""
SOURCE = "layout.source=glad.py"
METRICS = "layout.metrics=[{name: 'glad:Gladness', weight: 0.5, as: mood}, {name: 'glad:same_mood'}]"
REWARD = "layout.reward={name: 'glad:same_mood'}"
SMALL = ["search=fast", "tuner=grid", "objective=reward", "report.resamples=100", "evaluate.baseline=null"]
SMALL += ["data.splits.train.limit=20", "data.splits.test.limit=5", "search.space.few_shot.values=[0]"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of this project's configuration and sample data with a module of its own, as the current folder."""
    root = tmp_path / "project"
    copy_project(root)
    (root / "glad.py").write_text(SCORERS)
    (root / "src").mkdir()
    (root / "src" / "elsewhere.py").write_text("from glad import *\n")
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "path", [str(root), str(root / "src"), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # or a module written twice in a second seems the same
    importlib.invalidate_caches()
    yield root
    forget()


def forget() -> None:
    """Let the project's modules be imported anew, as by the process of another stage."""
    for name in ("glad", "elsewhere", "glad_tools"):
        sys.modules.pop(name, None)


def scoring(root: Path, *overrides: str) -> Scoring:
    """The scoring of this configuration."""
    forget()
    compose(root, overrides)
    return Scoring(read_params())


def test_classes_and_functions(project: Path) -> None:
    """Both can be a metric and a reward; arguments and ``as`` go to a class whose constructor takes no name as well."""
    found = scoring(project, SOURCE, METRICS, REWARD)
    mood, same = found.metrics
    assert (type(mood).__name__, mood.name, same.name) == ("Gladness", "mood", "same_mood")
    gold = [found.output_model(label=label) for label in ("joy", "love", "fear", "anger")]  # type: ignore[call-arg]
    said = [found.output_model(label="joy"), None, found.output_model(label="joy"), found.output_model(label="fear")]  # type: ignore[call-arg]
    # Two of four answers are glad, each worth a half; three valid ones, of which the first and the last agree.
    assert (mood(gold, said), same(gold, said)) == (2 * 0.5 / 4, 2 / 4)
    assert isinstance(found.reward, RewardFunctionWrapper) and found.reward.name == "same_mood"
    assert found.majority(gold[:1], gold) == {"reward": 0.5, "mood": 0.5, "same_mood": 0.5}
    slow = scoring(project, SOURCE, "layout.reward={name: 'glad:patient'}", "layout.metrics=[]")
    assert slow.majority(gold[:1], gold) == {"reward": 0.5}
    weighted = ["layout.reward.name=glad:Gladness", "+layout.reward.weight=0.25", "layout.metrics=[]"]
    as_reward = scoring(project, SOURCE, *weighted)
    assert as_reward.majority(gold[:1], gold) == {"reward": 0.25}


def test_a_function_says_which_way_is_better(project: Path) -> None:
    """What the wrapper takes can be declared beside the function's name."""
    options = "direction: min, invalid: 1.0, as: mood_swing"
    (metric,) = scoring(project, SOURCE, f"layout.metrics=[{{name: 'glad:same_mood', {options}}}]").metrics
    assert (metric.name, metric.direction) == ("mood_swing", "min")


def test_a_judge_is_not_asked_about_the_most_common_answer(project: Path) -> None:
    """A reward that calls a language model can be declared, and the majority's number does without it."""
    found = scoring(project, SOURCE, "layout.reward={name: 'glad:Judge'}", METRICS)
    gold = [found.output_model(label="joy")]  # type: ignore[call-arg]
    assert [model.model for model in found.reward.language_models] == ["openai/judge"]
    assert set(found.majority(gold, gold)) == {"mood", "same_mood"}


def refused(root: Path, declared: str, message: str, check: Callable[[], object]) -> None:
    """A second metric is refused in one line that begins with its place."""
    compose(root, [SOURCE, f"layout.metrics=[{{name: CategoricalRecall, average: macro}}, {{{declared}}}]"])
    with pytest.raises(ConfigError, match=message) as caught:
        check()
    assert str(caught.value).startswith(("layout.metrics.1", "layout.source")) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gladd:Gladness", r"name: no module 'gladd' .*looked for in the project's folder and src/.*'glad'"),
        ("glad:Gladnes", r"name: module 'glad' has no 'Gladnes'; did you mean 'Gladness'"),
        ("glad:", "name: must be module:name"),
        ("elsewhere:Gladness", r"^layout.source: must be the file of .*set it to src/elsewhere.py"),
        ("json:dumps", "module 'json' is not in the project's folder or src/"),
    ],
)
def test_names_that_lead_nowhere(project: Path, name: str, message: str) -> None:
    """A slip, and a file that nobody watches, are told by the first stage and by the estimate."""
    refused(project, f"name: '{name}'", message, check_params.main)
    refused(project, f"name: '{name}'", message, lambda: estimate_report(project))
    assert not check_params.OUTPUT.exists()


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("name: Gladness", "name: must be one of .*, or module:name of your own"),
        ("name: 'glad:half'", r"must be a subclass of Metric, or a function of \(y_true, y_pred\) \(got 0.5\)"),
        ("name: 'glad:metric'", "must be a subclass of Metric"),
        ("name: 'glad:ExactMatch'", "must be a subclass of Metric"),
        ("name: 'glad:of_one'", r"must be a function of \(y_true, y_pred\)"),
        ("name: 'glad:Unfinished'", "is abstract; define reduce, statistics"),
        ("name: 'glad:Nameless'", "has no name for reports; give it one: as: …"),
        ("name: 'glad:Strict'", "glad:Strict needs 'weight'"),
        ("name: 'glad:Plain', weight: 2.0", r"glad:Plain takes no 'weight' \(it takes: as\)"),
        ("name: 'glad:Gladness', wieght: 2.0", r"takes no 'wieght' \(it takes: as, weight\); did you mean 'weight'"),
        ("name: 'glad:same_mood', weight: 2.0", r"same_mood: fn must take \(y_true, y_pred, weight\)"),
    ],
)
def test_what_is_no_metric(project: Path, declared: str, message: str) -> None:
    """The wrong kind of thing and wrong arguments are told by the estimate, before anything is spent."""
    refused(project, declared, message, lambda: estimate_report(project))


def test_what_the_classes_themselves_refuse(project: Path) -> None:
    """A metric's function cannot be async; what a module raises when it is imported is its own error."""
    with pytest.raises(ConfigError, match=r"layout\.metrics\.0: .*cannot be async; as a reward it can"):
        scoring(project, SOURCE, "layout.metrics=[{name: 'glad:patient'}]")
    (project / "glad.py").write_text("import nonexistent_library\n")
    with pytest.raises(ModuleNotFoundError, match="nonexistent_library"):
        scoring(project, SOURCE, METRICS)


def test_the_watched_source_may_be_a_folder(project: Path) -> None:
    """A package whose files DVC then watches together."""
    (project / "moods").mkdir()
    (project / "moods" / "__init__.py").touch()
    shutil.copy(project / "glad.py", project / "moods" / "mine.py")
    (metric,) = scoring(project, "layout.source=moods", "layout.metrics=[{name: 'moods.mine:Gladness'}]").metrics
    assert metric.name == "gladness"


def run_all(root: Path, overrides: list[str]) -> dict[str, Any]:
    """Every stage, in this process; the numbers that come out."""
    compose(root, overrides)
    check_params.main()
    for part in ("train", "test"):
        sys.argv = ["materialize", part]
        materialize.main()
    split.main()
    for stage in (search, evaluate, report):
        forget()
        stage.main()
    found: dict[str, Any] = json.loads(Path("reports/detail.json").read_text())
    return found


def test_from_conf_to_reports(project: Path, own_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are objectives, columns and numbers like any other, and a search with another text of them is another one,
    whether their own file or one that it imports changed."""
    monkeypatch.setattr(sys, "argv", [])
    (project / "glad.py").write_text(SCORERS.replace("GLAD = ", "from glad_tools import UNUSED\nGLAD = "))
    (project / "glad_tools.py").write_text("UNUSED = 1\n")
    with openai_server() as server:
        server.answer = lambda asked: completion(" joy")
        lm = ["lm=openai_compatible", "lm.model=openai/m", f"lm.api_base={server.api_base}"]
        form = ["program.structured_output=completion", "objective.objectives=[{name: val_mood, direction: max}]"]
        overrides = [*SMALL, *lm, *form, SOURCE, METRICS, REWARD]
        metrics = run_all(project, overrides)
        records = set((own_state / "searches").glob("*.jsonl"))
        test = [row["y"]["label"] for row in read_jsonl("data/materialized/test.jsonl")]
        glad = sum(label in ("joy", "love") for label in test) / len(test)
        assert (metrics["test"]["reward"], metrics["test"]["same_mood"], metrics["test"]["mood"]) == (glad, glad, 0.5)
        with open("reports/trials.csv", newline="") as handle:
            (row,) = csv.DictReader(handle)
        assert float(row["val_mood"]) == 0.5 and row["val_same_mood_lo"]
        paid = len(server.asked)
        for file, line in [("glad.py", "# another text\n"), ("glad_tools.py", "UNUSED = 2\n")]:
            with open(project / file, "a") as handle:
                handle.write(line)
            run_all(project, overrides)
            known, records = records, set((own_state / "searches").glob("*.jsonl"))
            assert len(records - known) == 1 and len(server.asked) == paid
