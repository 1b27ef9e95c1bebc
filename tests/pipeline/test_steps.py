"""Programs of several steps that conf declares: what each one sees, gives and is asked, and what it is called."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paretune import LanguageModel, Program, ScriptedLanguageModel, run_maybe_nested
from paretune.commands.compose import compose
from paretune.errors import ConfigError
from paretune.estimating.estimate import estimate
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.sections.base import section
from paretune.pipeline.sections.evaluate import EvaluateParams
from paretune.pipeline.sections.space import ends
from paretune.pipeline.sections.together import check_together
from paretune.pipeline.tuners import make_tuner
from paretune.trials.replies import reply_rows
from paretune.tuners.keras_api import FailedTrialError
from paretune.tuners.replies import asked_by_example
from paretune.tuners.tuner import Tuner

ROOT = Path(__file__).resolve().parents[2]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
LABELS = PARAMS["task"]["labels"]
SUMMARY = {"summary": {"type": "str", "description": "The gist"}}


def right(text: str) -> str:
    """The gold label of a text."""
    return str(LABELS[int(text.split()[-1]) % len(LABELS)])


def answer(request: Request) -> str:
    """Right answers, but for drafts of every third text; a summary keeps the text's number."""
    if request.structured_output == "text":
        line = request.messages[-1][1].splitlines()[0]
        return f"number {line.split()[-1]}" if request.messages[-1][1].endswith("Summary:") else "joy"
    fields = (request.schema or {})["properties"]
    if "instructions" in fields:
        return json.dumps({"instructions": f"Try {request.replicate}."})
    seen = json.loads(request.messages[-1][1])
    number = int((seen.get("text") or seen["summary"]).split()[-1])
    reply = {"thinking": "hm"} if "thinking" in fields else {}
    if "summary" in fields:
        return json.dumps({**reply, "summary": f"number {number}"})
    checks = any(name.endswith("_label") for name in seen)
    return json.dumps({**reply, "label": LABELS[(number + (number % 3 == 0 and not checks)) % len(LABELS)]})


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, LanguageModel]:
    """Scripted models in the place of all that are named, by name."""
    made: dict[str, LanguageModel] = {}

    def language_model(self: ProgramSetup, name: str) -> LanguageModel:
        if name not in made:
            made[name] = ScriptedLanguageModel(answer, name=name, ledger=Ledger(tmp_path / "ledger.sqlite"))
        return made[name]

    monkeypatch.setattr(ProgramSetup, "language_model", language_model)
    return made


def declared(steps: dict[str, Any], space: dict[str, Any] | None = None, **program: Any) -> dict[str, Any]:
    """Params with these steps and this space."""
    params = copy.deepcopy(PARAMS)
    params["program"] |= {"steps": steps, **program}
    params["search"] |= {"space": space or {}, "batch_size": 4}
    params["evaluate"]["baseline"] = {}
    params["objective"] = {"objectives": [{"name": "val_reward", "direction": "max"}]}
    return params


def built(steps: dict[str, Any], values: dict[str, Any] | None = None, **program: Any) -> Program:
    """The program of these steps."""
    return run_maybe_nested(ProgramSetup(declared(steps, **program)).declared_program(values or {}))


def asked(program: Program, text: str = "text 7") -> dict[str, Request]:
    """What is asked for a text, by step."""
    run_maybe_nested(program({"text": text}))
    backends = {generator.name: generator.language_model.backend for generator in program.generators}
    return {name: backend.calls[-1] for name, backend in backends.items()}  # type: ignore[attr-defined]


def question(request: Request) -> dict[str, Any]:
    """The input record of a request."""
    record: dict[str, Any] = json.loads(request.messages[-1][1])
    return record


CHECKED = {"draft": {"model": "small"}, "check": {"checks": "draft", "model": "large"}}


def test_a_draft_and_its_check(models: dict[str, LanguageModel]) -> None:
    """The check sees the input and the draft, apart by name, is told what to do, and gives the answer."""
    program = built(CHECKED)
    calls = asked(program, "text 3")
    wrong = LABELS[4]
    assert question(calls["draft"]) == {"text": "text 3"}
    assert question(calls["check"]) == {"text": "text 3", "draft_label": wrong}
    assert calls["check"].messages[0][1].startswith(calls["draft"].messages[0][1])
    assert "correct what is wrong" in calls["check"].messages[0][1]
    assert run_maybe_nested(program({"text": "text 3"})).label == right("text 3")
    assert program.calls_per_run == 2 and [each.name for each in program.generators] == ["draft", "check"]
    assert [model.model for model in program.language_models] == ["scripted/small", "scripted/large"]


def test_what_a_step_sees_and_gives(models: dict[str, LanguageModel]) -> None:
    """Fields of its own, in place of the input where it alone is read; thoughts stay with the step that has them."""
    steps = {
        "gist": {"fields": SUMMARY, "chain_of_thought": True, "model": "a"},
        "answer": {"reads": ["gist"], "model": "b"},
    }
    calls = asked(built(steps))
    assert question(calls["answer"]) == {"summary": "number 7"}
    assert calls["gist"].messages[0][1].startswith("Given text, answer with: thinking")
    assert calls["answer"].messages[0][1] == PARAMS["task"]["instructions"]
    steps["answer"]["reads"] = ["input", "gist"]
    assert question(asked(built(steps))["answer"]) == {"text": "text 7", "summary": "number 7"}
    del steps["answer"]["reads"]
    assert question(asked(built(steps))["answer"]) == {"text": "text 7", "summary": "number 7"}


def test_titles_in_prompts_of_lines(models: dict[str, LanguageModel]) -> None:
    """A draft's field is called apart from the answer's there, too."""
    steps = {"draft": {"model": "a"}, "check": {"checks": "draft", "model": "b", "structured_output": "text"}}
    calls = asked(built(steps))
    assert calls["check"].messages[-1][1] == f"Text: text 7\nDraft emotion: {right('text 7')}\nEmotion:"


def test_options_of_a_step(models: dict[str, LanguageModel]) -> None:
    """Its own, also a null, before those of the section; hyperparameters of both before either."""
    steps = {"draft": {"temperature": None, "max_tokens": 9, "extra": {"top_k": 3}}, "check": {"checks": "draft"}}
    program = built(steps, temperature=0.3, top_p=0.5)
    draft, check = program.generators
    assert draft.options.stated() == {"max_tokens": 9, "top_p": 0.5, "extra": {"top_k": 3}}
    assert check.options.stated() == {"temperature": 0.3, "max_tokens": 256, "top_p": 0.5}
    values = {"temperature": 0.9, "steps.check.max_tokens": 7, "steps.draft.extra.top_k": 5, "chain_of_thought": True}
    program = run_maybe_nested(ProgramSetup(declared(steps, temperature=0.3)).declared_program(values))
    draft, check = program.generators
    assert draft.options.stated() == {"max_tokens": 9, "extra": {"top_k": 5}}
    assert check.options.stated() == {"temperature": 0.9, "max_tokens": 7}
    assert [type(each).__name__ for each in program.generators] == ["ChainOfThought"] * 2


@pytest.mark.parametrize(
    ("off", "sees"),
    [
        (["gist"], {"draft": ["text"], "check": ["text", "draft_label"]}),
        (["draft"], {"gist": ["text"], "check": ["text", "summary"]}),
        (["check"], {"gist": ["text"], "draft": ["text", "summary"]}),
        (["gist", "check"], {"draft": ["text"]}),
    ],
)
def test_steps_that_take_no_part(models: dict[str, LanguageModel], off: list[str], sees: dict[str, Any]) -> None:
    """Who would read one reads what that one reads; without the last step the one before gives the answer."""
    steps = {"gist": {"fields": SUMMARY, "model": "a"}, "draft": {"model": "b"}}
    steps["check"] = {"checks": "draft", "reads": ["input", "draft"], "model": "c"}
    if off == ["draft"]:
        steps["check"]["reads"] = ["draft"]
    program = built(steps, {f"steps.{name}.enabled": False for name in off})
    assert {name: list(question(request)) for name, request in asked(program).items()} == sees
    assert program.gold_model.model_fields.keys() == {"label"}


def test_names_in_the_space(models: dict[str, LanguageModel]) -> None:
    """Nested as Hydra writes them or with dots, they have dots everywhere; those of a step depend on its switch."""
    nested = {
        "steps": {
            "check": {
                "model": {"kind": "choice", "values": ["large", "huge"]},
                "enabled": {"kind": "boolean"},
                "extra": {"top_k": {"kind": "choice", "values": [1, 2]}},
            }
        },
        "steps.draft.temperature": {"kind": "choice", "values": [0.0, 0.5]},
    }
    setup = ProgramSetup(declared(CHECKED, nested))
    names = ["steps.check.enabled", "steps.check.model", "steps.check.extra.top_k", "steps.draft.temperature"]
    assert list(setup.space) == names
    assert setup.space["steps.check.model"].conditions == {"steps.check.enabled": (True,)}
    tuner = searched(setup, declared(CHECKED, nested))
    values = [record.values for record in tuner.trial_records()]
    assert len(values) == 2 * (1 + 2 * 2)
    assert {"steps.check.enabled": False, "steps.draft.temperature": 0.5} in values
    assert set(models) == {"small", "large", "huge"}


def test_a_baseline_of_steps(models: dict[str, LanguageModel]) -> None:
    """Nested as Hydra writes it: here the program without its check."""
    params = declared(CHECKED)
    params["evaluate"]["baseline"] = {"steps": {"check": {"enabled": False}, "draft": {"extra": {"top_k": 2}}}}
    check_together(params)
    baseline = section(params, "evaluate", EvaluateParams).baseline
    assert baseline == {"steps.check.enabled": False, "steps.draft.extra.top_k": 2}
    program = run_maybe_nested(ProgramSetup(params).declared_program(baseline, "evaluate.baseline"))
    assert [each.name for each in program.generators] == ["draft"]
    assert program.generators[0].options.extra == {"top_k": 2}


def test_forms_that_no_model_of_a_step_has(
    models: dict[str, LanguageModel], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Left out of that step's space alone; where the step's models differ in it, those trials fail."""

    async def lacks(self: LanguageModel, form: str) -> str | None:
        return f"{self.model} continues no text" if form == "completion" and "large" in self.model else None

    monkeypatch.setattr(LanguageModel, "lacks", lacks)
    forms = {"kind": "choice", "values": ["native", "completion"]}
    space = {f"steps.{step}.structured_output": forms for step in ("draft", "check")}
    setup = ProgramSetup(declared(CHECKED, space))
    run_maybe_nested(setup.fit_space())
    assert [ends(kind) for kind in setup.space.values()] == [["native", "completion"], ["native"]]
    assert "steps.check.structured_output 'completion' is left out of the space" in capsys.readouterr().err
    space["steps.check.model"] = {"kind": "choice", "values": ["large", "small"]}
    setup = ProgramSetup(declared(CHECKED, space))
    run_maybe_nested(setup.fit_space())
    assert ends(setup.space["steps.check.structured_output"]) == ["native", "completion"]
    with pytest.raises(FailedTrialError, match="continues no text"):
        values = {"steps.check.model": "large", "steps.check.structured_output": "completion"}
        run_maybe_nested(setup.declared_program(values))


def test_samples_are_kept_in_their_order(models: dict[str, LanguageModel]) -> None:
    """The report shows the replies of an example in the order of the draws, to one prompt."""
    params = declared({"vote": {"samples": 3, "temperature": 0.5, "chain_of_thought": True}})
    model = ProgramSetup(params).language_model("local/smollm2-135m-instruct")
    model.backend.script = lambda asked: json.dumps({"thinking": f"{asked.draw}", "label": "joy"})  # type: ignore[attr-defined]
    tuner = searched(ProgramSetup(params), params)
    records = tuner.trial_records()
    rows = list(reply_rows(asked_by_example(tuner.search_name or "", records, [model.ledger.path], 3)))
    assert [len(row["prompts"]) for row in rows] == [1, 0, 0]
    for row in rows:
        replies = [json.loads(row["replies"][reply][0])["thinking"] for _, _, reply in row["calls"]["0001"]]
        assert replies == ["0", "1", "2"]


def data(setup: ProgramSetup, count: int, start: int = 0) -> tuple[list[Any], list[Any]]:
    """Examples of the task."""
    texts = [f"text {number}" for number in range(start, start + count)]
    return (
        [setup.scoring.input_model(text=text) for text in texts],
        [setup.scoring.output_model(label=right(text)) for text in texts],
    )


def searched(setup: ProgramSetup, params: dict[str, Any], **fit: Any) -> Tuner:
    """A finished search, whose calls were those of the estimate."""
    tuner = make_tuner(params, setup)
    run_maybe_nested(setup.fit_space())
    x, y = data(setup, 6)
    arguments = {"validation_data": data(setup, 3, start=50), "batch_size": 3, **fit}
    planned = estimate(tuner, x, y, **arguments)
    tuner.search(x, y, **arguments)
    assert planned.calls.low == planned.calls.high == sum(record.calls for record in tuner.trial_records())
    return tuner


@pytest.mark.parametrize(
    ("steps", "space", "message"),
    [
        ({"a": {"fields": SUMMARY}}, {}, "the last step must give the layout's output, but 'a' gives fields"),
        ({"a": {"enabled": False}}, {}, "the last step must give the layout's output, but none takes part"),
        ({"a": {"reads": ["b"]}, "b": {}}, {}, r"steps\.a: no step 'b' before it \(there are: input\)"),
        ({"draft": {}, "b": {"reads": ["drafd"]}}, {}, "no step 'drafd' before it .*did you mean 'draft'"),
        ({"a": {}, "b": {"checks": "input"}}, {}, r"steps\.b: no step 'input' before it"),
        ({"a": {}, "b": {"checks": "a", "reads": ["input"]}}, {}, r"steps\.b: must read 'a', which it checks"),
        ({"a": {}, "b": {"checks": "a", "fields": SUMMARY}}, {}, r"steps\.b: gives what 'a' gives"),
        ({"a": {}, "b": {"reads": ["input"]}}, {}, r"steps\.a: no later step reads it"),
        ({"input": {}}, {}, "a step's name must be letters, digits and underscores, and not 'input'"),
        ({"a b": {}}, {}, "a step's name must be letters"),
        ({"a": {"tempereture": 1}}, {}, r"program\.steps\.a\.tempereture: unknown key .* did you mean 'temperature'"),
        ({"a": {"fields": {"x": {"type": "str", "column": "y"}}}, "b": {}}, {}, r"fields\.x: a model gives it, so"),
        ({"a": {"samples": 0}}, {}, r"program\.steps\.a\.samples: must be > 0"),
        ({"a": {}}, {"steps.b.model": ["x"]}, r"search\.space\.steps\.b\.model: no step 'b' \(there are: a\)"),
        ({}, {"steps.b.model": ["x"]}, r"no step 'b' \(there are: none\)"),
        ({"a": {}}, {"steps.a.modle": ["x"]}, "no hyperparameter of step 'a' .*did you mean 'model'"),
        ({"a": {}}, {"steps.a.sampling": ["random"]}, "no hyperparameter of step 'a'"),
        ({"a": {}}, {"steps.a.reads": ["input"]}, "no hyperparameter of step 'a'"),
        ({"a": {}}, {"steps.a": ["x"]}, "no hyperparameter of the declared program"),
        ({"a": {}}, {"steps.a.samples": [0]}, r"search\.space\.steps\.a\.samples: must be > 0"),
        ({"a": {}}, {"steps.a.enabled": [False, True]}, "none takes part"),
    ],
)
def test_what_cannot_be(
    models: dict[str, LanguageModel], steps: dict[str, Any], space: dict[str, list[Any]], message: str
) -> None:
    """The first stage tells it, with its place, and so does the search before anything is asked."""
    params = declared(steps, {name: {"kind": "choice", "values": values} for name, values in space.items()})
    for read in (check_together, lambda params: run_maybe_nested(ProgramSetup(params).declared_program({}))):
        with pytest.raises(ConfigError, match=f"(?s){message}"):
            read(params)


def test_a_name_that_is_taken(models: dict[str, LanguageModel]) -> None:
    """Two fields of one name cannot be told apart: the step that would see both is named."""
    params = declared({"draft": {"fields": {"label": {"type": "str"}}}, "more": {}})
    params["task"]["input"]["fields"]["draft_label"] = {"type": "str"}
    with pytest.raises(ConfigError, match=r"program\.steps\.more: would see two fields 'draft_label'"):
        run_maybe_nested(ProgramSetup(params).declared_program({}))


def test_votes_need_chance(models: dict[str, LanguageModel]) -> None:
    """At temperature 0 all samples are one: refused where no other temperature is tried, else those trials fail."""
    space: dict[str, Any] = {"steps.vote.samples": {"kind": "choice", "values": [1, 3]}}
    params = declared({"vote": {}}, space)
    with pytest.raises(ConfigError, match=r"3 samples at temperature 0.*set program\.steps\.vote\.temperature above 0"):
        searched(ProgramSetup(params), params)
    params = declared({"vote": {}}, {**space, "steps.vote.temperature": {"kind": "choice", "values": [0.0]}})
    with pytest.raises(ConfigError, match="3 samples at temperature 0"):
        searched(ProgramSetup(params), params)
    params["evaluate"]["baseline"] = {"samples": 3}
    with pytest.raises(ConfigError, match=r"^evaluate\.baseline: 3 samples at temperature 0"):
        check_together(params)
    params = declared({"vote": {}}, {**space, "steps.vote.temperature": {"kind": "choice", "values": [0.0, 0.5]}})
    records = searched(ProgramSetup(params), params).trial_records()
    failed = [record.values for record in records if not record.completed]
    assert failed == [{"steps.vote.samples": 3, "steps.vote.temperature": 0.0}]
    assert sum(record.calls for record in records) == 3 + 3 + 3 * 3


def test_examples_and_instructions_of_every_step(models: dict[str, LanguageModel], tmp_path: Path) -> None:
    """Each step shows as many examples as it says; of drafts the gold ones, never one that was corrected. The program
    that comes out of it is saved and loaded with all of that."""
    steps = {
        "draft": {"few_shot": 3, "model": "a", "chain_of_thought": True},
        "check": {"checks": "draft", "model": "b"},
    }
    params = declared(steps, few_shot=2)
    setup = ProgramSetup(params)
    program = run_maybe_nested(setup.declared_program({}))
    run_maybe_nested(program.fit(*data(setup, 12), epochs=2, batch_size=4, verbose=0))
    draft, check = program.generators
    assert [len(draft.examples), len(check.examples)] == [3, 2]
    assert all(example["output"]["label"] == right(example["input"]["text"]) for example in draft.examples)
    learned = program.get_state()["optimizer"]["learned"]
    thoughts = {example["input"]["text"] for example in learned["draft"].values()}
    assert thoughts == {f"text {number}" for number in range(12) if number % 3}  # those whose draft was right
    assert len(learned["check"]) == 12
    program.save(tmp_path / "program.json")
    loaded = Program.load(tmp_path / "program.json", {f"scripted/{name}": model for name, model in models.items()})
    assert loaded.get_state()["modules"] == program.get_state()["modules"]
    for text in ("text 3", "text 4"):
        assert asked(loaded, text) == asked(program, text)


def test_instructions_of_every_step(models: dict[str, LanguageModel]) -> None:
    """The steps take turns, each proposal is asked of the step's own model, and all of it is in the estimate."""
    params = declared(CHECKED, instruction_search="opro")
    tuner = searched(ProgramSetup(params), params, batch_size=1)
    (record,) = tuner.trial_records()
    assert record.calls == (6 + 3) * 2 + 3  # before every second of the six batches one proposal
    for model in models.values():
        wanted = [request.schema["properties"] for request in model.backend.calls]  # type: ignore[attr-defined]
        assert any("instructions" in fields for fields in wanted)


@pytest.mark.parametrize(
    ("name", "calls"),  # three examples validate, and six more train where examples are shown
    [
        ("vote", 2 * 3 * (1 + 3 + 5)),
        ("draft_then_check", 3 * 1 + 3 * 2 + 9 * 2 + 9 * 1 + 2 * 9 * 2),
        ("summarise_then_answer", 3 * 1 + 9 * 1 + 2 * (3 * 2 + 9 * 2)),
    ],
)
def test_presets(models: dict[str, LanguageModel], tmp_path: Path, name: str, calls: int) -> None:
    """Each program that ships has a space that fits it, and a search of it makes the calls of the estimate."""
    overrides = [f"program={name}", f"search={name}", "objective=reward"]
    params = yaml.safe_load(compose(ROOT, overrides, tmp_path / "params.yaml").read_text())
    check_together(params)
    tuner = searched(ProgramSetup(params), params)
    assert sum(record.calls for record in tuner.trial_records()) == calls
    assert all(record.completed for record in tuner.trial_records())


FIELD = st.sampled_from(
    [
        *({"type": name} for name in ("str", "bool", "category", "float")),
        {"type": "str", "list": True},
        {"type": "float", "optional": True},
        {"type": "record", "fields": {"inner": {"type": "bool"}}},
    ]
)


@st.composite
def chains(draw: st.DrawFn) -> dict[str, Any]:
    """Any steps of the known kinds: each but the last one is read by the next."""
    steps: dict[str, Any] = {}
    for number in range(draw(st.integers(1, 4))):
        step: dict[str, Any] = {"model": draw(st.sampled_from(["a", "b"])), "temperature": 0.5}
        step |= draw(
            st.fixed_dictionaries({}, optional={"chain_of_thought": st.booleans(), "samples": st.integers(1, 3)})
        )
        if steps and draw(st.booleans()):
            step["checks"] = f"s{number - 1}"
        elif draw(st.booleans()):
            step["fields"] = {f"f{place}": draw(FIELD) for place in range(draw(st.integers(1, 2)))}
        if steps and draw(st.booleans()):
            step["reads"] = draw(st.sampled_from([[f"s{number - 1}"], ["input", f"s{number - 1}"]]))
        steps[f"s{number}"] = step
    last = steps[f"s{len(steps) - 1}"]
    last.pop("fields", None)
    last.pop("checks", None)
    return steps


def anything(request: Request) -> str:
    """A valid reply to any question, another one for each sample."""
    return json.dumps(filled(request.schema or {}, request.draw))


def filled(schema: dict[str, Any], draw: int) -> Any:
    """A value of a schema."""
    if "properties" in schema:
        return {name: filled(part, draw) for name, part in schema["properties"].items()}
    if "anyOf" in schema:
        return filled(schema["anyOf"][0], draw)
    values = {"string": "x", "boolean": True, "number": 0.5 + draw, "array": []}
    return (schema.get("enum") or [values[schema["type"]]])[0]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chains())
def test_any_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: dict[str, Any]) -> None:
    """Any declared chain of known steps is built, makes the calls of its estimate, each of them another request, and is
    the same program after it was saved and loaded."""
    (tmp_path / "chain").mkdir(exist_ok=True)
    (tmp_path / "chain/ledger.sqlite").unlink(missing_ok=True)
    ledger = Ledger(tmp_path / "chain/ledger.sqlite")
    made = {name: ScriptedLanguageModel(anything, name=name, ledger=ledger) for name in ("a", "b")}
    monkeypatch.setattr(ProgramSetup, "language_model", lambda self, name: made[name])
    setup = ProgramSetup(declared(steps))
    program = run_maybe_nested(setup.declared_program({}))
    (outcome,) = run_maybe_nested(program.evaluation(*data(setup, 1))).outcomes
    sent = [request for model in made.values() for request in model.backend.calls]  # type: ignore[attr-defined]
    assert outcome.status == "ok"
    expected = sum(step.get("samples", 1) for step in steps.values())
    assert outcome.calls == program.calls_per_run == expected == len(sent)
    program.save(tmp_path / "program.json")
    loaded = Program.load(tmp_path / "program.json", {f"scripted/{name}": model for name, model in made.items()})
    loaded.compile(reward=setup.scoring.reward)
    (again,) = run_maybe_nested(loaded.evaluation(*data(setup, 1))).outcomes
    assert again.output == outcome.output
    assert sum(len(model.backend.calls) for model in made.values()) == expected  # type: ignore[attr-defined]
    ledger.close()


@pytest.mark.parametrize("name", ["default", "draft_then_check", "summarise_then_answer", "vote"])
def test_presets_come_back_from_a_file(models: dict[str, LanguageModel], tmp_path: Path, name: str) -> None:
    """What is loaded without any class asks the very same, so that the ledger has all replies, and answers the same."""
    params = yaml.safe_load(compose(ROOT, [f"program={name}"], tmp_path / "params.yaml").read_text())
    program = run_maybe_nested(ProgramSetup(params).declared_program({}))
    record = {"text": "text 4"}
    output = run_maybe_nested(program(record))
    program.save(tmp_path / "program.json")
    loaded = Program.load(tmp_path / "program.json", custom_objects={model.model: model for model in models.values()})
    sessions = [model.ledger.session for model in models.values()]
    paid = [session.paid for session in sessions]
    again = run_maybe_nested(loaded(record))
    assert sum(paid) == program.calls_per_run == loaded.calls_per_run
    assert [session.paid for session in sessions] == paid
    assert again is not None and again.get_json() == output.get_json()
