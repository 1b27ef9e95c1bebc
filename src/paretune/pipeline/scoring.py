"""What a task's answers are worth: data models, reward and metrics from the sections ``task`` and ``layout``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from paretune.errors import DataError
from paretune.eventloop import run_maybe_nested
from paretune.files import canonical_json, read_jsonl
from paretune.metrics.measures import mean_of_replicates, measures_of
from paretune.metrics.metric import Metric
from paretune.metrics.outcome import Outcome
from paretune.pipeline.data_models import gold_model, input_model, output_model
from paretune.pipeline.scorers import LanguageModels, declared_metric, declared_reward
from paretune.pipeline.sections.base import check_sections, section
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.task import TaskParams
from paretune.rewards.reward import Reward
from paretune.schemas.data_model import DataModel
from paretune.stats.measure import Measure
from paretune.trials.record import TrialRecord

__all__ = ["Records", "Scoring", "measures_of_trial"]

Records = Sequence[DataModel]


class Scoring:
    """A task's data models (those of the materialized rows), and its reward and metrics, bound to them.

    Raises ConfigError (UsageError for a mask that does not fit) for anything declared wrongly. A reward that calls
    language models can do so where ``language_models`` gives them by their names.
    """

    def __init__(self, params: Mapping[str, Any], language_models: LanguageModels | None = None) -> None:
        check_sections(params, {"task": TaskParams, "layout": LayoutParams})
        self.task = section(params, "task", TaskParams)
        self.layout = section(params, "layout", LayoutParams)
        self.input_model: type[DataModel] = input_model(self.task)
        self.output_model: type[DataModel] = output_model(self.task, self.layout)
        #: Of the right answers: with further ones that are accepted, where a field has several.
        self.gold_model: type[DataModel] = gold_model(self.task, self.layout)
        place = "layout.reward" if self.layout.reward is not None else "the reward that follows from the fields"
        declared = self.layout.declared_reward
        reward = declared_reward(declared, place, self.layout.source, language_models)
        self.reward: Reward = reward.bind(self.output_model)
        self.metrics: list[Metric] = [
            declared_metric(each, f"layout.metrics.{index}", self.layout.source).bind(self.output_model)
            for index, each in enumerate(self.layout.declared_metrics)
        ]

    def read(self, path: str | Path) -> tuple[list[DataModel], list[DataModel]]:
        """The inputs and gold outputs of a materialized file. Raises DataError for a row that does not fit."""
        x: list[DataModel] = []
        y: list[DataModel] = []
        for number, row in enumerate(read_jsonl(path)):
            try:
                x.append(self.input_model.model_validate(row["x"]))
                y.append(self.gold_model.model_validate(row["y"]))
            except (KeyError, TypeError, ValidationError) as error:
                raise DataError(
                    f"{str(path)!r}, row {number}: does not fit the task's data models ({error}); run dvc repro"
                ) from None
        return x, y

    def majority(self, train: Records, test: Records) -> dict[str, float]:
        """Reward and metrics on ``test`` of always giving the most common output of ``train`` (the first of equals).

        A reward that calls language models is left out: this number is not worth its calls.
        """
        texts = [canonical_json(record.get_json()) for record in train]
        common = train[texts.index(Counter(texts).most_common(1)[0][0])]

        names = {metric.name for metric in self.metrics if metric.scalar}
        if not self.reward.language_models:
            names.add("reward")

        async def rewards() -> list[float | None]:
            return [await self.reward(gold, common) if "reward" in names else None for gold in test]

        outcomes = [Outcome("ok", common.get_json(), each, 0, 0, 0, 0.0, 0.0) for each in run_maybe_nested(rewards())]
        measures = measures_of(outcomes, [record.get_json() for record in test], self.metrics)
        return {measure.name: measure.value for measure in measures if measure.name in names}

    def too_few(self, gold: Records) -> str:
        """Which classes have so few gold examples that no metric says much of them: ``too few examples of: surprise
        (1)``; empty where all have enough."""
        rows = [record.get_json() for record in gold]
        rare = {str(label): n for metric in self.metrics for label, n in metric.rare_classes(rows).items()}
        return f"too few examples of: {', '.join(f'{label} ({n})' for label, n in rare.items())}" if rare else ""


def measures_of_trial(record: TrialRecord, gold: Records, metrics: Sequence[Metric]) -> list[Measure]:
    """The measures of a trial on the validation examples, means over its replicates."""
    y_true = [one.get_json() for one in gold]
    return mean_of_replicates([measures_of(one.examples, y_true, metrics) for one in record.replicates])
