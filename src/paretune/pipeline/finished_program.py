"""The program of a trial of a finished project, built again, and records from rows as the project reads them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from paretune.pipeline.evaluation import rebuild
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.rows import input_template
from paretune.pipeline.sections.base import section
from paretune.pipeline.sections.task import TaskParams
from paretune.programs.program import Program
from paretune.serving.answers import Serving
from paretune.trials.record import TrialRecord

__all__ = ["finished_program", "finished_serving", "inside"]


@contextlib.contextmanager
def inside(root: Path) -> Iterator[None]:
    """Be in a project's folder, where code of its own is found as the stages find it."""
    before = list(sys.path)
    with contextlib.chdir(root):
        sys.path[:0] = [str(root), str(root / "src")]
        try:
            yield
        finally:
            sys.path[:] = before


async def finished_program(params: Mapping[str, Any], record: TrialRecord) -> Program:
    """The trial's program with its trained state; of several replicates the best one's."""
    return await rebuild(ProgramSetup(params), record.values, record.state)


async def finished_serving(params: Mapping[str, Any], record: TrialRecord) -> Serving:
    """The trial's program, and rows read by the task's own templates."""
    setup = ProgramSetup(params)
    program = await rebuild(setup, record.values, record.state)
    template = input_template(section(params, "task", TaskParams), "input")
    return Serving(program, template.render, setup.close)
