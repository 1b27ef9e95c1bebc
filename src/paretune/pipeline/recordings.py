"""Recorded replies as models: the file that section ``lm`` names, and a space in which it has something to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from paretune.errors import ConfigError
from paretune.lm.backends.recorded import PREFIX
from paretune.pipeline.sections.lm import LmParams
from paretune.pipeline.sections.models import EVERY_RECORDED
from paretune.pipeline.sections.program import ProgramParams
from paretune.pipeline.sections.space import SpaceParams, ends
from paretune.terminal import note

if TYPE_CHECKING:
    from paretune.datasets.recording import Recording

__all__ = ["open_recording", "recorded_space"]


def open_recording(lm: LmParams) -> Recording | None:
    """The recorded replies; None where none are declared. Raises DataError and ConfigError as ``Recording`` does."""
    if lm.recording is None:
        return None
    from paretune.datasets.recording import Recording  # the readers of files, which no other search needs

    if lm.source is None:
        raise ConfigError("lm.recording says what is in the file lm.source, which is not named: -S lm.source=FILE")
    recording = Recording(lm.source, **lm.recording.model_dump())
    if recording.repeated:
        note(
            f"{recording.repeated:,} keys in {lm.source!r} have several replies of a model, for further replicates "
            "(executions_per_trial). Where they are of different examples, let an id be lm.recording.key"
        )
    if lacking := recording.lacking:
        most = max(lacking, key=lambda name: lacking[name])
        note(
            f"{len(lacking)} of {len(recording.models)} recorded models lack replies, {most!r} the most: "
            f"{lacking[most]:,}; an example without one is not scored (nor a model, beyond search.max_failure_rate)"
        )
    if lm.recording.tokens_per_character is not None:
        note(f"tokens that were not recorded are estimated: {lm.recording.tokens_per_character:g} a character")
    return recording


def recorded_space(
    space: Mapping[str, SpaceParams], program: ProgramParams, default: str, models: Sequence[str]
) -> dict[str, SpaceParams]:
    """The space with all recorded ``models`` in the place of ``recorded/*``; ``default`` is the model where it names
    none.

    Raises ConfigError where it varies more than the model, or the program would ask otherwise than the recording did:
    recorded replies depend on nothing else.
    """
    kind = space.get("model")
    asked = [program.model or default] if kind is None else ends(kind)
    if not any(str(name).startswith(PREFIX) for name in asked):
        return dict(space)
    if others := [name for name in space if name != "model"]:
        raise ConfigError(
            f"search.space: recorded replies are the same whatever {', '.join(others)} may be: vary the model alone "
            "(search=recorded), or give each recorded configuration a name, as a model of its own"
        )
    for name, off in (("few_shot", "0"), ("chain_of_thought", "false"), ("instruction_search", "none")):
        if getattr(program, name) not in (0, False, "none"):
            raise ConfigError(f"program.{name}: has no effect on recorded replies; set it to {off}")
    if kind is not None and kind.kind == "choice":
        every = [f"{PREFIX}{name}" for name in models]
        values = [name for value in kind.values for name in (every if value == EVERY_RECORDED else [value])]
        return {"model": kind.model_copy(update={"values": tuple(dict.fromkeys(values))})}
    return dict(space)
