"""Every error that a user can cause or meet, in one hierarchy.

    ParetuneError
    ├── ConfigError             params.yaml, conf/, a missing key: something declared is wrong
    ├── DataError               a dataset, a row, a template
    ├── UsageError              the library was called in a way that cannot work
    ├── SearchError             the search cannot go on (too many failed trials, a foreign state folder)
    └── LanguageModelError
        ├── FatalError          no call can succeed: bad key, unknown model, refused parameter
        │   └── BudgetError     the declared budget is spent: no further call is made
        ├── TransientError      this call failed for now: time-out, rate limit, server error, connection
        ├── RefusedInputError   this input can never be answered: too long, refused by a content filter
        ├── InvalidOutputError  a program of one's own answered with no valid record
        ├── NotRecordedError    a model of recorded replies has none for this input
        └── JudgementError      an answer came, but the language model that should judge it gave no score

At the command line these print as ``error: <message>`` without a traceback. Anything else is a bug and keeps it.
"""

from __future__ import annotations

__all__ = [
    "ParetuneError",
    "ConfigError",
    "DataError",
    "UsageError",
    "SearchError",
    "LanguageModelError",
    "FatalError",
    "BudgetError",
    "TransientError",
    "RefusedInputError",
    "InvalidOutputError",
    "NotRecordedError",
    "JudgementError",
]


class ParetuneError(Exception):
    """Base class: the message states the rule, the value that broke it, and the cure."""


class ConfigError(ParetuneError):
    """A value in the configuration is missing, unknown or wrong."""


class DataError(ParetuneError):
    """A dataset cannot be read, or one of its rows does not fit the data model."""


class UsageError(ParetuneError):
    """The library was called in a way that cannot work."""


class SearchError(ParetuneError):
    """The search as a whole cannot go on."""


class LanguageModelError(ParetuneError):
    """A language model could not be called, or did not answer."""


class FatalError(LanguageModelError):
    """No further call can succeed; the search stops at the first one."""


class BudgetError(FatalError):
    """The budget is spent; what was finished is kept, and the search goes on when the budget is raised."""


class TransientError(LanguageModelError):
    """The call failed for a reason that may pass; ``retry_after`` is the server's wish in seconds, if any, and
    ``rate_limited`` tells that it was too many calls (status 429)."""

    def __init__(self, message: str, retry_after: float | None = None, rate_limited: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.rate_limited = rate_limited


class RefusedInputError(LanguageModelError):
    """The model cannot answer this one input, however often it is asked; ``filtered`` when a content filter says so."""

    def __init__(self, message: str, filtered: bool = False) -> None:
        super().__init__(message)
        self.filtered = filtered


class InvalidOutputError(LanguageModelError):
    """A program of one's own answered an input with what is no valid record; the message says why."""


class NotRecordedError(LanguageModelError):
    """No reply to this input was recorded: the example is a failure, and not scored."""


class JudgementError(LanguageModelError):
    """A judge gave no score for an answer, which then is a failed example: it is not scored, and not scored as 0."""
