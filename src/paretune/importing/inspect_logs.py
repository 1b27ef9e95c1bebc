"""Logs of inspect: ``.eval`` files (zip archives of JSON) and the older ``.json``. One log is one configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from paretune.datasets.archives import Archive
from paretune.errors import DataError, UsageError
from paretune.importing.cells import Cell, amount, answered, failed, text_of

__all__ = ["inspect_cells", "is_inspect_log"]

_SAMPLES = "samples/"
#: inspect's letters: correct, partly, incorrect, no answer.
_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_ATTACHED = "attachment://"


def is_inspect_log(value: Any) -> bool:
    """Whether JSON values are a log."""
    return isinstance(value, dict) and "eval" in value and "samples" in value


def inspect_cells(path: Path, log: Mapping[str, Any] | None, score: str | None) -> Iterator[Cell]:
    """The cells of a log: an archive, or the JSON values ``log`` of an older one. ``score`` names a scorer
    (``scorer/key`` where it gives several values), the first one when None.

    Raises DataError for what is no log, UsageError for a scorer that it has not.
    """
    if log is not None:
        head, samples = log, iter(log["samples"] or ())
    else:
        archive = Archive(path)
        names = [name for name in archive.names if name.startswith(_SAMPLES)]
        if "header.json" not in archive.names:
            raise DataError(f"{str(path)!r} is no finished log of inspect: it has no header.json")
        head, samples = json.loads(archive.read("header.json")), (json.loads(archive.read(name)) for name in names)
    try:
        values, task = _values(head["eval"], head.get("plan") or {}), head["eval"].get("task", "")
        for sample in samples:
            yield _cell(sample, values, task, score, path)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{str(path)!r} is no log of inspect that is understood ({error!r})") from None


def _values(head: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any]:
    """The model, and whatever else was set by a plain value: call options, arguments of model, task and solvers."""
    steps = plan.get("steps") or []
    found = {"solver": ", ".join(step["solver"] for step in steps)} if steps else {}
    parts = [head.get(name) for name in ("model_generate_config", "model_args", "task_args")]
    for part in (*parts, plan.get("config"), *(step.get("params") for step in steps)):
        found |= {name: value for name, value in (part or {}).items() if isinstance(value, str | int | float)}
    return {"model": head["model"], **{name: value for name, value in found.items() if name != "model"}}


def _cell(sample: Mapping[str, Any], values: dict[str, Any], task: str, score: str | None, path: Path) -> Cell:
    item = f"{task}/{sample['id']}"
    question = sample["input"]
    if not isinstance(question, str):
        question = "\n".join(text_of(message.get("content")) for message in question)
    attached = sample.get("attachments") or {}
    x = {"item": item, "input": attached.get(question.removeprefix(_ATTACHED), question)}
    y = {"answer": text_of(sample.get("target"))}
    if sample.get("error") or not sample.get("scores"):
        reason = (sample.get("error") or {}).get("message") or "it was not scored"
        return Cell(values, item, failed(str(reason)[:300]), x, y)
    reward = _reward(sample["scores"], score, f"{str(path)!r}, sample {sample['id']!r}")
    if reward is None:
        return Cell(values, item, failed("it has no score"), x, y)
    usage = list((sample.get("model_usage") or {}).values())
    made = sum(event.get("event") == "model" for event in sample.get("events") or ())
    seconds = sample.get("working_time", sample.get("total_time"))
    outcome = answered(
        reward,
        (sample.get("output") or {}).get("completion") or _last_content(sample),
        calls=max(1, made),
        prompt_tokens=_sum(usage, "input_tokens", "input_tokens_cache_read", "input_tokens_cache_write"),
        completion_tokens=_sum(usage, "output_tokens"),
        cost_usd=_sum(usage, "total_cost"),
        latency_s=seconds,
    )
    return Cell(values, item, outcome, x, y)


def _last_content(sample: Mapping[str, Any]) -> Any:
    choices = (sample.get("output") or {}).get("choices") or [{}]
    return (choices[0].get("message") or {}).get("content")


def _sum(usage: list[Mapping[str, Any]], name: str, *more: str) -> float | None:
    """An amount over all models, with what some count apart; None where one does not tell."""
    if not usage or any(each.get(name) is None for each in usage):
        return None
    return float(sum(each.get(part) or 0 for each in usage for part in (name, *more)))


def _reward(scores: Mapping[str, Any], wanted: str | None, where: str) -> float | None:
    scorer, _, key = (wanted or next(iter(scores))).partition("/")
    if scorer not in scores:
        raise UsageError(f"{where} has no score {scorer!r} (it has: {', '.join(scores)})")
    value = scores[scorer].get("value")
    if isinstance(value, dict):
        if key not in value:
            known = ", ".join(f"{scorer}/{name}" for name in value)
            raise UsageError(f"{where}: {scorer!r} has several values: choose one, --score {known}")
        value = value[key]
    if isinstance(value, bool):
        return float(value)
    return _LETTERS[value] if value in _LETTERS else amount(value, f"{where}, score {scorer!r}")
