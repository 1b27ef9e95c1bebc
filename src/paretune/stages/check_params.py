"""Stage check_params: refuse a params.yaml that is not what conf/ says, before anything is computed; name the code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from paretune.errors import ConfigError
from paretune.files import open_atomic
from paretune.pipeline.code_digest import code_digest
from paretune.pipeline.conf_digest import conf_digest
from paretune.pipeline.own_code import load_watched
from paretune.pipeline.run_stage import run_stage
from paretune.pipeline.sections.base import Params, check_sections, read_params, section, unset
from paretune.pipeline.sections.budget import BudgetParams
from paretune.pipeline.sections.data import DataParams
from paretune.pipeline.sections.evaluate import EvaluateParams
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.lm import LmParams, logins
from paretune.pipeline.sections.objective import ObjectiveParams
from paretune.pipeline.sections.program import ProgramParams
from paretune.pipeline.sections.report import ReportParams
from paretune.pipeline.sections.search import SearchParams
from paretune.pipeline.sections.split import SplitParams
from paretune.pipeline.sections.task import TaskParams
from paretune.pipeline.sections.together import check_together
from paretune.pipeline.sections.tuner import TunerParams
from paretune.pipeline.sections.winner import WinnerParams
from paretune.schemas.faults import did_you_mean, shown

CONF = Path("conf")
OUTPUT = Path("data/code")
STAGES = ("materialize", "split", "search", "evaluate", "report")
SECTIONS: dict[str, type[Params]] = {
    "task": TaskParams,
    "layout": LayoutParams,
    "data": DataParams,
    "split": SplitParams,
    "lm": LmParams,
    "program": ProgramParams,
    "search": SearchParams,
    "budget": BudgetParams,
    "tuner": TunerParams,
    "objective": ObjectiveParams,
    "winner": WinnerParams,
    "evaluate": EvaluateParams,
    "report": ReportParams,
}
_LOGIN_CURE = "put it into an environment variable, and name that in lm.api_key_env"


def main() -> None:
    """Check params.yaml, every section of it, and write a digest of the code of each later stage."""
    params = read_params()
    if params.get("conf_digest") != conf_digest(CONF):
        raise ConfigError(_stale())
    if missing := unset(params)[:10]:
        options = " ".join(f"-S {name}=…" for name in missing)
        raise ConfigError(f"{', '.join(missing)} must be given: dvc exp run … {options}")
    if unknown := sorted(set(params) - {"conf_digest", *SECTIONS}):
        hint = did_you_mean(unknown[0], SECTIONS)
        raise ConfigError(f"unknown section {shown(unknown[0])} (known: {', '.join(SECTIONS)}){hint}")
    check_sections(params, SECTIONS)
    check_together(params)
    for place in logins(section(params, "lm", LmParams)):
        print(f"warning: {place} holds a password, which Git keeps: {_LOGIN_CURE}", file=sys.stderr)
    for name, split in section(params, "data", DataParams).splits.items():
        if not Path(split.source).exists():
            raise ConfigError(f"data.splits.{name}.source: no such file or folder (got {shown(split.source, 200)})")
    human = section(params, "evaluate", EvaluateParams).human
    if human is not None and not Path(human).exists():
        raise ConfigError(f"evaluate.human: no such file (got {shown(human, 200)}); one without a row says: no scores")
    layout = section(params, "layout", LayoutParams)
    for place, name in layout.own_code.items():
        load_watched(name, layout.source, place)
    for stage in STAGES:
        with open_atomic(OUTPUT / stage) as handle:
            handle.write(f"{code_digest(stage)}\n")


def _stale() -> str:
    parent = os.environ.get("DVC_ROOT")
    if parent and Path(parent).resolve() != Path.cwd().resolve():  # in DVC's folder of a queued experiment
        return "conf/ has files that Git does not track, which a queued experiment does not see; git add conf"
    return "conf/ changed since params.yaml was composed from it; run `paretune compose` (or use `dvc exp run`)"


if __name__ == "__main__":
    run_stage(main)
