"""The pages of docs/: every command on them runs, and prints what they show.

Three kinds of blocks. `console`: what the command prints is compared; it runs in the project as it is committed, whose
numbers stand in reports/. `sh`: it runs in a small copy: few rows, a server on loopback in the place of every model.
A language and a file's name, such as `yaml conf/task/tickets.yaml`: the file is written first, as the page tells its
reader to do.

An experiment takes seconds. So of those of a page the first one runs, and what the queue has, where they differ in more
than values; of all others the values are put to `paretune estimate`, which composes them, reads the data and builds the
program at every value. With PARETUNE_WHOLE_PAGES=1 all of them run.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator

import pytest
from doc_pages import ROOT, Answerer, Project, as_shown, blocks, sessions
from openai_server import OpenAIServer, openai_server

from paretune.lm.backends.local_models import find_gguf

DOCS = ROOT / "docs"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
WHOLE = os.environ.get("PARETUNE_WHOLE_PAGES") == "1"
#: Pages whose experiments differ from those of others in values.
VALUES_ALONE = ("objectives.md", "report.md", "start.md", "tuners.md")
#: An experiment that runs at once, over all its lines.
EXPERIMENT = re.compile(r"^dvc exp run (?!.*--queue)(?:[^\n]*\\\n)*[^\n]*$", re.MULTILINE)
EMOTIONS = ["sadness", "joy", "love", "anger", "fear", "surprise"]


def labels() -> dict[str, str]:
    """The texts that ship with the project, and their labels."""
    found = {}
    for part in ("train", "test"):
        for line in (ROOT / f"data/sample/{part}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found[row["text"]] = EMOTIONS[row["label"]]
        with open(ROOT / f"examples/tickets_{part}.csv", newline="", encoding="utf-8") as file:
            found |= {row["body"]: row["topic"] for row in csv.DictReader(file)}
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    """The server that answers in the place of every model."""
    state = OpenAIServer()
    state.answer = Answerer(labels())
    with openai_server(state) as running:
        yield running


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project as it is committed, with the reports of its run."""
    return Project(tmp_path_factory.mktemp("committed"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, server: OpenAIServer) -> Project:
    """The project with few rows and a model that answers at once, after one run."""
    project = Project(tmp_path_factory.mktemp("small"))
    project.environment |= {"OPENAI_BASE_URL": server.api_base, "OPENAI_API_KEY": "none"}
    project.change(
        "conf/lm/local.yaml",
        {
            "model: local/smollm2-135m-instruct": "model: openai/small",
            "api_base: null": f"api_base: {server.api_base}",
        },
    )
    project.change(
        "conf/data/sample.yaml",
        {"limit: 200": "limit: 30", "test.jsonl, split: train, limit: null": "test.jsonl, split: train, limit: 10"},
    )
    project.change("conf/config.yaml", {"resamples: 2000": "resamples: 200"})
    (project.root / ".venv/bin").mkdir(parents=True)
    (project.root / ".venv/bin/activate").touch()
    (project.root / ".venv/.installed").touch()  # `make` finds the environment there
    project.run("paretune compose && dvc repro")
    project.commit()
    return project


@pytest.mark.slow
@pytest.mark.parametrize("page", [name for name, text in PAGES.items() if "```sh\n" in text])
def test_commands_run(page: str, small: Project, server: OpenAIServer) -> None:
    """One after the other, in a project that has run once, with the files that the page has written by then."""
    small.clean()
    run = WHOLE or page not in VALUES_ALONE
    for block in blocks(in_place(PAGES[page], server)):
        if block.name:
            small.write(block)
        elif block.language == "sh":
            small.run(block.text if run else estimated(block.text))
            run = WHOLE or (run and not EXPERIMENT.search(block.text))
            if "dvc queue start" in block.text:
                small.wait_for_the_queue()


def in_place(text: str, server: OpenAIServer) -> str:
    """A page with addresses that are there: of a server, of a file, of the model of its scripts. (A provider's own
    address is in OPENAI_BASE_URL.)"""
    local = "local/smollm2-135m-instruct"
    text = text.replace("local//path/model.gguf", f"local/{find_gguf(local)} -S lm.api_base=null")
    return text.replace("http://localhost:8000/v1", server.api_base).replace(f'"{local}"', '"openai/small"')


def estimated(script: str) -> str:
    """A script whose experiments are only estimated, but for those in the queue."""
    return EXPERIMENT.sub(
        lambda found: f"paretune estimate {found[0].replace('dvc exp run', '').replace(' -S ', ' ')}", script
    )


@pytest.mark.slow
@pytest.mark.parametrize("page", [name for name, text in PAGES.items() if "```console\n" in text])
def test_commands_print_what_the_page_shows(page: str, committed: Project) -> None:
    """The very lines, but for those that the page leaves out."""
    committed.clean()
    for block in blocks(PAGES[page]):
        if block.name:
            committed.write(block)
        for command, shown in sessions(block) if block.language == "console" else ():
            printed = committed.run(command)
            assert as_shown(shown, printed), f"{page}, line {block.line}: {command}\n{printed}"


@pytest.mark.parametrize("page", PAGES)
def test_blocks_are_of_a_known_kind(page: str) -> None:
    """A command in a block that no test runs says so by having no language; a file that is written is named before."""
    text = PAGES[page]
    assert text.count("```") == 2 * len(blocks(text))
    for block in blocks(text):
        assert block.language in ("", "sh", "console", "text", "yaml", "python", "mermaid"), (
            f"{page}, line {block.line}"
        )
        assert block.language != "console" or list(sessions(block))
        before = "\n".join(text.splitlines()[: block.line - 1])
        assert not block.name or f"`{block.name}`" in before, f"{page}, line {block.line}: {block.name} is not named"


def test_a_page_that_shows_something_else_is_noticed() -> None:
    """Lines are compared whole and in order; `…` stands for any number of them, also none."""
    printed = "one  1\ntwo\nthree\n"
    for shown in (["one  1", "two", "three"], ["one  1", "…"], ["…", "three"], ["…", "one  1", "two", "…", "three"]):
        assert as_shown(shown, printed)
    for shown in (["one  1", "two"], ["one 1", "…"], ["…", "two"], ["three", "…"], ["…", "tw", "three"]):
        assert not as_shown(shown, printed)
