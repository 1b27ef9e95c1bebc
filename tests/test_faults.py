"""Whole searches over a server that fails: what is lost, what is not, and when they stop."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from faulty_server import INFRASTRUCTURE, FaultyServer
from openai_server import openai_server

from paretune import DataModel, Field, Generator, Input, LanguageModel, Program, run_maybe_nested
from paretune.errors import FatalError
from paretune.lm.backends.litellm_errors import load_litellm
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request
from paretune.metrics import CategoricalF1Score
from paretune.rewards import ExactMatch
from paretune.trials.record import TrialRecord
from paretune.tuners import GridSearch

#: Every third request fails.
A_THIRD = dict.fromkeys(INFRASTRUCTURE, 1 / 3 / len(INFRASTRUCTURE))
N = 12


class Text(DataModel):
    """A text."""

    text: str = Field(description="A short text")


class Mood(DataModel):
    """A mood."""

    label: Literal["joy", "fear"] = Field(description="The mood")


def script(prompt: str) -> str:
    """Right for two of three texts."""
    number = int(re.findall(r"\d+", prompt)[-1])
    return json.dumps({"label": "fear" if number % 2 and number % 3 else "joy"})


def data() -> dict[str, Any]:
    x = [Text(text=f"text {n}") for n in range(N)]
    y = [Mood(label="fear" if n % 2 else "joy") for n in range(N)]
    return {"x": x[:1], "y": y[:1], "validation_data": (x, y)}


@pytest.fixture(scope="module", autouse=True)
def litellm() -> Any:
    """litellm, imported once for the whole page: it takes seconds."""
    return load_litellm()


@pytest.fixture
def search(tmp_path: Path) -> Callable[..., GridSearch]:
    """Runs a grid search over a server, of two temperatures when nothing else is said, without pauses."""

    def run(
        server: FaultyServer,
        name: str = "search",
        max_attempts: int = 2,
        temperatures: Sequence[float] = (0.0, 1.0),
        timeout_s: float = 3.0,  # where each request counts, no busy machine may take so long
        **options: Any,
    ) -> GridSearch:
        given = {"api_base": server.api_base, "ledger": Ledger(tmp_path / f"{name}.sqlite"), "concurrency": 8}
        model = LanguageModel("openai/m", timeout_s=timeout_s, max_attempts=max_attempts, **{**given, **options})

        async def no_pause(seconds: float) -> None:
            """Wait zero seconds."""

        model.pause = no_pause

        async def build_program(hp: Any) -> Program:
            inputs = Input(data_model=Text)
            module = Generator(data_model=Mood, language_model=model, temperature=hp.Choice("t", list(temperatures)))
            program = Program(inputs=inputs, outputs=await module(inputs))
            program.compile(reward=ExactMatch(), metrics=[CategoricalF1Score(average="macro", name="f1")])
            return program

        tuner = GridSearch(
            build_program, directory=tmp_path, project_name=name, max_failure_rate=0.5, verbose=False, overwrite=True
        )
        tuner.search(**data())
        return tuner

    return run


def rows(record: TrialRecord) -> list[dict[str, Any]]:
    (replicate,) = record.replicates
    return [outcome.row() for outcome in replicate.examples]


def test_what_was_answered_counts_as_without_faults(search: Callable[..., GridSearch]) -> None:
    """A third of the requests fails: what one of two tries answers has its right score, the rest are failures with
    their reasons, and all are counted; nothing that came with a reply is asked again."""
    with openai_server(FaultyServer(script)) as server:
        clean = search(server, "clean").trial_records()
        assert len(server.asked) == 2 * N
    in_all = 0
    for seed in range(2):
        with openai_server(FaultyServer(script, seed, A_THIRD)) as server:
            records = search(server, f"faulty-{seed}").trial_records()
            assert server.peak <= 8
        lost = sum(check_answered(record, whole) for record, whole in zip(records, clean, strict=True))
        retries = sum(record.retries for record in records)
        assert sum(server.met[fault] for fault in INFRASTRUCTURE) == 2 * lost + retries
        assert len(server.asked) == 2 * N + lost + retries
        in_all += lost
    assert in_all > 0


def check_answered(record: TrialRecord, whole: TrialRecord) -> int:
    """Compare a trial with the same one without faults; how many examples it lost."""
    assert record.status == "COMPLETED"
    rewards = []
    for row, expected in zip(rows(record), rows(whole), strict=True):
        if row["status"] == "failed":
            assert (row["reward"], row["output"]) == (None, None)
            assert re.match(r"openai/m: gave up after 2 attempts: openai/m at http://127\S+: .", row["error"])
        else:
            assert {**row, "latency_s": 0, "retries": 0} == {**expected, "latency_s": 0, "retries": 0}
            rewards.append(row["reward"])
    assert record.metrics["val_reward"] == pytest.approx(sum(rewards) / len(rewards))
    assert record.metrics["val_failure_rate"] == pytest.approx(1 - len(rewards) / N)
    assert record.calls == len(rewards)
    return N - len(rewards)


def test_with_enough_tries_the_scores_are_the_same(search: Callable[..., GridSearch]) -> None:
    """When every call is answered in the end, every number but the latency is that of the faultless search, even where
    four of five requests fail, in all ways that there are."""
    with openai_server(FaultyServer(script)) as server:
        clean = search(server, "clean").trial_records()
    faults = dict.fromkeys((*INFRASTRUCTURE, "slow"), 0.1)
    with openai_server(FaultyServer(script, 0, faults, latency_s=0.002)) as server:
        records = search(server, "faulty", max_attempts=100, timeout_s=0.6, total_timeout_s=1e9).trial_records()
        assert all(server.met[fault] for fault in INFRASTRUCTURE)
    for record, expected in zip(records, clean, strict=True):
        assert record.retries > 0 == expected.retries
        assert _without_latency(record.metrics) == _without_latency(expected.metrics)
        assert (record.calls, record.prompt_tokens, record.score) == (N, expected.prompt_tokens, expected.score)


def _without_latency(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if "latency" not in name}


def test_the_same_seed_fails_in_the_same_way(search: Callable[..., GridSearch]) -> None:
    """However many calls are in flight: faults hang on what is asked, not on when."""
    met = []
    for concurrency in (1, 8):
        with openai_server(FaultyServer(script, 7, A_THIRD)) as server:
            search(server, f"at-{concurrency}", concurrency=concurrency)
            met.append((server.met, sorted(server.tries.values()), server.peak > 1))
    assert met[0][:2] == met[1][:2]
    assert [several for *_, several in met] == [False, True]


def test_a_reply_that_does_not_validate_is_kept(search: Callable[..., GridSearch]) -> None:
    """That is the model's fault: wrong, stored, and not asked again, neither now nor by a second search."""
    with openai_server(FaultyServer(script, 0, {"schema": 0.4})) as server:
        records = search(server).trial_records()
        invalid = [row["status"] for record in records for row in rows(record)].count("invalid")
        assert invalid == server.met["schema"] > 0
        assert [record.metrics["val_failure_rate"] for record in records] == [0.0, 0.0]
        assert sum(record.metrics["val_invalid_rate"] * N for record in records) == pytest.approx(invalid)
        search(server)
        assert len(server.asked) == 2 * N


@pytest.mark.parametrize("fault", ["429", "500", "reset"])
def test_a_dead_server_ends_the_search(search: Callable[..., GridSearch], fault: str) -> None:
    """When twenty calls in a row are given up the search ends with one line, that says why."""
    with openai_server(FaultyServer(script, 0, {fault: 1.0})) as server:
        with pytest.raises(FatalError, match=r"20 calls in a row were given up.*gave up after 2 attempts") as caught:
            search(server, temperatures=[0.0, 0.25, 0.5, 0.75, 1.0], concurrency=4)
        assert 2 * 20 <= len(server.asked) <= 2 * (20 + 4)
    assert "\n" not in str(caught.value)


def test_a_refused_key_ends_the_search_at_the_first_call(search: Callable[..., GridSearch]) -> None:
    """401 stays 401: there is no second attempt, and no call beside those that were on their way."""
    for concurrency in (1, 4):
        with openai_server(FaultyServer(script, 0, {"401": 1.0}, latency_s=0.02)) as server:
            with pytest.raises(FatalError, match="not now") as caught:
                search(server, f"at-{concurrency}", concurrency=concurrency)
            assert len(server.asked) == concurrency
        assert "\n" not in str(caught.value)


def test_a_missing_key_ends_the_search_before_the_first_call(search: Callable[..., GridSearch]) -> None:
    """The error names the variable to set."""
    with openai_server(FaultyServer(script)) as server:
        with pytest.raises(FatalError, match="'MY_KEY'"):
            search(server, api_key_env="MY_KEY")
        assert server.asked == []


def test_a_server_that_restarts() -> None:
    """A refused connection is tried again, and the server is found when it is back."""
    with openai_server(FaultyServer(script)) as server:
        model = LanguageModel("openai/m", api_base=server.api_base)
    with contextlib.ExitStack() as stack:

        async def restart(seconds: float) -> None:
            stack.enter_context(openai_server(FaultyServer(script), port=int(server.address.rpartition(":")[2])))

        model.pause = restart
        reply = run_maybe_nested(model.complete(Request((("user", "text 1"),), structured_output="text")))
    assert (reply.text, reply.attempts) == ('{"label": "fear"}', 2)
