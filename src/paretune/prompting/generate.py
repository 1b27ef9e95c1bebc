"""One question to a language model whose answer is a record."""

from __future__ import annotations

from typing import Any, Literal, TypeVar, cast

from paretune.lm.language_model import LanguageModel
from paretune.lm.options import CallOptions
from paretune.lm.types import REFUSAL, Request, StructuredOutput
from paretune.prompting.prompts import PromptWriter
from paretune.prompting.trace import Call, add_call, current_sample
from paretune.schemas.data_model import DataModel
from paretune.schemas.parsing import parse_json
from paretune.schemas.text_form import parse_text

__all__ = ["generate_record", "reply_schema", "writer_for"]

Output = TypeVar("Output", bound=DataModel)


def writer_for(
    language_model: LanguageModel,
    input_model: type[DataModel],
    output_model: type[DataModel],
    structured_output: StructuredOutput | Literal["auto"] = "auto",
) -> PromptWriter:
    """The writer of prompts for a model; ``auto`` is the best form of JSON that the model supports."""
    if structured_output == "auto":
        structured_output = language_model.capabilities["structured_output"]
    return PromptWriter(input_model, output_model, cast(StructuredOutput, structured_output))


def reply_schema(language_model: LanguageModel, output_model: type[DataModel]) -> dict[str, Any]:
    """The JSON schema that is sent to a model."""
    schema = output_model.get_schema()
    if not language_model.capabilities["grammar"]:  # providers refuse schemas that limit a length
        schema["properties"].get("thinking", {}).pop("maxLength", None)
    return schema


async def generate_record(
    caller: str,
    language_model: LanguageModel,
    writer: PromptWriter,
    prefix: str,
    record: dict[str, Any],
    output_model: type[Output],
    *,
    schema: dict[str, Any] | None,
    options: CallOptions,
) -> Output | None:
    """Ask for the output of one input record (plain JSON values), and note the call in the trace of ``caller``.

    The question is one of the current sample's: whoever asks (a generator, a judge, an optimizer that wants proposals),
    each epoch and each replicate draws a reply of its own.

    Returns None when the reply does not validate. Raises the errors of ``LanguageModel.complete``.
    """
    sample = current_sample()
    request = Request(
        messages=writer.messages(prefix, record),
        structured_output=writer.structured_output,
        schema_name=output_model.__name__,
        schema=None if writer.in_text else schema,
        grammar=writer.grammar,
        options=options.having(stop=(*writer.stop(), *options.stop)) if writer.stop() else options,
        replicate=sample.replicate,
        epoch=sample.epoch,
    )
    reply = await language_model.complete(request)
    output = None
    if reply.finish_reason != REFUSAL:
        output = (parse_text if writer.in_text else parse_json)(reply.text, output_model)
    language_model.ledger.note(reply, caller, valid=output is not None, replicate=sample.replicate)
    add_call(Call(caller, record, None if output is None else output.get_json(), reply))
    return output
