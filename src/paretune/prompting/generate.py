"""One question to a language model whose answer is a record."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import ValidationError

from paretune.errors import UsageError
from paretune.lm.language_model import LanguageModel
from paretune.lm.options import CallOptions
from paretune.lm.types import REFUSAL, Request, StructuredOutput
from paretune.prompting.prompts import PromptWriter
from paretune.prompting.trace import Call, add_call, current_sample
from paretune.schemas.data_model import DataModel
from paretune.schemas.faults import find_faults
from paretune.schemas.parsing import parse_json
from paretune.schemas.text_form import parse_text

__all__ = ["Question", "call_options", "reasons_by_itself"]

Output = TypeVar("Output", bound=DataModel)


def _reply_schema(language_model: LanguageModel, output_model: type[DataModel]) -> dict[str, Any]:
    """The JSON schema that is sent to a model."""
    schema = output_model.get_schema()
    if not language_model.capabilities["grammar"]:  # providers refuse schemas that limit a length
        schema["properties"].get("thinking", {}).pop("maxLength", None)
        _drop(schema, "maxItems")
    return schema


def _drop(schema: Any, keyword: str) -> None:
    """Take a keyword out of a schema and the schemas in it (no value of theirs is called so)."""
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        _drop(part, keyword)
    if isinstance(schema, dict) and not isinstance(schema.get(keyword), dict):  # else a field's name
        schema.pop(keyword, None)


def call_options(taker: str, keywords: Mapping[str, Any]) -> CallOptions:
    """The call options that ``taker`` was given as keyword arguments. Raises UsageError with every fault in them."""
    try:
        return CallOptions(**keywords)
    except ValidationError as error:
        faults = "".join(f"\n  {fault}" for fault in find_faults(error, CallOptions, noun="call option"))
        raise UsageError(f"invalid call options of {taker}:{faults}") from None


def _supported(language_model: LanguageModel, options: CallOptions) -> CallOptions:
    """The options without a reasoning effort that the model does not take, of which it warns."""
    if options.reasoning_effort is None or language_model.capabilities["reasoning_effort"]:
        return options
    warnings.warn(
        f"{language_model.model} takes no reasoning_effort: {options.reasoning_effort!r} has no effect",
        stacklevel=4,
    )
    return options.without("reasoning_effort")


def reasons_by_itself(language_model: LanguageModel, effort: str | None) -> bool:
    """Whether a model reasons before it replies to a call with this effort (None: without one), untold by the prompt.

    ``LanguageModel(reasons=…)`` says it; else, with an effort that the model takes, whether that is another than
    ``none`` or ``disable``; without one, litellm's list of models. One that is not in the list is taken for a model
    that does not. Replies teach nothing here: what is asked must not depend on which of them comes first.
    """
    if language_model.reasons is not None:
        return language_model.reasons
    takes = language_model.capabilities
    if effort is not None and takes["reasoning_effort"]:
        return effort not in ("none", "disable")
    return bool(takes.get("reasons"))  # older ledgers remember nothing of it


@dataclass(frozen=True)
class Question(Generic[Output]):
    """What a language model is asked about each of some input records: for a record of ``output_model``.

    The writer's data model is what it is told to reply. ``output_model`` may have a field ``thinking`` besides, which
    gets the model's own reasoning, or stays empty where the provider does not give it.
    """

    writer: PromptWriter
    output_model: type[Output]
    schema: dict[str, Any]
    options: CallOptions

    @classmethod
    def of(
        cls,
        language_model: LanguageModel,
        input_model: type[DataModel],
        output_model: type[Output],
        options: CallOptions,
        *,
        asked: type[DataModel] | None = None,
        structured_output: StructuredOutput | Literal["auto"] = "auto",
    ) -> Self:
        """The question in the form that a model takes: ``asked`` for (None: the ``output_model``) in the best form of
        JSON that it supports, or another, and without options that it does not take, of which it warns."""
        asked = output_model if asked is None else asked
        form = language_model.capabilities["structured_output"] if structured_output == "auto" else structured_output
        writer, schema = PromptWriter(input_model, asked, form), _reply_schema(language_model, asked)
        return cls(writer, output_model, schema, _supported(language_model, options))

    async def ask(
        self, caller: str, language_model: LanguageModel, prefix: str, record: dict[str, Any], draw: int = 0
    ) -> Output | None:
        """The output of one input record (plain JSON values); the call is noted in the trace of ``caller``.

        The question is one of the current sample's: whoever asks (a generator, a judge, an optimizer that wants
        proposals), each epoch and each replicate draws a reply of its own. ``draw`` numbers several that are wanted of
        one question. ``prefix`` is the prompt before the input.

        Returns None when the reply does not validate. Raises the errors of ``LanguageModel.complete``.
        """
        sample, writer = current_sample(), self.writer
        request = Request(
            messages=writer.messages(prefix, record),
            structured_output=writer.structured_output,
            schema_name=self.output_model.__name__,
            schema=None if writer.in_text else self.schema,
            grammar=writer.grammar,
            options=self.options.stopping_at(writer.stop()),
            replicate=sample.replicate,
            epoch=sample.epoch,
            draw=draw,
            record=record,
        )
        reply = await language_model.complete(request)
        output: DataModel | None = None
        if reply.finish_reason != REFUSAL:
            output = (parse_text if writer.in_text else parse_json)(reply.text, writer.output_model)
        language_model.ledger.note(reply, caller, valid=output is not None, replicate=sample.replicate)
        add_call(Call(caller, record, None if output is None else output.get_json(), reply))
        if output is None or isinstance(output, self.output_model):
            return output
        return self.output_model.model_construct(thinking=reply.reasoning or "", **dict(output))  # valid, as output is
