"""Rewards and metrics by their declared names."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from paretune import metrics
from paretune.errors import ConfigError, UsageError
from paretune.metrics import CategoricalRecall, F1Score
from paretune.metrics.measures import measures_of
from paretune.metrics.outcome import Outcome
from paretune.pipeline.scorers import METRICS
from paretune.pipeline.scoring import Scoring
from paretune.rewards.reward import MetricReward

PARAMS = yaml.safe_load((Path(__file__).resolve().parents[2] / "params.yaml").read_text())
TEXT = {"name": "Answer", "fields": {"text": {"type": "str"}}, "template": '{"text": "a"}'}
LABELS = {"name": "Answer", "fields": {"label": {"type": "category", "values": ["a", "b"]}}, "template": "{}"}


def scoring(output: dict[str, Any], reward: dict[str, Any], *declared: dict[str, Any]) -> Scoring:
    """The committed configuration with another layout."""
    params = copy.deepcopy(PARAMS)
    params["layout"] |= {"output": output, "reward": reward, "metrics": list(declared)}
    return Scoring(params)


def test_every_metric_but_those_of_a_function_can_be_declared() -> None:
    """By the name of its class, as a metric and as a reward."""
    assert set(METRICS) == set(metrics.__all__) - {"Metric", "MeanMetricWrapper", "Measure", "Outcome"}
    for name, kind in METRICS.items():
        output = TEXT if name == "F1Score" else LABELS
        if name.startswith("Binary"):
            output = {**LABELS, "fields": {"a": {"type": "bool"}, "b": {"type": "bool"}}}
        found = scoring(output, {"name": name}, {"name": name, "as": "mine"})
        assert isinstance(found.reward, MetricReward) and type(found.reward.metric) is kind
        assert [(type(each), each.name) for each in found.metrics] == [(kind, "mine")]


def test_declared_arguments_and_names() -> None:
    """``as`` is the name in reports; everything else goes to the metric."""
    found = scoring(LABELS, {"name": "ExactMatch"}, {"name": "CategoricalRecall", "average": "macro", "as": "recall"})
    (recall,) = found.metrics
    assert isinstance(recall, CategoricalRecall) and recall.average == "macro" and recall.classes == ("a", "b")
    outcomes = [Outcome("ok", {"label": "a"}, 0.0, 1, 1, 1, 0.0, 0.0)] * 2
    values = {each.name: each.value for each in measures_of(outcomes, [{"label": "a"}, {"label": "b"}], [recall])}
    assert values["recall"] == 0.5
    text = scoring(TEXT, {"name": "F1Score", "in_mask": ["text"]}).reward
    assert isinstance(text, MetricReward) and isinstance(text.metric, F1Score) and text.metric.fields == ("text",)


@pytest.mark.parametrize(
    ("declared", "error", "reason"),
    [
        ({"name": "CategoricalRecal"}, ConfigError, "CategoricalRecall"),
        ({"name": "F1Score", "average": "macro"}, ConfigError, "takes no 'average'"),
        ({"name": "LMAsJudge"}, ConfigError, "must be one of"),
        ({"name": "F1Score"}, UsageError, "CategoricalF1Score"),
        ({"name": "CategoricalAccuracy", "average": "mean"}, ConfigError, "'mean'"),
    ],
)
def test_what_cannot_be_declared(declared: dict[str, Any], error: type[Exception], reason: str) -> None:
    """A slip is told with what there is; a metric that does not fit the layout, with what does."""
    with pytest.raises(error, match=reason):
        scoring(LABELS, {"name": "ExactMatch"}, declared)


def test_too_few_examples_of_a_class() -> None:
    """Classes with fewer than five gold examples are named; nothing is said where all have enough, or have none."""
    f1 = {"name": "CategoricalF1Score", "average": "macro", "as": "f1"}
    found = scoring(LABELS, {"name": "ExactMatch"}, f1)
    a, b = (found.output_model.model_validate({"label": label}) for label in "ab")
    assert found.too_few([a] * 5 + [b]) == "too few examples of: b (1)"
    assert found.too_few([a] * 5 + [b] * 5) == ""
    assert scoring(LABELS, {"name": "ExactMatch"}).too_few([a]) == ""
