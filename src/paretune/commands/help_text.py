"""What ``--help`` teaches beside the options: how a project goes, and an example of each command."""

from __future__ import annotations

__all__ = ["EXAMPLES", "OVERVIEW", "example"]

OVERVIEW = """\
a project, from a file of examples to a picture:
  paretune init my-task --data rows.csv            look at the file, make the project
  cd my-task
  paretune compose experiment=fast && dvc repro    two configurations on a few rows: reports/pareto.png
  paretune compose && dvc repro                    the whole search
  paretune best                                    the winner, why, the test
and then: paretune COMMAND --help; something is wrong: paretune doctor
"""

#: By command: lines of a shell, each with what it does.
EXAMPLES: dict[str, dict[str, str]] = {
    "init": {
        "paretune init my-task --data rows.csv": "asks what it cannot tell from the file",
        "paretune init my-task --data rows.csv --target topic --yes": "asks nothing",
        "paretune init my-task --data train.jsonl --test test.jsonl --input title --input body --target label": "",
        "paretune init --upgrade": "in a project: what it shares with paretune, as this version has it",
    },
    "compose": {
        "paretune compose": "after an edit in conf/",
        "paretune compose tuner=random search.max_trials=20": "with other values, until the next time",
    },
    "estimate": {"paretune estimate search=models budget.usd=5": "nothing is called"},
    "check": {"paretune check --against origin/main --markdown check.md": "in CI, after dvc repro"},
    "trials": {"paretune trials few_shot=6 'val_reward>=0.6'": "of the last search, the best first"},
    "show": {"paretune show 2 --wrong": "what trial 2 got wrong"},
    "best": {"paretune best": ""},
    "compare": {
        "paretune compare 2 1": "two trials, example by example",
        "paretune compare main workspace": "the winners of two revisions",
    },
    "experiments": {"paretune experiments": "of the last commit"},
    "export": {
        "paretune export --format curl": "the winner's request for the first validation example",
        "paretune export --format program -o winner.json": "all of it, for predict, serve and Program.load",
    },
    "predict": {
        "paretune predict --input rows.csv --output answers.csv": "the winner's answers to new rows",
        "paretune predict winner.json --input rows.jsonl": "a program's file, without a project",
    },
    "serve": {
        "paretune serve winner.json": "http://127.0.0.1:8000: /predict, /v1/chat/completions, /openapi.json",
    },
    "gateway": {
        "paretune gateway -- python my_app.py": "an app of yours, its calls with ledger and budget",
    },
    "import": {
        "paretune import results.csv": "one row a configuration and item: frontier, winner and page, without a call",
        "paretune import logs/*.eval": "inspect's logs, each one configuration",
    },
    "models": {"paretune models --accept gemma3-270m": "shows its terms first"},
    "report": {"paretune report --watch": "while dvc repro runs, in another terminal"},
    "calls": {"paretune calls --expensive --limit 5": "the dearest"},
    "doctor": {"paretune doctor": "exit code 1 where something is a fault"},
    "completion": {
        "paretune completion bash > ~/.local/share/bash-completion/completions/paretune": "",
        "paretune completion zsh > ~/.zfunc/_paretune": "with fpath+=~/.zfunc before compinit in ~/.zshrc",
        "paretune completion fish > ~/.config/fish/completions/paretune.fish": "",
    },
}


def example(command: str) -> str:
    """The examples of a command, a line each."""
    lines = [f"  {line}{f'    {text}' if text else ''}" for line, text in EXAMPLES[command].items()]
    return "\n".join([f"example{'s' if len(lines) > 1 else ''}:", *lines])
