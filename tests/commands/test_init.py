"""`paretune init`: from raw files of each kind to projects that compose and whose rows all fit; what it refuses."""

from __future__ import annotations

import csv
import gzip
import json
import os
import pty
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from paretune.commands.main import main
from paretune.errors import ConfigError
from paretune.files import read_jsonl
from paretune.pipeline.conf_digest import conf_digest
from paretune.project.conf_text import edited, yaml_text
from paretune.project.make import check_rows
from paretune.shared_files import NAMES, SHARED
from paretune.stages import check_params, materialize

Rows = list[dict[str, Any]]
TOPICS = ("Billing", "Delivery", "Account", "Product")
TEXTS = [f"Customer number {n} writes about {TOPICS[n % 4].lower()} and other things" for n in range(48)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, outside of any repository, for a person whom Git does not know."""
    root = tmp_path / "here"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "140")
    return root


def write_csv(name: str, rows: Rows, delimiter: str = ",") -> str:
    """A table with a mark of UTF-8, as spreadsheets write it."""
    with open(name, "w", encoding="utf-8-sig", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return name


def write_jsonl_gz(name: str, rows: Rows) -> str:
    with gzip.open(name, "wt", encoding="utf-8") as handle:
        handle.writelines(json.dumps(row) + "\n" for row in rows)
    return name


def write_parquet(name: str, rows: Rows) -> str:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), name)
    return name


def write_xlsx(name: str, rows: Rows) -> str:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for cells in ([*rows[0]], *(list(row.values()) for row in rows)):
        book.active.append(cells)
    book.save(name)
    return name


def init(*arguments: str) -> Path:
    """Make the project `mine` without a question; its folder."""
    main(["init", "mine", *arguments])
    return Path("mine").resolve()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The error's lines; nothing is made."""
    with pytest.raises(SystemExit) as ended:
        main(["init", "mine", *arguments])
    lines = capsys.readouterr().err
    assert ended.value.code == 1 and lines.startswith("error: ") and len(lines.splitlines()) <= 3
    assert not [path for path in Path.cwd().iterdir() if path.name in ("mine",) or path.name.startswith(".mine")]
    return lines


def tickets(n: int = 48) -> Rows:
    """Messy: blanks and brackets in names, an identifier, a constant, labels in two spellings, one of them missing."""
    rows = [
        {"Ticket #": n, "Message (raw)": text, "lang": "en", "Agent's topic": TOPICS[n % 4]}
        for n, text in enumerate(TEXTS[:n])
    ]
    rows[3]["Agent's topic"], rows[8]["Agent's topic"] = "", "billing "
    return [*rows, dict(rows[5], **{"Ticket #": 99})]


def invoices() -> Rows:
    return [
        {
            "doc": f"Invoice {n} of {n % 27 + 1:02}.03.2024 by Firm {n % 5}: paper, toner; {n * 10} euros. Thank you.",
            "Vendor": f"Firm {n % 5}",
            "Date": f"{n % 27 + 1:02}.03.2024",
            "Total": n * 10.5,
            "paid?": n % 3 == 0,
            "items": ["paper", "toner"][: n % 3],
            "PO": f"PO-{n}" if n % 2 else None,
            "buyer": {"name": f"Buyer {n}", "city": None if n % 4 else "Ulm"},
        }
        for n in range(40)
    ]


KINDS: dict[str, tuple[Callable[[], list[str]], dict[str, Any]]] = {
    "single, csv": (lambda: ["--data", write_csv("t.csv", tickets(), ";")], {"layout": "categorical", "rows": 47}),
    "single, 0 and 1, tsv": (
        lambda: ["--data", write_csv("t.tsv", [{"text": text, "label": n % 2} for n, text in enumerate(TEXTS)], "\t")],
        {"layout": "categorical", "rows": 48},
    ),
    "multi, jsonl.gz": (
        lambda: [
            "--data",
            write_jsonl_gz(
                "t.jsonl.gz", [{"text": t, "topics": list(TOPICS[n % 4 : n % 7])} for n, t in enumerate(TEXTS)]
            ),
        ],
        {"layout": "labels", "rows": 48},
    ),
    "multi, a separator": (
        lambda: [
            "--data",
            write_csv("t.csv", [{"text": t, "topics": "; ".join(TOPICS[n % 4 : n % 7])} for n, t in enumerate(TEXTS)]),
        ],
        {"layout": "labels", "rows": 48},
    ),
    "multi, a column a label": (
        lambda: [
            *("--data", write_csv("t.csv", [{"text": t, "a b": n % 2, "c": n % 3 == 0} for n, t in enumerate(TEXTS)])),
            *("--target", "a b", "c"),
        ],
        {"layout": "labels", "rows": 48},
    ),
    "number, xlsx": (
        lambda: ["--data", write_xlsx("t.xlsx", [{"No.": n, "Q": t, "Answer": n * 1.5} for n, t in enumerate(TEXTS)])],
        {"layout": "fields", "rows": 48},
    ),
    "text, json": (
        lambda: [
            "--data",
            str(
                Path("t.json").write_text(json.dumps([{"q": t, "capital": f"City {n}"} for n, t in enumerate(TEXTS)]))
                and "t.json"
            ),
        ],
        {"layout": "fields", "rows": 48},
    ),
    "text, several answers, csv": (
        lambda: [
            "--data",
            write_csv("t.csv", [{"q": t, "answers": str([f"City {n}", f"Town {n}"])} for n, t in enumerate(TEXTS)]),
        ],
        {"layout": "fields", "rows": 48},
    ),
    "extract, parquet": (
        lambda: [
            *("--data", write_parquet("t.parquet", invoices()), "--input", "doc"),
            *("--target", "Vendor", "Date", "Total", "paid?", "items", "PO", "buyer"),
        ],
        {"layout": "fields", "rows": 40},
    ),
    "a test file": (
        lambda: [
            *("--data", write_csv("a.csv", tickets(40))),
            *(
                "--test",
                write_jsonl_gz("b.jsonl.gz", tickets()[40:48]),
                "--instructions",
                'Say "what": ${x}',
            ),
        ],
        {"layout": "categorical", "rows": 47},
    ),
}


def test_rows_of_both_files_are_in_the_test_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """They are told, and nothing is tuned on them; an identifier that differs makes no other row."""
    root = init("--data", write_csv("a.csv", tickets(40)), "--test", write_csv("b.csv", tickets()[36:48]))
    assert "4 rows of a.csv are in b.csv as well: used in the test alone" in capsys.readouterr().out
    parts = {split: list(read_jsonl(root / f"data/{split}.jsonl")) for split in ("train", "test")}
    assert {split: len(rows) for split, rows in parts.items()} == {"train": 35, "test": 12}


@pytest.mark.parametrize("kind", KINDS)
def test_a_project_of_each_kind(kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Composed and fresh; check_params and materialize pass on both parts; no row is lost or in both."""
    arguments, expected = KINDS[kind]
    root = init(*arguments())
    told = capsys.readouterr().out
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    assert params["conf_digest"] == conf_digest(root / "conf")
    assert params["layout"]["name"] == expected["layout"] and params["task"]["name"] == "mine"
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name in (name for stage in stages.values() for name in stage.get("do", stage).get("params", ())):
        value = params
        for part in name.replace("${key}", "train").split("."):
            value = value[part]  # DVC refuses a stage whose parameter is not there
    parts = {split: list(read_jsonl(root / f"data/{split}.jsonl")) for split in ("train", "test")}
    assert sum(map(len, parts.values())) == expected["rows"] and f"all {expected['rows']} rows" in told
    texts = [json.dumps(row, sort_keys=True) for rows in parts.values() for row in rows]
    assert len(set(texts)) == len(texts)
    monkeypatch.chdir(root)
    check_params.main()
    for split, rows in parts.items():
        monkeypatch.setattr(sys, "argv", ["materialize", split])
        materialize.main()
        assert len(list(read_jsonl(f"data/materialized/{split}.jsonl"))) == len(rows)
    assert all((root / name).read_bytes() == (SHARED / name).read_bytes() for name in NAMES)


def test_the_cut_keeps_shares_and_spells_labels_alike(capsys: pytest.CaptureFixture[str]) -> None:
    """Every label has its share of the test; what was done to rows is told; the same seed gives the same files."""
    file = write_csv("t.csv", tickets())
    root = init("--data", file)
    told = capsys.readouterr().out
    for line in ("1 row without", "1 row with the label 'billing': it is 'Billing' now", "left out: 1 repeated row\n"):
        assert line in told
    test = [row["Agent's topic"] for row in read_jsonl(root / "data/test.jsonl")]
    assert len(test) == 15 and {test.count(topic) for topic in TOPICS} == {3, 4}
    main(["init", "again", "--data", file])
    assert (root / "data/test.jsonl").read_bytes() == Path("again/data/test.jsonl").read_bytes()
    main(["init", "other", "--data", file, "--seed", "1"])
    assert (root / "data/test.jsonl").read_bytes() != Path("other/data/test.jsonl").read_bytes()


def test_extraction_declares_each_field_by_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers, dates in their form, booleans, lists, optional texts and records; what the text holds is no choice."""
    arguments, _ = KINDS["extract, parquet"]
    root = init(*arguments())
    task = yaml.safe_load((root / "conf/task/mine.yaml").read_text(encoding="utf-8"))
    fields = {name: {**field} for name, field in task["output"]["fields"].items()}
    assert {name: field["type"] for name, field in fields.items()} == {
        "vendor": "str",
        "date": "date",
        "total": "float",
        "paid": "bool",
        "items": "str",
        "po": "str",
        "buyer": "record",
    }
    assert fields["date"]["format"] == "%d.%m.%Y" and fields["items"]["list"] and fields["po"]["optional"]
    assert fields["buyer"]["fields"] == {"name": {"type": "str"}, "city": {"type": "str", "optional": True}}
    assert fields["paid"]["column"] == "paid?" and "optional" not in fields["total"]


REFUSED: dict[str, tuple[Callable[[], list[str]], str]] = {
    "no file named": (lambda: [], "--data rows.csv"),
    "no such file": (lambda: ["--data", "none.csv"], "no such file: 'none.csv'"),
    "a header only": (lambda: ["--data", str(Path("t.csv").write_text("text,label\n") and "t.csv")], "no rows"),
    "an unknown ending": (lambda: ["--data", str(Path("t.doc").write_text("x") and "t.doc")], "unknown ending"),
    "an unknown column": (
        lambda: ["--data", write_csv("t.csv", tickets()), "--target", "topics"],
        "--target: no column 'topics'",
    ),
    "one label only": (
        lambda: ["--data", write_csv("t.csv", [{"text": t, "label": "a"} for t in TEXTS]), "--target", "label"],
        "two labels at least are needed (there is 'a')",
    ),
    "too few rows": (lambda: ["--data", write_csv("t.csv", tickets(20))], "30 rows with a right answer are needed"),
    "labels that are almost unique": (
        lambda: [
            *("--data", write_csv("t.csv", [{"text": t, "label": f"x{n}"} for n, t in enumerate(TEXTS)])),
            *("--kind", "single"),
        ],
        "48 different values in 48 rows are no labels to choose among; try --kind text",
    ),
    "no numbers": (lambda: ["--data", write_csv("t.csv", tickets()), "--kind", "number"], "not all values are numbers"),
    "an unclear target": (
        lambda: ["--data", write_csv("t.csv", [{"text": t, "u": n % 2, "v": n % 3} for n, t in enumerate(TEXTS)])],
        "which column holds the right answer? name it",
    ),
    "a target without a value": (
        lambda: ["--data", write_csv("t.csv", [{"text": t, "label": ""} for t in TEXTS]), "--target", "label"],
        "'label': no row has a right answer",
    ),
    "the target as the input": (
        lambda: ["--data", write_csv("t.csv", tickets()), "--input", "lang", "--target", "LANG"],
        "cannot be an input as well",
    ),
    "a test file of other columns": (
        lambda: ["--data", write_csv("a.csv", tickets()), "--test", write_csv("b.csv", [{"text": "a", "topic": "b"}])],
        "has no column",
    ),
    "an impossible share": (
        lambda: ["--data", write_csv("t.csv", tickets()), "--test-share", "1.5"],
        "must be > 0 and < 1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One error that names the value and the cure, no traceback, and nothing is left behind."""
    arguments, text = REFUSED[case]
    assert text in refused(capsys, *arguments())


def test_a_place_that_is_not_empty_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder with a file, and a file, stay as they are; an empty folder and one with a repository alone are fine."""
    file = write_csv("t.csv", tickets())
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    with pytest.raises(SystemExit):
        init("--data", file)
    assert "'mine' is not empty (notes.txt)" in capsys.readouterr().err and os.listdir("mine") == ["notes.txt"]
    Path("mine/notes.txt").unlink()
    subprocess.run(["git", "init", "--quiet", "mine"], check=True)
    assert (init("--data", file) / "dvc.yaml").is_file()


def test_the_project_is_a_repository_with_a_commit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For somebody whom Git knows; else all is staged and the commands are told. Keys and the ledger stay out."""
    file = write_csv("t.csv", tickets())
    init("--data", file)
    assert "git config --global user.name" in capsys.readouterr().out
    (tmp_path / "gitconfig").write_text("[user]\nname = A\nemail = a@example.org\n")
    main(["init", "known", "--data", file])
    (Path("known") / ".env").write_text("KEY=secret\n")
    (Path("known") / ".paretune").mkdir()
    (Path("known") / ".paretune/ledger.sqlite").touch()
    status = subprocess.run(["git", "status", "--porcelain"], cwd="known", capture_output=True, text=True, check=True)
    assert status.stdout == ""


def test_groups_of_the_package_are_composed_and_may_be_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    """`tuner=bayesian` comes from the package; a file of the same name in the project takes its place; a wrong option
    lists those of both."""
    root = init("--data", write_csv("t.csv", tickets()))
    os.chdir(root)
    main(["compose", "tuner=bayesian", "experiment=fast", "layout=booleans"])
    params = yaml.safe_load(Path("params.yaml").read_text())
    assert params["tuner"]["name"] == "bayesian" and params["data"]["splits"]["train"]["limit"] == 24
    (root / "conf/tuner").mkdir()
    (root / "conf/tuner/random.yaml").write_text("name: random\n")
    (root / "conf/tuner/mine.yaml").write_text("name: grid\n")
    with pytest.raises(SystemExit):
        main(["compose", "tuner=none"])
    assert "bayesian grid hyperband mine pareto random" in capsys.readouterr().err


def test_a_change_of_the_packages_groups_asks_for_composing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an upgrade that changes an option the first stage refuses the old params.yaml."""
    root = init("--data", write_csv("t.csv", tickets()))
    monkeypatch.chdir(root)
    other = tmp_path / "conf"
    shutil.copytree(SHARED / "conf", other)
    monkeypatch.setattr("paretune.pipeline.conf_digest.shared_conf", lambda: other)
    check_params.main()
    with open(other / "tuner/grid.yaml", "a") as handle:
        handle.write("# new\n")
    with pytest.raises(ConfigError, match="paretune compose"):
        check_params.main()


def test_a_row_that_does_not_fit_is_an_error_of_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """A date that no calendar has stands in row 7: it is named, and no project is made."""
    rows = [{"text": t, "when": "2024-02-01" if n != 7 else "2024-02-31"} for n, t in enumerate(TEXTS)]
    assert "2024-02-31" in refused(capsys, "--data", write_csv("t.csv", rows), "--target", "when", "--kind", "extract")


def test_on_a_terminal_it_asks_what_it_cannot_tell(capsys: pytest.CaptureFixture[str]) -> None:
    """The target, of two that may be; the kind, the instructions and the consent are proposed and taken by Enter."""
    write_csv("t.csv", [{"text": t, "u": f"u{n % 2}", "v": f"v{n % 3}"} for n, t in enumerate(TEXTS)])
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "paretune", "init", "mine", "--data", "t.csv"]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, text=True)
    os.close(slave)
    os.write(master, b"v\n\n\n\n")
    seen = b""
    try:
        while chunk := os.read(master, 65536):
            seen += chunk
    except OSError:  # Linux's way to say that the other end is closed
        pass
    assert process.wait(60) == 0, seen.decode()
    assert b"the right answer is in column" in seen and b"make the project?" in seen
    task = yaml.safe_load(Path("mine/conf/task/mine.yaml").read_text())
    assert task["target"] == 'row["v"]' and set(task["labels"]) == {"v0", "v1", "v2"}


@pytest.mark.parametrize("seed", range(5))
def test_odd_names_and_labels_survive_the_way_through_yaml(seed: int) -> None:
    """Columns and labels of odd letters, quotes, interpolations, numbers and words of YAML come out as they went in."""
    odd = [
        "1e3",
        "yes",
        "null",
        "~",
        "a: b",
        "# c",
        "${x}",
        "\\${y}",
        "'q\"",
        "é",
        "- d",
        "{e}",
        "007",
        "0x1F",
        "1:30",
        "x" * 200,
    ]
    rng = random.Random(seed)
    labels = rng.sample(odd, 4)
    column, target = rng.sample(['a "b"', "c'd", "${e}", "f\\g", "100 %", "{{ h }}", "i: j", "labels", "row"], 2)
    rows = [{column: text, target: labels[n % 4]} for n, text in enumerate(TEXTS)]
    root = init("--data", write_csv("t.csv", rows), "--input", column, "--target", target, "--kind", "single")
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    assert set(params["task"]["labels"]) == set(labels)
    assert check_rows(root) == {"train": 33, "test": 15}


def test_values_of_yaml_are_edited_in_their_places() -> None:
    """Comments, order and other values stay; a value that is not there is an error."""
    text = "# head\na:\n  x: 1   # one\n  y: 2\nb:\n  - x: p\n  - z: q\n"
    changed = edited(text, {"a.x": "3", "b.z": "new"})
    assert changed == "# head\na:\n  x: 3   # one\n  y: 2\nb:\n  - x: p\n  - z: new\n"
    with pytest.raises(KeyError):
        edited(text, {"a.z": "3"})
    assert yaml.safe_load(yaml_text({"a": ["yes", "b"]}, "one\ntwo")) == {"a": ["yes", "b"]}


def test_every_shared_option_watches_a_file_that_projects_have() -> None:
    """A project has no conf/layout/…: what DVC watches for code of one's own must be there all the same."""
    for path in (SHARED / "conf").rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        sources = [line for line in text.splitlines() if line.startswith("source:")]
        assert all("conf/own.py" in line or line.startswith("source: ???") for line in sources), path
