"""`paretune trials`, `show`, `best` and `compare` on a finished project."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from finished_project import FORMULA, ODD, N, parsed, printed, write_project

from paretune.files import write_jsonl
from paretune.stats import agresti_min, mcnemar, wilson

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, written once."""
    root = tmp_path_factory.mktemp("finished") / "project"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_project(root)
    return root


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, and in it a wide terminal."""
    root = tmp_path / "project"
    shutil.copytree(finished, root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("COLUMNS", "150")
    return root


def column(text: str, place: int = 0) -> list[str]:
    """The first words of the lines of a table, without its head and what stands below."""
    return [line.split()[place] for line in text.splitlines()[1:] if re.match("[0-9]{4} ", line)]


def test_trials_are_listed_best_first(project: Path, capsys: Capsys) -> None:
    """By the first objective; each with its place, what varies and the objectives with their intervals."""
    code, text = printed(capsys, "trials")
    head, first, *_, last = text.splitlines()
    assert code == 0 and head.split() == [
        "trial",
        "place",
        "few_shot",
        "model",
        "reward",
        "tokens_per_request",
        "probability",
    ]
    lo, hi = wilson(16, 20)
    assert first.split() == ["0002", "winner", "6", "openai/small", "0.80", f"({lo:.2f}–{hi:.2f})", "202", "1"]
    assert column(text) == ["0002", "0001", "0003", "0004", "0005"]
    assert [line.split()[1] for line in text.splitlines()[2:6]] == ["frontier", "6", "dropped", "failed"]
    assert last == "5 trials, 2 on the frontier, sorted by val_reward"


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (["few_shot=6"], ["0002", "0003"]),
        (["val_reward>=0.5"], ["0002", "0001"]),
        (["reward<0.5"], ["0003"]),
        (["few_shot=6", "on_frontier=true"], ["0002"]),
        (["model!=openai/small", "status=COMPLETED"], ["0003"]),
        (["val_reward="], ["0004", "0005"]),
        ([f"model={FORMULA}"], ["0003"]),
        (["few_shot>99"], []),
        (["--sort", "tokens_per_request"], ["0001", "0003", "0002", "0004", "0005"]),
        (["--sort", "tokens_per_request", "--reverse"], ["0002", "0003", "0001", "0004", "0005"]),
        (["--sort", "model"], ["0004", "0003", "0005", "0001", "0002"]),
        (["--limit", "2"], ["0002", "0001"]),
        (["--limit", "0", "few_shot=6"], ["0002", "0003"]),
    ],
)
def test_trials_are_filtered_and_sorted(project: Path, capsys: Capsys, command: list[str], names: list[str]) -> None:
    """Filters hold together and know missing values; sorting puts the best first and missing values last."""
    code, text = printed(capsys, "trials", *command)
    assert code == 0 and column(text) == names


def test_columns_are_chosen(project: Path, capsys: Capsys) -> None:
    """Any column of trials.csv, numbers set right; one that is none is an error with what there is."""
    text = printed(capsys, "trials", "--columns", "trial,calls,val_cost", "few_shot=6")[1]
    assert text.splitlines()[:2] == ["trial  place   calls     cost", "0002   winner     20  0.00001"]
    assert "did you mean 'few_shot'?; there are: trial, status, " in printed(capsys, "trials", "fewshot=6")[1]
    assert printed(capsys, "trials", "--sort", "nothing")[0] == 1
    assert "a filter is a column, one of = != < <= > >=" in printed(capsys, "trials", "few_shot")[1]


def test_rows_as_json_have_their_types(project: Path, capsys: Capsys) -> None:
    """Names stay text, numbers and yes and no are such, and a formula is what it was."""
    rows = {row["trial"]: row for row in parsed(capsys, "trials")}
    assert list(rows) == ["0002", "0001", "0003", "0004", "0005"]
    assert (rows["0003"]["model"], rows["0004"]["model"]) == (FORMULA, "-1+1")
    assert (rows["0002"]["few_shot"], rows["0002"]["is_winner"], rows["0005"]["feasible"]) == (6, True, False)
    assert rows["0004"]["dropped_by"] == "0002" and rows["0005"]["val_reward"] is None


def test_a_spreadsheet_finds_no_formula(project: Path) -> None:
    """In trials.csv a text that a spreadsheet would compute begins with an apostrophe; numbers do not."""
    text = (project / "reports/trials.csv").read_text()
    assert f",'{FORMULA}," in text and ",'-1+1," in text and ",-0.7798," in text


@pytest.mark.parametrize("columns", [40, 80, 100, 150])
def test_a_table_fits_the_terminal(
    project: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """Intervals go first, then hyperparameters, which is told; the objectives stay."""
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = printed(capsys, "trials")[1].splitlines()
    assert all(len(line) <= max(columns, 45) for line in lines[:6])
    assert "reward" in lines[0] and "tokens_per_request" in lines[0]
    assert ("(0.58" in lines[1]) == (columns >= 100)
    assert any(line.startswith("(no room for: ") for line in lines) == (columns < 80)


def test_best_tells_the_winner(project: Path, capsys: Capsys) -> None:
    """Which, why, its hyperparameters, the test with intervals, the gain and the looks."""
    code, text = printed(capsys, "best")
    lo, hi = agresti_min(6, 0, N)
    assert code == 0 and text.startswith("trial 0002 wins by the rule epsilon\nTrial 2 has the best reward 0.8")
    assert "few_shot  6" in text and "0.80 (0." in text and "2 configurations were tested" in text
    assert f"+30 points (+{100 * lo:.2f} to +{100 * hi:.1f})" in text and f"mid-p {mcnemar(6, 0):.3g}" in text
    found = parsed(capsys, "best")
    assert (
        found["winner"]["hyperparameters"] == {"few_shot": 6, "model": "openai/small"}
        and found["test"]["reward"] == 0.8
    )


def test_show_tells_a_trial(project: Path, capsys: Capsys) -> None:
    """Hyperparameters, metrics, what was invalid, the instructions, then its examples; zeros may be left out."""
    code, text = printed(capsys, "show", "2", "--wrong", "--limit", "1")
    assert code == 0 and text.startswith("trial 0002: winner\n  few_shot  6\n")
    assert "invalid: 20% cut off" in text and "generator: 6 examples" in text
    assert "20 validation examples, 4 of them with less than the whole reward; 1 shown" in text
    assert text.endswith("example 17: reward 0\n  input   text 17\n  gold    joy\n  answer  (invalid, cut off)\n")
    one = parsed(capsys, "show", "2", "--example", "3")
    assert [row["example"] for row in one["examples"]] == [3] and one["few_shot"] == 6
    assert "there is no trial '99' among 0001 to 0005" in printed(capsys, "show", "99")[1]


def test_show_tells_of_trials_that_ended_early(project: Path, capsys: Capsys) -> None:
    """A dropped one has the examples that it ran, under their numbers; a failed one its error."""
    text = printed(capsys, "show", "4")[1]
    assert "dropped for trial 0002: 0002 is better; 17 calls saved" in text
    assert [line.split(":")[0] for line in text.splitlines() if line.startswith("example")] == [
        "example 4", "example 6", "example 8",
    ]  # fmt: skip
    text = printed(capsys, "show", "5")[1]
    assert "trial 0005: failed\nno\\x1b reply" in text and "no validation example was run" in text


def test_text_of_others_is_shown_as_text(project: Path, capsys: Capsys) -> None:
    """Nothing steers the terminal, and what is long is cut to its width; --full shows all, still without that."""
    text = printed(capsys, "show", "1", "--limit", "1")[1]
    line = next(line for line in text.splitlines() if line.startswith("  input"))
    assert "\\x1b[31m</script>" in line and "\\u202eleft 😀\\nsecond line" in line and line.endswith("…")
    assert len(line) <= 150 and "Say\\x07 what it is." in text
    text = printed(capsys, "show", "1", "--limit", "1", "--full")[1]
    assert text.count("long ") == ODD.count("long ") and "\x1b" not in text and "\u202e" not in text


def test_show_reads_the_replies_that_a_search_has_kept(project: Path, capsys: Capsys) -> None:
    """The prompt once, and the raw reply with each example, where data/search/replies.jsonl is there."""
    prompt = {"module": "generator", "model": "openai/small", "messages": [["system", "Be\x1b brief."]], "request": {}}
    rows = [
        {
            "prompts": [] if number else [prompt],
            "questions": [["user", f"text {number}"]],
            "replies": [[f'{{"label": "{number}"}}', "length" if number else "stop"]],
            "calls": {"0001": [[0, 0, 0]]},
        }
        for number in range(N)
    ]
    write_jsonl(project / "data/search/replies.jsonl", rows)
    text = printed(capsys, "show", "1", "--limit", "2")[1]
    assert text.count("prompt 1: generator to openai/small") == 1 and "system  Be\\x1b brief." in text
    assert '  reply   {"label": "0"}\n' in text and '  reply   {"label": "1"} [length]\n' in text
    assert "reply" not in printed(capsys, "show", "2", "--limit", "2")[1]
    write_jsonl(project / "data/search/replies.jsonl", [{"prompts": 3}])
    assert "holds no replies" in printed(capsys, "show", "1")[1]


def test_two_trials_are_compared_in_pairs(project: Path, capsys: Capsys) -> None:
    """Of 16 and 8 right, nested: 8 won, none lost; only the examples that differ are listed."""
    code, text = printed(capsys, "compare", "2", "3", "--limit", "1")
    lo, hi = agresti_min(8, 0, N)
    assert code == 0 and f"0002 minus 0003: +40 points (+{100 * lo:.1f} to +{100 * hi:.1f}) of reward on 20" in text
    assert f"mid-p {mcnemar(8, 0):.3g}" in text and "a difference is shown" in text
    assert "0002 is better on 8, 0003 on 0; on 12 both are equal" in text
    assert "example 9: 0002 1, 0003 0\n  input  text 9\n  gold   joy\n  0002   joy\n  0003   fear\n" in text
    found = parsed(capsys, "compare", "3", "2")
    assert found["difference"]["value"] == -0.4 and [row["example"] for row in found["examples"]] == [*range(9, 17)]
    assert parsed(capsys, "compare", "3", "2", "--better", "a")["examples"] == []
    text = printed(capsys, "compare", "1", "4")[1]
    assert "on 3 examples" in text and "example 8: 0001 1, 0004 0" in text


def test_two_revisions_are_compared_on_the_test(project: Path, capsys: Capsys) -> None:
    """By the rewards that Git has; test examples are told by their digests alone."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q", "-b", "main"], ["add", "reports"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    path = project / "reports/test_rewards.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    write_jsonl(path, [{**row, "winner": 0.0 if n == 0 else row["winner"]} for n, row in enumerate(rows)])
    code, text = printed(capsys, "compare", "workspace", "main")
    assert code == 0 and "workspace minus main: -5 points" in text and text.endswith("e0                    0     1\n")
    assert parsed(capsys, "compare", "main", "workspace")["examples"] == [{"example": "e0", "a": 1.0, "b": 0.0}]
    assert "cannot be read at 'nowhere'" in printed(capsys, "compare", "main", "nowhere")[1]


def test_the_summary_for_a_pull_request(project: Path) -> None:
    """The winner and why, the test, the gain, the frontier; what others wrote is in code spans."""
    text = (project / "reports/report.md").read_text()
    assert text.startswith("### The winner: trial `0002`\n\n`few_shot` = `6`, `model` = `openai/small`\n\nTrial 2 has")
    assert "| reward | 0.80 (0.58–0.92) | 0.50 (0.30–0.70) | 0.80 (0.58–0.92) |" in text
    assert "| **`0002`** | `6` | `openai/small` | 0.80 (0.58–0.92) | 202 | 1 |" in text
    assert "gains +30 points" in text and "The frontier: 2 of 5 trials" in text


@pytest.mark.parametrize("command", [["trials"], ["best"], ["show", "1"], ["compare", "1", "2"]])
def test_what_is_missing_is_told(project: Path, capsys: Capsys, command: list[str]) -> None:
    """A file that is missing or broken is one line with what to run."""
    for name in ("data/search/trials.jsonl", "reports/detail.json", "reports/trials.csv"):
        for content in ("{}\n", None):
            path = project / name
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_text(content)
            code, text = printed(capsys, *command)
            assert code == 0 or (text.startswith("error: ") and "run dvc" in text and text.count("\n") == 1)
    assert code == 1
