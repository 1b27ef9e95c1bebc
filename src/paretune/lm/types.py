"""What is asked of a language model, and what comes back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple, Protocol

from paretune.errors import ConfigError, UsageError
from paretune.lm.options import CallOptions
from paretune.lm.usage import billed_completion_tokens, cached_tokens

__all__ = [
    "CHAT_FORMS",
    "HTTPRequest",
    "REFUSAL",
    "Answer",
    "Backend",
    "Price",
    "Pricing",
    "Reply",
    "Request",
    "StructuredOutput",
    "described",
]

#: The ``finish_reason`` of a reply whose text is the model's refusal to answer.
REFUSAL = "refusal"

#: How a record is asked for. JSON: ``native`` (the provider enforces a schema), ``tool`` (as the arguments of a tool
#: call), ``prompt`` (the schema stands in the prompt). Lines ``Name: value``: ``text`` (in a chat), ``completion``
#: (instructions, examples and input as one text, which the model continues).
StructuredOutput = Literal["native", "tool", "prompt", "text", "completion"]
#: In words, those that a chat has, whatever the server.
CHAT_FORMS = "native, prompt or text"


_NO_OPTIONS = CallOptions()


class HTTPRequest(NamedTuple):
    """A request as it goes over HTTP (POST); what holds the key names an environment variable in its place."""

    url: str
    headers: dict[str, str]
    body: dict[str, Any]
    #: The environment variable whose ``$NAME`` stands in the headers or the address; None where no key is sent.
    key_env: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a language model; everything here determines the reply.

    ``messages`` are (role, content) pairs; for ``completion`` there is one, whose content is the text to continue.
    ``grammar`` (GBNF, in which ``<"text">`` stands for the tokens of a text) is used by servers that can constrain
    decoding, and left out elsewhere.
    ``replicate`` and ``epoch`` tell repeated samples of the same question apart: a training that runs an example in
    each epoch draws a reply in each. ``draw`` does so for several replies that are wanted of one question at once, as a
    judge may want them.

    A request that a program of one's own composed is passed on whole: ``body`` is it, ``path`` where it goes (see
    ``paretune.lm.passing``). Then the messages and the options are what paretune reads in it, and no part of the key.
    """

    messages: tuple[tuple[str, str], ...]
    structured_output: StructuredOutput = "native"
    schema_name: str = "output"
    schema: dict[str, Any] | None = field(default=None, hash=False)
    grammar: str | None = None
    options: CallOptions = field(default=_NO_OPTIONS, hash=False)
    replicate: int = 0
    epoch: int = 0
    draw: int = 0
    path: str = ""
    body: dict[str, Any] | None = field(default=None, hash=False)
    #: The input record that the messages ask about, for those who look replies up: no part of what is keyed.
    record: Mapping[str, Any] | None = field(default=None, hash=False, compare=False, repr=False)

    def stated(self) -> dict[str, Any]:
        """This request as it is keyed and stored: what is not set is left out, so that new options keep old keys."""
        values = {name: getattr(self, name) for name in _UNSET}  # asdict() would copy all that is in them
        if self.body is not None:
            return {name: value for name, value in values.items() if name != "messages" and value != _UNSET[name]}
        values = {name: value for name, value in values.items() if name == "messages" or value != _UNSET[name]}
        return {**values, **self.options.stated()}

    @property
    def choices(self) -> int:
        """How many completions one call may bring."""
        if self.body is None:
            return 1
        prompt, many = self.body.get("prompt"), [self.body.get(name) for name in ("n", "best_of")]
        prompts = len(prompt) if isinstance(prompt, list) and not all(isinstance(part, int) for part in prompt) else 1
        return prompts * max([1, *(min(number, 10**6) for number in many if isinstance(number, int))])

    def adapted(self, model: str, takes: Mapping[str, Any]) -> Request:
        """This request, written for another model, as one with these capabilities takes it.

        Raises ConfigError where its messages would have to be others.
        """
        request = self
        if request.body is not None:
            return request
        if request.options.reasoning_effort is not None and not takes["reasoning_effort"]:
            request = replace(request, options=request.options.without("reasoning_effort"))
        if request.structured_output in ("native", "tool") and takes["structured_output"] != "native":
            if takes["structured_output"] != "tool":
                raise ConfigError(
                    f"the fallback {model!r} takes no JSON schema: declare structured_output prompt or text for the "
                    f"program (it is {request.structured_output!r}), or another fallback"
                )
            request = replace(request, structured_output="tool")
        return request


#: The fields of a request and what they are when they are not set.
_UNSET = {each.name: each.default for each in fields(Request) if each.name not in ("options", "record")}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a backend brings back from one successful call; tokens are None where nobody knows them."""

    text: str
    prompt_tokens: int | None
    completion_tokens: int | None
    finish_reason: str | None = None
    #: The provider's own account of the usage, as it came, so that costs can be computed again.
    usage: dict[str, Any] | None = None
    #: What the model thought before it replied, where the provider gives it apart from the text.
    reasoning: str | None = None


class Pricing(Protocol):
    """What the calls of a model cost, in US dollars, at this moment."""

    def describe(self) -> dict[str, Any]:
        """JSON values that change with the prices, and with nothing else."""

    def cost(self, answer: Answer | Reply) -> float:
        """What the tokens of an answer cost; NaN where that cannot be told."""

    def most(self, prompt_tokens: int, completion_tokens: int, service_tier: Any = None) -> float:
        """The most that so many tokens can cost, of whatever kinds they turn out to be."""


def described(price: Pricing | None) -> dict[str, Any] | None:
    """What a price says of itself; None where it is unknown."""
    return None if price is None else price.describe()


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens; ``cached`` for those of the prompt that came from the provider's cache (None: as
    the others). Raises UsageError for what is no number of dollars."""

    prompt: float
    completion: float
    cached: float | None = None

    def __post_init__(self) -> None:
        for name, dollars in self.describe().items():
            if not isinstance(dollars, int | float) or not 0 <= dollars < math.inf:
                raise UsageError(f"price: {name} must be dollars per million tokens, at least 0 (got {dollars!r})")

    def describe(self) -> dict[str, Any]:
        """The prices that are set, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if name != "cached" or value is not None}

    def cost(self, answer: Answer | Reply) -> float:
        """The cost of an answer in US dollars; reasoning counts as completion."""
        if answer.prompt_tokens is None or answer.completion_tokens is None:
            return math.nan
        completion = billed_completion_tokens(answer.completion_tokens, answer.usage)
        dollars = answer.prompt_tokens * self.prompt + completion * self.completion
        if self.cached is not None:
            cached = min(answer.prompt_tokens, cached_tokens(answer.usage))
            dollars += cached * (self.cached - self.prompt)
        return max(0.0, dollars) / 1e6  # a difference may round to less than nothing

    def most(self, prompt_tokens: int, completion_tokens: int, service_tier: Any = None) -> float:
        """The cost of so many tokens at the dearest price of each."""
        dearest = max(self.prompt, self.cached or 0.0)
        return (prompt_tokens * dearest + completion_tokens * self.completion) / 1e6


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with its accounts. ``latency_s`` is that of the call that was paid for, also when the ledger served it
    (None, as the tokens, where a recorded reply does not tell);
    ``cost_usd`` is what its tokens cost at the price of now, None where nobody knows it. ``key`` is the ledger's,
    ``model`` the name of the model that answered. ``usage`` is the provider's own account, ``price`` tells what
    ``cost_usd`` was computed by; ``reasoning`` is what the model thought before, where the provider gives that."""

    text: str
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    latency_s: float | None
    attempts: int
    finish_reason: str | None = None
    served: bool = False
    key: str = ""
    model: str = ""
    usage: dict[str, Any] | None = field(default=None, repr=False, compare=False)
    price: dict[str, Any] | None = field(default=None, repr=False, compare=False)
    reasoning: str | None = None

    @classmethod
    def of(cls, answer: Answer, price: Pricing | None, **accounts: Any) -> Reply:
        """An answer at a price, with its other accounts."""
        answered = {each.name: getattr(answer, each.name) for each in fields(answer)}
        return cls(**answered, **accounts, cost_usd=_cost(answer, price), price=described(price))

    def at(self, price: Pricing | None) -> Reply:
        """This reply at the price of now: what was charged stands where that is still the price."""
        if described(price) == self.price:
            return self
        return replace(self, cost_usd=_cost(self, price), price=described(price))


def _cost(answer: Answer | Reply, price: Pricing | None) -> float | None:
    """What an answer costs; None where that cannot be told."""
    dollars = math.nan if price is None else price.cost(answer)
    return None if math.isnan(dollars) else dollars


class Backend(Protocol):
    """One way to reach a model. A backend tries once and names what went wrong; retries are not its business."""

    def identity(self) -> dict[str, Any]:
        """What determines the replies beside the request: the model, and where or which file it is."""

    def capabilities(self) -> dict[str, Any]:
        """What the model takes: ``structured_output`` (its best JSON), ``reasoning_effort``, ``grammar`` (bools); and
        ``reasons`` (left out: False): whether it reasons before each reply when no effort is asked for."""

    def price(self) -> Pricing | None:
        """The price by which replies are accounted; None when it is unknown."""

    async def send(self, request: Request) -> Answer:
        """Call the model once. Raises FatalError, TransientError or RefusedInputError."""

    async def prepare(self) -> None:
        """Get ready for the first call (load a client, start a server): its time is no call's latency."""

    def close(self) -> None:
        """Release what the backend holds (connections, servers)."""
