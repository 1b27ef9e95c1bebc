"""Generator and ChainOfThought: the modules that call a language model."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Literal, Unpack, cast

from pydantic import create_model

from paretune.errors import UsageError
from paretune.lm.language_model import LanguageModel
from paretune.lm.options import SeededCallKeywords
from paretune.lm.types import CHAT_FORMS, StructuredOutput
from paretune.programs.module import Module
from paretune.prompting.generate import Question, call_options, reasons_by_itself
from paretune.prompting.prompts import Example, PromptWriter
from paretune.prompting.voting import most_common
from paretune.schemas.data_model import DataModel, Field

__all__ = ["ChainOfThought", "Generator", "default_instructions"]


class Generator(Module):
    """Ask a language model for a record of ``data_model``, given an input record.

    Parameters
    ----------
    data_model
        What to generate.
    language_model
        A LanguageModel, or its name.
    instructions
        What the model is told; a plain sentence about the fields when None. Training may change it.
    examples
        Few-shot examples, ``{"input": {...}, "output": {...}}`` each. Training may change them.
    structured_output
        How the record is asked for: ``native``, ``tool``, ``prompt``, ``text`` or ``completion`` (see lm.types), or
        ``auto``: the best form of JSON that the model supports.
    samples
        How many replies are drawn for each input; with more than one, the module gives the most common record (see
        ``prompting.voting``), so that the temperature must be above 0. Each is a reply of its own in the ledger, and
        those of fewer samples are the first ones of more.
    options
        Call options by their names, such as ``temperature=0.0``: see ``CallOptions``.
    """

    def __init__(
        self,
        data_model: type[DataModel] | None = None,
        language_model: LanguageModel | str | None = None,
        *,
        instructions: str | None = None,
        examples: Sequence[Example] = (),
        structured_output: StructuredOutput | Literal["auto"] = "auto",
        samples: int = 1,
        name: str | None = None,
        **options: Unpack[SeededCallKeywords],
    ) -> None:
        super().__init__(name)
        if data_model is None or language_model is None:
            raise UsageError(f"{self.name} needs data_model=… and language_model=…")
        self.gold_model = data_model
        self.data_model = self.with_own_fields(data_model)
        self.language_model = LanguageModel(language_model) if isinstance(language_model, str) else language_model
        self.instructions = instructions
        self.examples: tuple[Example, ...] = tuple(examples)
        self.options = call_options(self.name, options)
        self.structured_output = structured_output
        self.samples = samples
        if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
            raise UsageError(f"{self.name}: samples must be a whole number above 0 (got {samples!r})")
        if samples > 1 and self.options.temperature == 0:
            raise UsageError(f"{self.name}: {samples} samples at temperature 0 would be one and the same: raise it")
        self._questions: dict[tuple[LanguageModel, type[DataModel]], Question[DataModel]] = {}
        self._prefix: tuple[Any, ...] | None = None

    def with_own_fields(self, data_model: type[DataModel]) -> type[DataModel]:
        """The data model that replies have: a module may add fields of its own before those asked for."""
        return data_model

    def asked_of(self, language_model: LanguageModel) -> type[DataModel]:
        """The data model of the replies that a language model is asked for: a module may fill in its own fields."""
        return self.data_model

    def output_models(self, *inputs: type[DataModel]) -> tuple[type[DataModel], type[DataModel]]:
        if len(inputs) != 1:
            raise UsageError(f"{self.name} takes one input (got {len(inputs)})")
        return self.data_model, self.gold_model

    async def check(self) -> None:
        """Raise UsageError for a form of asking that the language model lacks."""
        if reason := await self.language_model.lacks(self.structured_output):
            other = CHAT_FORMS if self.structured_output == "completion" else "completion"
            raise UsageError(f"{self.name}: {reason}; set structured_output to {other}")

    async def call(self, inputs: DataModel) -> DataModel | None:
        """Ask for the output of one input record; None when the reply, or each of the samples, does not validate."""
        if not isinstance(inputs, DataModel):
            raise UsageError(
                f"{self.name} takes a record, of which it learns the fields (got a {type(inputs).__name__})"
            )
        await self.language_model.learn()
        question, record = self._question(type(inputs)), inputs.get_json()
        prefix = self._prefix_of(question.writer)

        async def ask(draw: int) -> DataModel | None:
            return await question.ask(self.name, self.language_model, prefix, record, draw)

        return await (ask(0) if self.samples == 1 else most_common(ask, self.samples, self.gold_model.model_fields))

    @property
    def called_models(self) -> tuple[LanguageModel, ...]:
        return (self.language_model,)

    def get_config(self) -> dict[str, Any]:
        if type(self).__init__ not in (Generator.__init__, ChainOfThought.__init__):
            return super().get_config()
        return {
            "data_model": self.gold_model,
            "language_model": self.language_model,
            "structured_output": self.structured_output,
            "samples": self.samples,
            **self.options.stated(),
        }

    def get_state(self) -> dict[str, Any]:
        return {"instructions": self.instructions, "examples": [dict(example) for example in self.examples]}

    def load_state(self, state: dict[str, Any]) -> None:
        self.instructions = state["instructions"]
        self.examples = tuple(state["examples"])

    def _question(self, input_model: type[DataModel]) -> Question[DataModel]:
        """What a record of a data model is asked about, made once for each language model."""
        model, key = self.language_model, (self.language_model, input_model)
        if key not in self._questions:
            form: dict[str, Any] = {"asked": self.asked_of(model), "structured_output": self.structured_output}
            self._questions[key] = Question.of(model, input_model, self.data_model, self.options, **form)
        return self._questions[key]

    def _prefix_of(self, writer: PromptWriter) -> str:
        """The prompt before the input, written once for each candidate."""
        if self._prefix is None or self._prefix[:3] != (writer, self.instructions, self.examples):
            instructions = self.instructions
            if instructions is None:
                instructions = default_instructions(writer.input_model, writer.output_model)
            prefix = writer.prefix(instructions, self.examples)
            self._prefix = (writer, self.instructions, self.examples, prefix)
        return cast(str, self._prefix[3])


class ChainOfThought(Generator):
    """A Generator whose reply starts with ``thinking: str``, unless the data model has that field already.

    Replies are records of a subclass of the data model, with its validators and methods.
    ``max_thinking`` limits the thinking to that many characters, where replies are constrained.

    A model that reasons by itself is not told to think once more: it is asked as a Generator asks, and ``thinking``
    holds its own reasoning, or nothing where the provider keeps that. Such a model is known by
    ``LanguageModel(reasons=…)``; or by the ``reasoning_effort`` of the call, where it takes one (another than ``none``
    and ``disable``); or, without an effort, by litellm's list of models, where most that can reason do so, but Claude
    and GPT-5.1 and later do not. In the form ``completion``, in which no model reasons apart, the field is asked for;
    so it is where the data model has it.
    """

    def __init__(
        self,
        data_model: type[DataModel] | None = None,
        language_model: LanguageModel | str | None = None,
        *,
        max_thinking: int | None = None,
        **options: Any,
    ) -> None:
        self.max_thinking = max_thinking
        super().__init__(data_model, language_model, **options)

    def with_own_fields(self, data_model: type[DataModel]) -> type[DataModel]:
        return _with_thinking(data_model, self.max_thinking)

    def asked_of(self, language_model: LanguageModel) -> type[DataModel]:
        if self.structured_output != "completion" and reasons_by_itself(language_model, self.options.reasoning_effort):
            return self.gold_model
        return self.data_model

    def get_config(self) -> dict[str, Any]:
        return {"max_thinking": self.max_thinking, **super().get_config()}


@functools.cache
def _with_thinking(data_model: type[DataModel], limit: int | None) -> type[DataModel]:
    if "thinking" in data_model.model_fields:
        return data_model
    thinking = Field(
        description="Your step by step thinking",
        json_schema_extra=None if limit is None else {"maxLength": limit},
    )
    first: type[DataModel] = create_model("Thinking", __base__=DataModel, thinking=(str, thinking))
    # Fields stand in the order of the bases from the last to the first; validators and methods are inherited.
    return create_model(data_model.__name__, __base__=(data_model, first))


def default_instructions(input_model: type[DataModel], output_model: type[DataModel]) -> str:
    """A plain sentence that says which fields to give for which, with their descriptions."""
    given = ", ".join(input_model.model_fields)
    wanted = ", ".join(
        f"{name} ({info.description})" if info.description else name for name, info in output_model.model_fields.items()
    )
    return f"Given {given}, answer with: {wanted}."
