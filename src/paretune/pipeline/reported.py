"""What the reports of a search show beside its trials: the validation examples, and what section ``report`` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paretune.metrics.metric import Metric
from paretune.pipeline.scoring import Records, Scoring
from paretune.pipeline.sections.base import section
from paretune.pipeline.sections.report import ReportParams

__all__ = ["Reported"]

SPLITS = Path("data/splits")


@dataclass(frozen=True)
class Reported:
    """The validation examples, by ``inputs`` and ``outputs`` as JSON values too; the metrics that are taken on them;
    and ``options`` of ``reporting.report.report``: the title, what the most common answer is worth, section ``report``.
    """

    gold: Records
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    metrics: Sequence[Metric]
    options: Mapping[str, Any]

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> Reported:
        """Of the project in the current folder. Raises ConfigError and DataError for what is not as it must be."""
        scoring, settings = Scoring(params), section(params, "report", ReportParams)
        train, (x, gold) = scoring.read(SPLITS / "train.jsonl")[1], scoring.read(SPLITS / "val.jsonl")
        inputs, outputs = ([one.get_json() for one in records] for records in (x, gold))
        majority = scoring.majority([*train, *gold], gold)
        options = {
            "title": f"{params['task']['name']}, {params['layout']['name']}",
            "references": {f"val_{name}": value for name, value in majority.items()},
            **settings.model_dump(exclude={"reference"}),
        }
        return cls(gold, inputs, outputs, scoring.metrics, options)
