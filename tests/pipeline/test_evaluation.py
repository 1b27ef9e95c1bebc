"""The held-out test: every replicate, the baseline as often, and the frontier where it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from openai_server import Answer, Asked, OpenAIServer, chat, openai_server

from paretune.files import read_json, read_jsonl
from paretune.stages import evaluate, search

ROOT = Path(__file__).resolve().parents[2]


def answer(asked: Asked) -> Answer:
    """Right about every even text at temperature 0, about every third one at .5; the seed of a replicate shifts it."""
    body = asked.body
    number = int(str(body["messages"][-1]["content"]).split("number ")[-1].split()[0].strip('"}'))
    step = 2 if not body.get("temperature") else 3
    label = "joy" if (number + (body.get("seed") or 0)) % step == 0 else "fear"
    return chat(json.dumps({"label": label}), usage={"prompt_tokens": 10 * step, "completion_tokens": 1})


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A model that is right about some texts."""
    with openai_server() as running:
        running.answer = answer
        yield running


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: OpenAIServer) -> Path:
    """Twelve texts to validate and twelve to test, all of joy; two temperatures; two replicates with seeds."""
    for file, count in (("splits/train", 2), ("splits/val", 12), ("materialized/test", 12)):
        rows = [{"x": {"text": f"number {n}"}, "y": {"label": "joy"}} for n in range(count)]
        (tmp_path / "data" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"data/{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["lm"] |= {"model": "openai/m", "api_base": server.api_base}
    params["program"] |= {"structured_output": "native", "seed": 0}
    params["search"] |= {
        "space": {"temperature": {"kind": "choice", "values": [0.0, 0.5]}},
        "executions_per_trial": 2,
    }
    params["evaluate"] |= {"baseline": {"temperature": 0.5}, "frontier": True, "human": None}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / ".paretune"))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_replicate_is_tested(project: Path) -> None:
    """Two replicates of the winner, of the baseline and of each trial on the frontier; rewards are means over them."""
    search.main()
    evaluate.main()
    best = read_json("data/search/best.json")
    rows = list(read_jsonl("data/evaluation/predictions.jsonl"))
    assert [row["replicate"] for row in rows] == [0] * 12 + [1] * 12
    rewards = [row["reward"] for row in rows]
    metrics = read_json("reports/detail.json")
    assert metrics["test"]["reward"] == pytest.approx(sum(rewards) / 24)
    table = list(read_jsonl("reports/test_rewards.jsonl"))
    assert [row["winner"] for row in table] == [(rewards[n] + rewards[n + 12]) / 2 for n in range(12)]
    assert len({row["example"] for row in table}) == 12
    base = [row["reward"] for row in read_jsonl("data/evaluation/baseline.jsonl")]
    assert len(base) == 24 and metrics["baseline"]["reward"] == pytest.approx(sum(base) / 24)
    assert metrics["gain"]["reward"] == pytest.approx(sum(rewards) / 24 - sum(base) / 24)
    others = [name for name in best["frontier"] if name != best["trial"]]
    tested = list(read_jsonl("data/evaluation/frontier.jsonl"))
    assert [row["trial"] for row in tested[::24]] == [best["trial"], *others]
    assert metrics["test"]["looks"] == 1 + len(others)
    assert set(metrics) >= {f"frontier_{name}" for name in others} | {f"gain_{name}" for name in others}


def test_the_same_test_again_is_no_new_look(project: Path, server: OpenAIServer) -> None:
    """A second run asks nothing and counts nothing; another winner does."""
    search.main()
    evaluate.main()
    first, calls = read_json("reports/detail.json"), len(server.asked)
    evaluate.main()
    assert read_json("reports/detail.json") == first and len(server.asked) == calls
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["search"]["space"]["temperature"]["values"] = [0.0]
    params["task"]["instructions"] = "Say it in other words."
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    search.main()
    evaluate.main()
    assert read_json("reports/detail.json")["test"]["looks"] == first["test"]["looks"] + 1
