"""What a task's answers are worth: data models, reward and metrics from the sections ``task`` and ``layout``."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from paretune import metrics as known_metrics
from paretune.errors import ConfigError, DataError
from paretune.eventloop import run_maybe_nested
from paretune.files import canonical_json, read_jsonl
from paretune.metrics.measure import Measure, mean_of_replicates, measures_of
from paretune.metrics.metric import Metric
from paretune.metrics.outcome import Outcome
from paretune.pipeline.data_models import input_model, output_model
from paretune.pipeline.sections.base import check_sections, section
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.task import TaskParams
from paretune.rewards.reward import ExactMatch, Reward, as_reward
from paretune.schemas.data_model import DataModel
from paretune.schemas.faults import did_you_mean

__all__ = ["Records", "Scoring", "measures_of_rows", "measures_of_trial"]

Records = Sequence[DataModel]

#: The metrics that conf can name, each also as a reward: all but the base class, and the one that needs a function.
METRICS: dict[str, type[Metric]] = {
    name: getattr(known_metrics, name) for name in known_metrics.__all__ if name not in ("MeanMetricWrapper", "Metric")
}
REWARDS: dict[str, type[Any]] = {"ExactMatch": ExactMatch, **METRICS}


class Scoring:
    """A task's data models (those of the materialized rows), and its reward and metrics, bound to them.

    Raises ConfigError (UsageError for a mask that does not fit) for anything declared wrongly.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        check_sections(params, {"task": TaskParams, "layout": LayoutParams})
        self.task = section(params, "task", TaskParams)
        self.layout = section(params, "layout", LayoutParams)
        self.input_model: type[DataModel] = input_model(self.task)
        self.output_model: type[DataModel] = output_model(self.task, self.layout)
        self.reward: Reward = as_reward(_made(REWARDS, self.layout.reward, "layout.reward")).bind(self.output_model)
        self.metrics: list[Metric] = [
            _made(METRICS, each, f"layout.metrics.{index}").bind(self.output_model)
            for index, each in enumerate(self.layout.metrics)
        ]

    def read(self, path: str | Path) -> tuple[list[DataModel], list[DataModel]]:
        """The inputs and gold outputs of a materialized file. Raises DataError for a row that does not fit."""
        x: list[DataModel] = []
        y: list[DataModel] = []
        for number, row in enumerate(read_jsonl(path)):
            try:
                x.append(self.input_model.model_validate(row["x"]))
                y.append(self.output_model.model_validate(row["y"]))
            except (KeyError, TypeError, ValidationError) as error:
                raise DataError(
                    f"{str(path)!r}, row {number}: does not fit the task's data models ({error}); run dvc repro"
                ) from None
        return x, y

    def majority(self, train: Records, test: Records) -> dict[str, float]:
        """Reward and metrics on ``test`` of always giving the most common output of ``train`` (the first of equals)."""
        texts = [canonical_json(record.get_json()) for record in train]
        common = train[texts.index(Counter(texts).most_common(1)[0][0])]

        async def rewards() -> list[float]:
            return [await self.reward(gold, common) for gold in test]

        outcomes = [Outcome("ok", common.get_json(), each, 0, 0, 0, 0.0, 0.0) for each in run_maybe_nested(rewards())]
        names = {"reward", *(metric.name for metric in self.metrics if metric.scalar)}
        measures = measures_of(outcomes, [record.get_json() for record in test], self.metrics)
        return {measure.name: measure.value for measure in measures if measure.name in names}


def measures_of_rows(rows: Sequence[Mapping[str, Any]], gold: Records, metrics: Sequence[Metric]) -> list[Measure]:
    """The measures of recorded outcomes."""
    outcomes = [Outcome.from_row(dict(row)) for row in rows]
    return measures_of(outcomes, [record.get_json() for record in gold], metrics)


def measures_of_trial(trial: Mapping[str, Any], gold: Records, metrics: Sequence[Metric]) -> list[Measure]:
    """The measures of a trial's row on the validation examples, means over its replicates."""
    return mean_of_replicates([measures_of_rows(one["examples"], gold, metrics) for one in trial["replicates"]])


def _made(kinds: Mapping[str, type[Any]], declared: Mapping[str, Any], place: str) -> Any:
    """``{name: Class, as: name in reports, **arguments}`` as an object."""
    name = str(declared.get("name"))
    if name not in kinds:
        known = ", ".join(kinds)
        raise ConfigError(f"{place}.name: must be one of {known} (got {name!r}){did_you_mean(name, kinds)}")
    arguments = {"name" if key == "as" else key: value for key, value in declared.items() if key != "name"}
    known_arguments = inspect.signature(kinds[name]).parameters
    for key in arguments:
        if key not in known_arguments:
            raise ConfigError(
                f"{place}: {name} takes no {key!r} (it takes: {', '.join(known_arguments)})"
                f"{did_you_mean(key, known_arguments)}"
            )
    return kinds[name](**arguments)
