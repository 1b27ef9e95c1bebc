"""The process of ``program.function``: calls a Python function with each example, and answers with what it returns.

    python -m paretune.gateway.call_function module:function

The function gets the example as a dict and, where it takes a second argument, the hyperparameters; it returns a dict
(or a pydantic model), or an awaitable of one. What it raises is told as the error of this example; what it prints goes
to stderr, with its traceback.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any


def main() -> None:
    """Answer every line of stdin with a line on stdout."""
    answers, sys.stdout = sys.stdout, sys.stderr
    sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "src")]
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    more = [json.loads(os.environ["PARETUNE_HYPERPARAMETERS"])][: len(inspect.signature(function).parameters) - 1]
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            print(_answer(runner, function, json.loads(line), more), file=answers, flush=True)


def _answer(runner: asyncio.Runner, function: Any, example: dict[str, Any], more: list[Any]) -> str:
    try:
        found = function(example, *more)
        if inspect.isawaitable(found):
            found = runner.run(_awaited(found))
        return json.dumps(found.model_dump(mode="json") if hasattr(found, "model_dump") else found)
    except Exception as error:
        traceback.print_exc()
        return json.dumps({"error": f"{type(error).__name__}: {error}"})


async def _awaited(found: Any) -> Any:
    return await found


if __name__ == "__main__":
    main()
