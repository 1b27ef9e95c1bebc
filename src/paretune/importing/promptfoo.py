"""promptfoo's JSON output: one configuration a provider and prompt, one item a test case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from paretune.errors import DataError
from paretune.files import canonical_json
from paretune.importing.cells import Cell, answered, failed, text_of

__all__ = ["is_promptfoo", "promptfoo_cells"]

#: promptfoo's ``failureReason`` of a call that brought no answer, unlike one whose answer was found wrong.
_ERROR = 2


def is_promptfoo(value: Any) -> bool:
    """Whether JSON values are such an output."""
    return isinstance(value, dict) and isinstance(value.get("results"), dict) and "results" in value["results"]


def promptfoo_cells(path: Path, output: Mapping[str, Any]) -> Iterator[Cell]:
    """The cells of an output. Raises DataError for what is none.

    Test cases are told apart by their variables and assertions, so that those of ``--repeat`` are replicates. Where no
    call has cost anything, costs are taken to be unknown, and so are the tokens of a call that has none.
    """
    try:
        results = output["results"]["results"]
        any_cost = any(result.get("cost") for result in results)
        for result in results:
            yield _cell(result, any_cost)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{str(path)!r} is no output of promptfoo that is understood ({error!r})") from None


def _cell(result: Mapping[str, Any], any_cost: bool) -> Cell:
    provider, prompt, case = result["provider"], result["prompt"], result.get("testCase") or {}
    if isinstance(provider, str):
        provider = {"id": provider}
    values = {"provider": provider.get("label") or provider["id"], "prompt": prompt.get("label") or prompt["raw"]}
    inputs = {name: text_of(value) for name, value in (result.get("vars") or case.get("vars") or {}).items()}
    item = canonical_json([inputs, case.get("assert")])
    y = {"answer": "; ".join(map(_assertion, case.get("assert") or ()))}
    response = result.get("response") or {}
    if result.get("failureReason") == _ERROR or response.get("error"):
        return Cell(values, item, failed(str(response.get("error") or result.get("error"))[:300]), inputs, y)
    usage = result.get("tokenUsage") or response.get("tokenUsage") or {}
    known = bool(usage.get("prompt") or usage.get("completion"))
    seconds = result.get("latencyMs")
    outcome = answered(
        float(result["score"]),
        response.get("output"),
        prompt_tokens=usage.get("prompt", 0) if known else None,
        completion_tokens=usage.get("completion", 0) if known else None,
        cost_usd=(result.get("cost") or 0.0) if any_cost else None,
        latency_s=None if seconds is None else seconds / 1000,
    )
    return Cell(values, item, outcome, inputs, y)


def _assertion(each: Mapping[str, Any]) -> str:
    value = each.get("value")
    return str(each.get("type")) if value is None else f"{each.get('type')}: {text_of(value)}"
