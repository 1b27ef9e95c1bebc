"""conf/, params.yaml and dvc.yaml agree with each other, and a mistake in one of them is told in one line."""

from __future__ import annotations

import functools
import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from paretune.commands.compose import compose, find_root
from paretune.commands.main import main
from paretune.errors import ConfigError
from paretune.metrics import measures
from paretune.pipeline.conf_digest import conf_digest
from paretune.pipeline.rows import as_labels, open_dataset
from paretune.pipeline.sections import together
from paretune.pipeline.sections.base import section
from paretune.pipeline.sections.data import DataParams
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.task import TaskParams
from paretune.stages import check_params

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = [f"{path.parent.name}={path.stem}" for path in sorted((ROOT / "conf").glob("*/*.yaml"))]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
UNTRACKED = (
    "conf_digest",
    "data.name",
    "task.name",
    "task.answer",
    "task.target",
    "task.labels_optional",
    "task.hub",
)  # they change nothing by themselves


def composed(tmp_path: Path, *overrides: str) -> Any:
    """The configuration that these overrides give."""
    return yaml.safe_load(compose(ROOT, overrides, tmp_path / "params.yaml").read_text())


def tracked(stage: str) -> list[str]:
    """Names of the parameters that a stage of dvc.yaml depends on."""
    definition = STAGES[stage]
    names = definition.get("do", definition).get("params", [])
    return [name.replace("${key}", key) for name in names for key in PARAMS["data"]["splits"]]


def leaves(value: Any, name: str = "") -> Iterator[str]:
    """Dotted names of all values below ``value``."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, f"{name}.{key}" if name else key)
    else:
        yield name


def within(name: str, sections: list[str] | tuple[str, ...]) -> bool:
    """Whether ``name`` is one of the sections or inside of one."""
    return any(name == section or name.startswith(f"{section}.") for section in sections)


def test_params_are_the_default_composition(tmp_path: Path) -> None:
    """The committed params.yaml is, byte for byte, what conf/ composes to."""
    assert (ROOT / "params.yaml").read_text() == compose(ROOT, output=tmp_path / "params.yaml").read_text()


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes(option: str, tmp_path: Path) -> None:
    """Each file of a group can be chosen, alone, on top of the defaults."""
    group, name = option.split("=")
    params = composed(tmp_path, option)
    assert set(params) == set(PARAMS)
    if "name" in params.get(group, {}) and group != "program":
        assert params[group]["name"] == name


def test_gsm8k_brings_a_layout_and_an_objective_that_fit_it(tmp_path: Path) -> None:
    """A task may pick other groups' options; the command line still wins."""
    params = composed(tmp_path, "task=gsm8k")
    assert (params["layout"]["name"], params["data"]["path"]) == ("number", "openai/gsm8k")
    assert [objective["name"] for objective in params["objective"]["objectives"]] == ["val_reward"]
    assert composed(tmp_path, "task=gsm8k", "data=files")["data"]["name"] == "files"


def test_gsm8k_reads_the_number_after_the_mark(tmp_path: Path) -> None:
    """The declared task turns the worked answer of a row into a number, by the dataset's own filter."""
    problems = f"data.splits.test.source={ROOT / 'examples/maths.jsonl'}"
    params = composed(tmp_path, "task=gsm8k", "data=files", "data.splits.train.source=none", problems)
    task, layout = section(params, "task", TaskParams), section(params, "layout", LayoutParams)
    first = next(iter(open_dataset(task, layout, section(params, "data", DataParams), "test")))
    assert first[0].get_json()["question"].startswith("A hen laid 4 eggs on Monday")
    assert first[1].get_json() == {"answer": 7.0}


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("categorical", {"label": "joy"}),
        ("booleans", {name: name == "joy" for name in PARAMS["task"]["labels"]}),
        ("scores", {name: float(name == "joy") for name in PARAMS["task"]["labels"]}),
    ],
)
def test_layout_templates_render_the_gold_label(layout: str, expected: Any, tmp_path: Path) -> None:
    """Each layout turns the row `label: 1` into a record that says joy."""
    template = composed(tmp_path, f"layout={layout}")["layout"]["output"]["template"]
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    labels = PARAMS["task"]["labels"]
    known = {"labels": labels, "as_labels": functools.partial(as_labels, labels=labels)}
    text = environment.from_string(template).render(text="hooray", label=1, **known)
    assert json.loads(text) == expected


def test_digest_depends_on_names_and_bytes(tmp_path: Path) -> None:
    """A changed byte, a renamed or moved file, and a new file each give another digest; other files do not count."""
    first = tmp_path / "a.yaml"
    first.write_text("x: 1\n")
    digests = [conf_digest(tmp_path)]
    first.write_text("x: 1 \n")
    digests.append(conf_digest(tmp_path))
    first.rename(tmp_path / "b.yaml")
    digests.append(conf_digest(tmp_path))
    (tmp_path / "group").mkdir()
    (tmp_path / "b.yaml").rename(tmp_path / "group" / "b.yaml")
    digests.append(conf_digest(tmp_path))
    (tmp_path / "c.yaml").write_text("")
    digests.append(conf_digest(tmp_path))
    assert len(set(digests)) == 5
    (tmp_path / "notes.txt").write_text("a note")
    assert conf_digest(tmp_path) == digests[-1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of conf/, params.yaml and the data that they name, as the working directory."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    shutil.copytree(ROOT / "data" / "sample", tmp_path / "data" / "sample")
    shutil.copy(ROOT / "data" / "human.jsonl", tmp_path / "data")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


def test_check_params_writes_the_same_digests_for_any_values(project: Path) -> None:
    """Values may be edited in params.yaml; the digests are of the code alone, so nothing reruns because of them."""
    check_params.main()
    digests = {file.name: file.read_text() for file in check_params.OUTPUT.iterdir()}
    (project / "params.yaml").write_text(yaml.safe_dump(PARAMS | {"split": PARAMS["split"] | {"seed": 1}}))
    check_params.main()
    assert {file.name: file.read_text() for file in check_params.OUTPUT.iterdir()} == digests
    assert set(digests) == set(STAGES) - {"check_params"}


def test_check_params_refuses_a_changed_conf(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an edit of conf/ the stage fails and names the cure, which in DVC's temporary folders is another one."""
    with (project / "conf" / "tuner" / "grid.yaml").open("a") as handle:
        handle.write("# edited\n")
    with pytest.raises(ConfigError, match="paretune compose"):
        check_params.main()
    monkeypatch.setenv("DVC_ROOT", str(ROOT))
    with pytest.raises(ConfigError, match="git add conf"):
        check_params.main()
    assert not check_params.OUTPUT.exists()


def test_check_params_tells_every_fault_of_every_section_at_once(project: Path) -> None:
    """Wrong values, unknown keys and a missing data file are refused before anything is computed."""
    params = PARAMS | {"split": {"validation_split": 1.5}, "search": PARAMS["search"] | {"epoch": 2}}
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(ConfigError) as error:
        check_params.main()
    assert "split.validation_split: must be > 0 and < 1 (got 1.5)" in str(error.value)
    assert "search.epoch: unknown key" in str(error.value)
    (project / "params.yaml").write_text(yaml.safe_dump(PARAMS | {"sort": 1}))
    with pytest.raises(ConfigError, match="unknown section 'sort'"):
        check_params.main()
    (project / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    (project / "data" / "sample" / "test.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"data\.splits\.test\.source: no such file"):
        check_params.main()
    shutil.copy(ROOT / "data" / "sample" / "test.jsonl", project / "data" / "sample")
    (project / "data" / "human.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"evaluate\.human: no such file"):
        check_params.main()


def test_check_params_names_the_values_that_are_missing(project: Path) -> None:
    """`???` is Hydra's mark of a value that must be given."""
    params = PARAMS | {"lm": PARAMS["lm"] | {"model": "???", "models": {"a": {"api_base": "???"}}}}
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(ConfigError, match=r"^lm\.model, lm\.models\.a\.api_base must be given"):
        check_params.main()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tuner=nonesuch", "Available options in 'tuner': bayesian grid hyperband pareto random"),
        ("search.nonesuch=1", "'search.nonesuch' is no key and no group"),
        ("search.seed=[", "search.seed=["),
        ("search.sed=1", "'search.sed' is no key and no group; did you mean 'seed'?"),
        ("search.space={a: {kind: boolean}}", "'+search.space={a: {kind: boolean}}'"),
        ("search.space.a.kind=fixed", "'search.space.a' is no key and no group"),
        ("tuner=null", "tuner is a group of conf/; choose one of bayesian, grid, hyperband, pareto, random"),
        ("search=1", "search is a group of conf/; choose one of "),
        ("=1", "'=1' is not key=value: it has no key"),
        ("task.instructions=a, b: c=d", """for the shell: 'task.instructions="a, b: c=d"'"""),
        ("task.instructions=été", """for the shell: 'task.instructions="été"'"""),
        ("search.seed=" + "9" * 5000, "Exceeds the limit (4300 digits)"),
        ("search.seed=" + "[" * 500 + "]" * 500, "nested too deeply"),
        ("search.seed=${search.seed}", "Recursive interpolation"),
    ],
)
def test_compose_command_tells_a_wrong_override(
    override: str, message: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong override exits 1 with `error: …`, without a traceback, and leaves params.yaml as it was."""
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(SystemExit) as stop:
        main(["compose", override])
    error = capsys.readouterr().err
    assert stop.value.code == 1
    assert error.startswith("error: cannot compose conf/") and message in error
    assert (project / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: caf\xe9\n".encode("latin-1"), "grid.yaml, line 1: not UTF-8 text (byte 0xe9); save it as UTF-8"),
        (b"name: grid\nname: grid\n", "grid.yaml, line 2: not valid YAML: the key 'name' twice"),
        (b"name:\n\t- grid\n", "grid.yaml, line 2: not valid YAML"),
        (b"name: &a [*a]\n", "grid.yaml: name.0"),
        (
            b"a0: &a0 [1, 1]\n" + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 40)),
            "aliases",
        ),
    ],
)
def test_compose_command_names_the_file_that_is_wrong(
    content: bytes, message: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of conf/ that is no text, no YAML or without an end, chosen or not; params.yaml stays as it was."""
    before = (project / "params.yaml").read_bytes()
    (project / "conf" / "tuner" / "grid.yaml").write_bytes(content)
    with pytest.raises(SystemExit):
        main(["compose"])
    assert message in capsys.readouterr().err
    assert (project / "params.yaml").read_bytes() == before


def test_the_advice_is_about_the_override_that_is_wrong(tmp_path: Path) -> None:
    """Not about the choice of a group before it, whose name its key begins with."""
    with pytest.raises(ConfigError, match=r"to add it to what is there: '\+search\.space\.nosuch=1'"):
        compose(ROOT, ["search=fast", "search.space.nosuch=1"], tmp_path / "params.yaml")


def test_a_quoted_override_is_taken_as_it_is_advised(tmp_path: Path) -> None:
    """The spelling that the error gives composes to the text that was meant."""
    assert composed(tmp_path, 'task.instructions="a, b: c=d é"')["task"]["instructions"] == "a, b: c=d é"


def test_a_list_of_texts_is_taken_as_it_is_advised(tmp_path: Path) -> None:
    """An override of a list, such as of constraints, gets its texts quoted, one by one: it stays a list."""
    with pytest.raises(ConfigError) as told:
        composed(tmp_path, "objective.constraints=[val_cost <= 0.5, val_f1 >= 0.1]")
    (advised,) = shlex.split(str(told.value).rpartition("shell: ")[2])
    assert composed(tmp_path, advised)["objective"]["constraints"] == ["val_cost <= 0.5", "val_f1 >= 0.1"]


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("report", {"x": "val_token"}, r"report\.x: must be the name of something measured: val_reward, val_f1, .*"),
        ("report", {"y": "val_rewrd"}, r"\(got 'val_rewrd'\); did you mean 'val_reward'\?"),
        ("report", {"x": "val_f1", "y": "val_f1"}, "must be two different objectives"),
        ("report", {"reference": {"val_costs": 1}}, r"report\.reference\.val_costs: .* mean 'val_cost'\?"),
        ("evaluate", {"baseline": {"few_shots": 1}}, r"evaluate\.baseline\.few_shots: no .* mean 'few_shot'\?"),
        (
            "evaluate",
            {"baseline": {"few_shot": -1}},
            r"evaluate\.baseline\.few_shot: must be >= 0 and <= 10000 \(got -1\)",
        ),
        (
            "search",
            {"space": {"few_shot": {"kind": "choice", "values": [10**20]}}},
            r"few_shot\.values\.0: must be from -9007.* \(got 1",
        ),
        ("search", {"space": {"nosuch": {"kind": "boolean"}}}, r"search\.space\.nosuch: no hyperparameter"),
        ("program", {"builder": "a:b"}, r"evaluate\.baseline: program\.builder declares no values"),
    ],
)
def test_check_params_compares_the_sections(section: str, changes: Any, message: str, project: Path) -> None:
    """Names of hyperparameters and of what is measured are looked up before anything is computed."""
    (project / "params.yaml").write_text(yaml.safe_dump(PARAMS | {section: PARAMS[section] | changes}))
    with pytest.raises(ConfigError, match=message):
        check_params.main()


def test_the_operational_measures_have_one_list_of_names() -> None:
    """What check_params takes as an axis is what is measured."""
    assert tuple(measures.OPERATIONAL) == together.OPERATIONAL


def test_check_params_takes_an_axis_that_is_measured_but_no_objective(project: Path) -> None:
    """One report's configuration serves several searches; without an axis there is nothing to check."""
    for axes in ({"x": "val_latency"}, {"x": None, "y": None}):
        (project / "params.yaml").write_text(yaml.safe_dump(PARAMS | {"report": PARAMS["report"] | axes}))
        check_params.main()


def test_check_params_warns_of_a_password(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told where, without the password."""
    lm = PARAMS["lm"] | {"api_base": "http://user:secret@localhost/v1"}
    (project / "params.yaml").write_text(yaml.safe_dump(PARAMS | {"lm": lm}))
    check_params.main()
    shown = capsys.readouterr().err
    assert shown.startswith("warning: lm.api_base holds a password") and "secret" not in shown


def test_compose_command_works_below_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project is the nearest folder with conf/config.yaml; without one the error says so."""
    monkeypatch.chdir(project / "conf" / "task")
    main(["compose", "search.max_trials=7"])
    assert yaml.safe_load((project / "params.yaml").read_text())["search"]["max_trials"] == 7
    shutil.rmtree(project / "conf" / "task")
    (project / "conf" / "config.yaml").unlink()
    with pytest.raises(ConfigError, match=r"no conf/config\.yaml"):
        find_root(project)


def test_each_stage_has_a_module() -> None:
    """The stages of dvc.yaml and the modules of paretune.stages have the same names."""
    modules = {path.stem for path in (ROOT / "src/paretune/stages").glob("*.py")} - {"__init__"}
    assert modules == set(STAGES)


def test_each_section_has_a_module() -> None:
    """A section of params.yaml is the module of its name in pipeline/sections/, and its class is called after it."""
    assert set(check_params.SECTIONS) == set(PARAMS) - {"conf_digest"}
    for name, params in check_params.SECTIONS.items():
        assert params.__module__ == f"paretune.pipeline.sections.{name}"
        assert params.__name__ == f"{name.title()}Params"


def test_each_tracked_parameter_exists_and_each_parameter_is_tracked() -> None:
    """No stage names a parameter that is gone, and no parameter can change without a stage that notices."""
    names = list(leaves(PARAMS))
    everything = [name for stage in STAGES for name in tracked(stage)]
    assert [name for name in everything if not any(within(leaf, [name]) for leaf in names)] == []
    assert [leaf for leaf in names if not within(leaf, everything) and not within(leaf, UNTRACKED)] == []


@pytest.mark.parametrize("stage", ["split", "search", "evaluate", "report"])
def test_a_stage_tracks_the_section_of_its_name(stage: str) -> None:
    """One name for the stage, its module and its section of params.yaml."""
    assert stage in tracked(stage)
