"""Asking a language model for new instructions: the question, and what is made of the reply."""

from __future__ import annotations

from typing import Any

from paretune.errors import RefusedInputError, TransientError
from paretune.lm.language_model import LanguageModel
from paretune.lm.options import CallOptions
from paretune.prompting.generate import Question
from paretune.prompting.trace import add_call, current_sample, tracing
from paretune.schemas.data_model import DataModel, Field

__all__ = ["Experience", "propose_instructions"]

#: Instructions of more characters are no instructions: models that lose the thread repeat themselves without end.
_LONGEST = 4000

_QUESTION = """\
You improve the instructions that a language model gets for a task. You are given, as JSON:
"tried": instructions tried so far, the best ones last, each with its mean reward (1.0 is perfect) and the number of \
training examples that this is the mean of;
"examples": examples of the task, with the right outputs;
"mistakes": what went wrong under the best instructions, with the right outputs where they are known (an output of \
null did not have the required form).
Write new instructions for the same task that will earn a higher reward. They must differ from all that were tried, \
state rules that hold for unseen inputs instead of quoting examples, and be complete: the model sees nothing else of \
this."""


class Experience(DataModel):
    """What the language model is shown."""

    tried: list[dict[str, Any]]
    examples: list[dict[str, Any]]
    mistakes: list[dict[str, Any]]


class Proposal(DataModel):
    """What the language model is asked for."""

    instructions: str = Field(description="The new instructions, as the model will read them")


async def propose_instructions(
    language_model: LanguageModel,
    experience: Experience,
    *,
    options: CallOptions,
    variant: int,
    name: str,
) -> str | None:
    """The instructions that one call proposes, or None where there are no usable ones.

    ``variant`` tells the same question, asked again, apart in the ledger; ``name`` is the
    caller's, as the ledger's calls are attributed. Raises FatalError; a call that fails for
    another reason proposes nothing.
    """
    await language_model.learn()
    question = Question.of(language_model, Experience, Proposal, options)
    record = dict(experience)  # JSON values whose order is meant
    with tracing(current_sample()._replace(replicate=variant)) as calls:
        try:
            proposal = await question.ask(name, language_model, question.writer.prefix(_QUESTION, ()), record)
        except (RefusedInputError, TransientError):
            proposal = None
    for call in calls:  # on to the trace of whoever asked for a proposal
        add_call(call)
    text = "" if proposal is None else proposal.instructions.strip()
    return text if 0 < len(text) <= _LONGEST else None
