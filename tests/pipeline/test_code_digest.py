"""A search is told from another by the code that it runs: all of it, and nothing else."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import paretune
from paretune import metrics, optimizers, rewards
from paretune.import_closure import closure

ROOT = Path(__file__).resolve().parents[2]

BUILDER = """
import helper
import paretune


class Text(paretune.DataModel):
    text: str


class Label(paretune.DataModel):
    label: str


async def build_program(hp):
    hp.Boolean("flag")
    inputs = paretune.Input(data_model=Text)
    model = paretune.ScriptedLanguageModel(lambda request: helper.REPLY)
    program = paretune.Program(inputs, await paretune.Generator(Label, model)(inputs))
    program.compile()
    return program
"""

EVERY_FILE = """
import json, sys
from pathlib import Path
import paretune
from paretune.pipeline.tuners import code_digest

package, result = Path(paretune.__file__).parent, {}
before = code_digest()
for file in sorted(package.rglob("*.py")):
    text = file.read_text()
    file.write_text(text + "# changed")
    result[str(file.relative_to(package))] = code_digest() != before
    file.write_text(text)
json.dump(result, sys.stdout)
"""

ONE_SEARCH = """
import json, sys
from pathlib import Path
import mine
import paretune
from paretune.import_closure import closure
from paretune.pipeline.sections.base import read_params
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.tuners import make_tuner

params = read_params()
params["search"]["space"] = {}
params["program"]["builder"] = "mine:build_program"
params["program"]["source"] = "mine.py"
params["objective"]["objectives"] = params["objective"]["objectives"][:1]
tuner = make_tuner(params, ProgramSetup(params))
x, y = [mine.Text(text=str(i)) for i in range(4)], [mine.Label(label="a")] * 4
tuner.search(x, y, validation_data=(x, y), verbose=0)
ran = {Path(module.__file__) for name, module in list(sys.modules.items()) if name.startswith("paretune")}
json.dump(sorted(map(str, ran - closure(["paretune.pipeline.tuners"]))), sys.stdout)
"""


def run(code: str, folder: Path, source: Path) -> Any:
    """What some code prints as JSON, run in a folder on the package in a source folder."""
    started = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(source)!r})\n{code}"]
    home = os.environ | {"PARETUNE_HOME": str(folder / "state")}
    return json.loads(subprocess.run(started, cwd=folder, env=home, capture_output=True, text=True, check=True).stdout)


def test_what_changes_the_digest(tmp_path: Path) -> None:
    """Numbers, files and proposals do; what is printed of a ledger, drawn, estimated or composed does not."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    changes = run(EVERY_FILE, tmp_path, tmp_path / "src")
    decide = ("files.py", "stats/pareto.py", "metrics/measures.py", "tuners/loop.py", "schemas/parsing.py")
    decide += (
        "pipeline/tuners.py",
        "rewards/judge.py",
        "eventloop.py",
        "tuners/oracles/bayesian.py",
        "tuners/oracles/grid.py",
    )
    decide_nothing = ("commands/calls_text.py", "commands/compose.py", "commands/main.py", "stages/search.py")
    decide_nothing += ("reporting/charts.py", "reporting/tables.py", "datasets/local.py", "stages/report.py")
    assert {name: changes[name] for name in decide} == dict.fromkeys(decide, True)
    assert {name: changes[name] for name in decide_nothing} == dict.fromkeys(decide_nothing, False)


def test_whatever_a_program_is_made_of_counts() -> None:
    """The module of each public name that may run in a trial: all but those that search, read data or tell of a run."""
    reached = closure(["paretune.pipeline.tuners"])
    packages = [metrics, optimizers, paretune, rewards]
    public = {getattr(package, name) for package in packages for name in package.__all__}
    beside = ("paretune.datasets.", "paretune.estimating.")
    classes = {value for value in public if isinstance(value, type) and not value.__module__.startswith(beside)}
    assert len(classes) > 20
    assert {kind.__module__ for kind in classes if Path(inspect.getfile(kind)) not in reached} == set()
    assert Path(inspect.getfile(paretune.ScriptedLanguageModel)) in reached


def test_a_search_runs_no_code_beside_it(tmp_path: Path) -> None:
    """Every module of the package that a search has loaded counts; so does what a builder of one's own imports."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "mine.py").write_text(BUILDER)
    (tmp_path / "helper.py").write_text("""REPLY = '{"label": "a"}'\n""")
    assert run(ONE_SEARCH, tmp_path, ROOT / "src") == []
    records = set((tmp_path / "state/searches").glob("*.jsonl"))
    (tmp_path / "helper.py").write_text("""REPLY = '{"label": "b"}'\n""")
    run(ONE_SEARCH, tmp_path, ROOT / "src")
    assert len(records) == 1 and len(set((tmp_path / "state/searches").glob("*.jsonl"))) == 2
