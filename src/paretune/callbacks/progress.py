"""The progress of a training on stderr: a live line on a terminal, one line an epoch elsewhere."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from paretune.callbacks.callback import Callback, Logs

__all__ = ["ProgressDisplay", "measures_line", "print_line"]


class ProgressDisplay(Callback):
    """Tells the epoch, the batches done and the measures. With ``live`` a line moves while an epoch runs."""

    def __init__(self, *, live: bool) -> None:
        self.live = live
        self._display: Any = None
        self._text = ""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self.live:
            from rich.console import Console
            from rich.live import Live
            from rich.text import Text

            console = Console(stderr=True)
            self._display = Live(
                get_renderable=lambda: Text(self._text, no_wrap=True, overflow="ellipsis"),
                console=console,
                refresh_per_second=4,
                transient=True,
            )
            self._display.start()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._started = time.monotonic()
        self._text = self._head(epoch)
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        reward = (logs or {}).get("reward", float("nan"))
        self._text = f"{self._head(self._epoch)}  batch {batch + 1}/{self.params['steps']}  reward {reward:.3g}"

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        line = f"{self._head(epoch)}  {measures_line(logs or {})}  {time.monotonic() - self._started:.1f} s"
        if self._display is not None:
            self._display.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            print_line(line)

    def stop(self) -> None:
        """End the live line, however the training ended."""
        if self._display is not None:
            self._display.stop()
            self._display = None

    def _head(self, epoch: int) -> str:
        return f"epoch {epoch + 1}/{self.params['epochs']}"


def measures_line(logs: Logs) -> str:
    """Measures in one line, without those that nobody knows (the cost of a model without a price)."""
    return "  ".join(f"{name} {value:.3g}" for name, value in logs.items() if not math.isnan(value))


def print_line(text: str) -> None:
    """Print to stderr, where progress belongs."""
    print(text, file=sys.stderr, flush=True)
