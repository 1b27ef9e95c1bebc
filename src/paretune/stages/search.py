"""Stage search: try configurations on the training and validation data; write data/search/ and reports/run.json."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from paretune.estimating.estimate import estimate
from paretune.eventloop import run_maybe_nested
from paretune.files import write_json
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.run_stage import run_stage
from paretune.pipeline.scoring import measures_of_trial
from paretune.pipeline.sections.base import read_params
from paretune.pipeline.tuners import make_tuner, search_data
from paretune.trials.record import race_savings
from paretune.trials.replies import write_replies
from paretune.trials.store import write_trials
from paretune.trials.winner import Best
from paretune.tuners.replies import asked_by_example

OUTPUT = Path("data/search")
RUN = Path("reports/run.json")


def main() -> None:
    """Run the search, or go on with it where an earlier run was stopped."""
    started = time.monotonic()
    params = read_params()
    setup = ProgramSetup(params)
    fit = search_data(setup)
    validation = fit["validation_data"]
    run_maybe_nested(setup.fit_space())
    tuner = make_tuner(params, setup)
    if setup.search.executor == "dask":
        from paretune.pipeline.cluster import on_dask  # Dask is an extra, and slow to load

        tuner.executing = on_dask(params, setup)
    print(estimate(tuner, **fit), file=sys.stderr)
    print("look at it while it runs: paretune report --watch", file=sys.stderr)
    setup.check_models(tuner.space)
    finished = False
    try:
        tuner.search(**fit)
        records = tuner.trial_records()
        write_trials(OUTPUT / "trials.jsonl", records)
        assert tuner.planned is not None
        ledgers = [ledger.path for ledger in tuner.planned.ledgers]
        asked = asked_by_example(tuner.search_name or "", records, ledgers, len(validation[1]))
        write_replies(OUTPUT / "replies.jsonl", asked)
        completed = [record for record in records if record.completed]
        measures = {one.trial: measures_of_trial(one, validation[1], setup.scoring.metrics) for one in completed}
        best = Best.of(records, tuner.oracle.goals, tuner.rule, stopped=tuner.stopped, measures=measures)
        best.write(OUTPUT / "best.json")
        finished = True
    finally:  # else what this run has paid would be missing beside the reports of an earlier one
        run_maybe_nested(setup.close())
        account = {
            "lm_calls_paid": tuner.session.paid,
            "spent_usd": round(tuner.session.spent_usd, 6),
            "seconds": round(time.monotonic() - started, 1),
            "resumed": tuner.resumed,
            "stopped": tuner.stopped is not None,  # best.json tells why
            "finished": finished,
            "trials": [{"trial": record.trial, "seconds": record.seconds} for record in tuner.trial_records()],
            **({} if setup.search.racing == "none" else race_savings(tuner.trial_records())),
        }
        write_json(RUN, account)
    print(f"{OUTPUT}: {best.why} {best.doubt}\n  {best.values}", file=sys.stderr)


if __name__ == "__main__":
    run_stage(main)
