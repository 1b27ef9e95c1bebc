"""What is in report.html: its policy, its data, and what a budget of bytes leaves out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up_page import LABELS, NUMBERS, Search, made_up, with_a_dropped_trial
from made_up_trials import REWARD, TRIALS, goals, measures_of

from paretune.reporting.html.blocks import ExampleData, matrix, packed
from paretune.reporting.html.page import joined
from paretune.reporting.report import report
from paretune.trials.rules import Rule
from paretune.trials.winner import Best

APP = Path(__file__).resolve().parents[3] / "src/paretune/reporting/html/app"
HOSTILE = [
    "</script><script>document.title = 'owned'</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} ${7 * 7}",
    "right\u202eto left\u2066",
    "\U0001f600 é \x00\x1b[31m\x7f",
    "\ud800 half a character",
    "x" * 10_000,
]


def opened(page: Path) -> Callable[[str], Any]:
    """A function that decodes one part of the page."""
    parts = dict(re.findall(r'<script type="text/plain" id="([^"]*)">([^<]*)</script>', page.read_text()))
    return lambda name: json.loads(zlib.decompress(base64.b64decode(parts[name]), -zlib.MAX_WBITS))


@pytest.fixture(scope="module")
def search() -> Search:
    """A small search with replicates."""
    return made_up(6, 40, replicates=2, words=10)


def test_the_policy_allows_the_page_alone(search: Search, tmp_path: Path) -> None:
    """One script and one style, each by its hash; nothing may be loaded, sent or framed."""
    text = search.write(tmp_path).read_text()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (script, style)]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_hostile_texts_stay_in_base64(tmp_path: Path) -> None:
    """Whatever inputs and replies hold, the file has the tags of the page alone, and gives the texts back."""
    search = made_up(3, 20, texts=HOSTILE)
    page = search.write(tmp_path, title="<b>&'\"")
    plain = made_up(3, 20).write(tmp_path / "other")
    count = re.compile(r"<[a-zA-Z/!]")
    assert len(count.findall(page.read_text())) == len(count.findall(plain.read_text()))
    read = opened(page)
    assert read("example-0")["x"] == {"text": HOSTILE[0]}
    assert read("example-6")["x"]["text"].endswith("half a character")
    assert any(HOSTILE[0] in text for text, _ in read("example-0")["replies"])


def test_modules_can_be_joined() -> None:
    """Each module imports from earlier ones only, in lines that are cut, and no name is declared twice."""
    order = re.findall(r'"(\w+)"', (APP.parent / "page.py").read_text().split("_MODULES = (")[1].split(")")[0])
    assert sorted(order) == sorted(path.stem for path in APP.glob("*.js"))
    names: list[str] = []
    for place, module in enumerate(order):
        text = (APP / f"{module}.js").read_text()
        imported = re.findall(r'^import .*? from "\./(\w+)\.js";', text, re.MULTILINE | re.DOTALL)
        assert [each for each in imported if order.index(each) >= place] == [], module
        names += re.findall(r"^(?:export )?(?:async )?(?:function|const|let|class) (\w+)", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert "import " not in re.sub(r"@\w+.*", "", joined()).replace("import(", "")
    assert "innerHTML" not in joined() and "eval(" not in joined()


def test_an_example_has_every_answer_and_the_texts(search: Search, tmp_path: Path) -> None:
    """Answers, rewards, prompts and replies of each replicate are those of the records."""
    read = opened(search.write(tmp_path))
    block, table, prompts = read("example-3"), read("matrix"), read("prompts")
    for record in search.records:
        for replicate, (answer, error, calls) in enumerate(block["runs"][record.trial]):
            outcome = record.replicates[replicate].examples[3]
            assert block["answers"][answer] == outcome.output
            assert (None if error is None else block["errors"][error]) == outcome.error
            assert table["rewards"][record.trial][40 * replicate + 3] == outcome.reward
            ((prompt, question, reply),) = calls
            assert prompts[prompt]["model"] == record.values["model"]
            assert block["questions"][question] == ["user", search.data.x[3]["text"]]
            assert block["replies"][reply][1] == "stop"
    assert block["y"] == search.data.y[3]


def test_classes_are_counted_from_the_gold_outputs(search: Search, tmp_path: Path) -> None:
    """The one text field with few values is the class; what is no valid answer is -1."""
    classes = opened(search.write(tmp_path))("matrix")["classes"]
    assert (classes["kind"], classes["labels"]) == ("label", list(LABELS))
    assert [LABELS[place] for place in classes["gold"]] == [row["label"] for row in search.data.y]
    first = search.records[0]
    expected = [-1 if one.output is None else LABELS.index(one.output["label"]) for one in first.outcomes]
    assert classes["answers"][first.trial] == expected


@pytest.mark.parametrize(
    ("gold", "kind"),
    [
        ([{"joy": True, "fear": False}, {"joy": False, "fear": False}], "flags"),
        ([{"joy": 0.1, "fear": 0.9}, {"joy": 1.0, "fear": 0.0}], "flags"),
        ([{"topics": ["a", "b"]}, {"topics": []}, {"topics": None}, {"topics": ["a"]}], "flags"),
        ([{"words": ["a"], "total": 1.5}, {"words": ["b", "c"], "total": 2.5}], None),
        ([{"answer": 12.0}, {"answer": 3.5}], None),
        ([{"text": "all"}, {"text": "different"}], None),
        ([], None),
    ],
)
def test_which_outputs_are_classes(gold: list[dict[str, Any]], kind: str | None) -> None:
    """Yes or no a field, or scores, or a list of labels of which there are few; free text and numbers are none."""
    classes = matrix([], ExampleData([{}] * len(gold), gold))["classes"]
    assert (None if classes is None else classes["kind"]) == kind


def test_lists_of_labels_are_flags() -> None:
    """Label a is 1, b is 2; a list has the sum of those in it."""
    gold: list[dict[str, Any]] = [{"topics": topics} for topics in (["b", "a"], [], None, ["b"])]
    classes = matrix([], ExampleData([{}] * len(gold), gold))["classes"]
    assert (classes["labels"], classes["gold"]) == (["a", "b"], [3, 0, 0, 2])


def test_a_budget_leaves_out_the_texts_of_lesser_trials(tmp_path: Path) -> None:
    """The page keeps to it; the winner's texts come first, the worst trials' are left out, answers never."""
    search = made_up(30, 120, words=120)
    whole, page = search.write(tmp_path / "whole"), search.write(tmp_path / "small", max_mb=0.4)
    assert page.stat().st_size <= 400_000 < whole.stat().st_size
    read = opened(page)
    kept = read("facts")["texts"]["trials"]
    assert kept[0] == search.best.trial and 0 < len(kept) < 30
    assert set(search.best.frontier) <= set(kept) or set(kept) <= {search.best.trial, *search.best.frontier}
    runs = read("example-5")["runs"]
    assert {trial for trial, found in runs.items() if found[0][2]} == set(kept)
    assert runs.keys() == {record.trial for record in search.records}
    assert len(opened(whole)("facts")["texts"]["trials"]) == 30


def test_equal_input_gives_equal_bytes(search: Search, tmp_path: Path) -> None:
    """The page has no time and no random number in it."""
    assert search.write(tmp_path / "a").read_bytes() == search.write(tmp_path / "b").read_bytes()


def test_without_replies_and_without_a_test(search: Search, tmp_path: Path) -> None:
    """Where the replies were not kept and nothing was tested, the rest is there."""
    read = opened(search.write(tmp_path, examples=ExampleData(search.data.x, search.data.y), numbers=None))
    assert read("facts")["texts"] == {"kept": False, "trials": [], "max_mb": 20.0}
    assert read("facts")["numbers"] is None
    assert read("example-1")["runs"][search.best.trial][0][2] == []


def test_the_facts_of_a_search(tmp_path: Path) -> None:
    """The winner with its reason, a row a trial with intervals, dollars of 1,000 examples, shares of importance."""
    search = made_up(6, 40)
    facts = opened(search.write(tmp_path, x="val_tokens_per_request", y="val_reward"))("facts")
    assert facts["winner"]["trial"] == search.best.trial and facts["winner"]["why"] == search.best.why
    assert facts["numbers"] == NUMBERS and facts["axes"] == {"x": "val_tokens_per_request", "y": "val_reward"}
    row = next(each for each in facts["trials"] if each["trial"] == search.best.trial)
    value, lo, hi = row["metrics"]["val_reward"]
    assert lo < value < hi and value == pytest.approx(search.best.metrics["val_reward"])
    assert row["metrics"]["val_cost"][0] == pytest.approx(1000 * search.best.metrics["val_cost"])
    assert {each["name"] for each in facts["importance"]["val_reward"]} == {"model", "few_shot", "temperature"}
    assert 0 < facts["winner"]["detectable"]["test"] < facts["winner"]["detectable"]["validation"] < 1


def test_a_dropped_trial_has_the_examples_that_it_ran(tmp_path: Path) -> None:
    """Its rewards stand at their examples, the others are marked, and why it was dropped is told."""
    whole = made_up(4, 40)
    search = with_a_dropped_trial(whole)
    last = search.records[-1]
    read = opened(search.write(tmp_path))
    table = read("matrix")
    assert [place for place, code in enumerate(table["states"][last.trial]) if code != "-"] == [1, 4, 7]
    assert table["rewards"][last.trial][4] == whole.records[-1].replicates[0].examples[4].reward
    assert table["rewards"][last.trial][5] is None and table["classes"]["answers"][last.trial][5] == -1
    assert last.trial in read("example-7")["runs"] and last.trial not in read("example-8")["runs"]
    facts, models = read("facts"), {record.values["model"] for record in search.records}
    assert models > {record.values["model"] for record in search.records[:-1]}
    assert [each["groups"] for each in facts["importance"]["val_reward"] if each["name"] == "model"] == [len(models)]
    row = facts["trials"][-1]
    assert row["dropped"] == {"by": "0001", "why": "reward 0.3 lower", "saved": 37} and row["status"] == "DROPPED"


def test_a_search_with_one_objective(tmp_path: Path) -> None:
    """Its trials stand in their order; records without examples have no block."""
    best = Best.of(TRIALS, goals(REWARD), Rule("best_score"), measures=measures_of(TRIALS))
    paths = report(TRIALS, measures_of(TRIALS), best, tmp_path, examples=ExampleData([], []), resamples=100)
    assert opened(paths[-1])("facts")["axes"] == {"x": "trial", "y": "val_reward"}


def test_packed_texts_have_no_sign_of_markup() -> None:
    """Base64 has neither ``<`` nor quotes, whatever is in it."""
    assert re.fullmatch(r"[A-Za-z0-9+/=]*", packed(HOSTILE))
