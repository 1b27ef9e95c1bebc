"""Replies as servers send them, or nobody would: from the bytes on the wire to what became of an example."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any, Literal

from hypothesis import strategies as st
from mutations import Changes, changed, changes_of, places
from openai_server import Answer, OpenAIServer

from paretune import ChainOfThought, DataModel, Generator, Input, LanguageModel, Program, clear_session
from paretune.errors import ParetuneError
from paretune.eventloop import run_maybe_nested
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.queries import CallFilter, ids, opened, whole_call
from paretune.metrics import CategoricalF1Score
from paretune.metrics.outcome import Outcome

__all__ = ["Sent", "judged_reply", "replies", "with_usage"]

FORMS = ("native", "tool", "prompt", "text", "completion")
#: Texts that JSON can spell, half characters too.
_TEXTS = st.text(max_size=5) | st.sampled_from(["\ud800", "a\udfffb", "7", "1e300", "-1", "NaN", "\0", "\x1b[31m"])
_NUMBERS = st.sampled_from([2**63, -(2**63) - 1, 10**400, 1e300, float("nan"), float("inf"), -0.0, 1e-320])
#: Any value that JSON has, or that servers take for one.
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)


class Text(DataModel):
    text: str


class Feeling(DataModel):
    label: Literal["joy", "fear"]
    sure: bool = True


#: What a reply to the question is made of, in JSON or in lines, in thoughts and out of them.
_PIECES = [
    '{"label": "joy", "sure": true}', '{"thinking": "hm", "label": "fear", "sure": false}', "Label: joy\nSure: yes",
    '{"label": "joy"', '"label"', ":", ",", "{", "}", "[", "]", '"', "'", "\\", "\\u12", '"\\ud800"', "null", "NaN",
    "1e999", "-", "<think>", "</think>", "<thinking>", "[THINK]", "[/THINK]", "```json\n", "```", "\n", "\n\n",
    "Label:", "**Label:** joy", "Sure: no", "joy", "JOY.", "True", "\u2028", "\ufeff", "\0", "é", "😀", "{" * 300,
    '{"a":' * 300, "[" * 2000, "9" * 5000,
]  # fmt: skip
_RIGHT = [*_PIECES[:3], " joy\nSure: yes", "<think>hm</think>" + _PIECES[0], "```json\n" + _PIECES[1] + "\n```"]
_CONTENTS = (
    st.lists(st.sampled_from(_PIECES), max_size=8).map("".join)
    | st.text(max_size=40)
    | st.sampled_from(_RIGHT)
    | st.tuples(st.sampled_from(_RIGHT), st.sampled_from(_PIECES)).map("".join)
    | st.tuples(st.sampled_from(_PIECES), st.sampled_from(_RIGHT)).map("".join)
    | _VALUES.map(lambda value: json.dumps({"label": value, "sure": True}))
)

_MESSAGE = {
    "role": "assistant",
    "content": "",
    "refusal": None,
    "annotations": [],
    "audio": None,
    "reasoning_content": "It is.",
    "reasoning": "It is.",
    "provider_specific_fields": {"refusal": None},
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "Feeling", "arguments": ""}}],
}
_BODY: dict[str, Any] = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "system_fingerprint": None,
    "service_tier": "default",
    "error": None,
    "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None, "text": "", "message": _MESSAGE}],
    "usage": {
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 0},
    },
}
_CHOICE = ("choices", 0)
_PLACES = list(places(_BODY))
#: Places whose change must not cost the text of a reply.
_BESIDE = [place for place in _PLACES if place[0] in ("id", "object", "created", "model", "service_tier", "usage")]
_BESIDE += [(*_CHOICE, name) for name in ("index", "finish_reason", "logprobs")]
_BESIDE += [(*_CHOICE, "message", name) for name in ("role", "annotations", "audio", "reasoning_content", "reasoning")]

_DAMAGE = st.tuples(st.sampled_from(["cut", "put", "drop"]), st.floats(0, 1), st.binary(min_size=1, max_size=3))
_ENCODINGS = st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"])
_STATUS = st.sampled_from([200] * 12 + [201, 206, 301, 400, 401, 404, 418, 422, 429, 500, 503, 529])
_HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Content-Type", "Content-Encoding", "x-request-id"]),
    st.sampled_from(["0", "-1", "1e400", "nan", "text/html", "gzip", "deflate", "identity", "br", "é", "x" * 2000]),
    max_size=2,
)


class Sent:
    """What a server sends to a question in a form; ``text`` is given where that of the reply must come through."""

    def __init__(
        self, form: str, body: bytes, status: int = 200, headers: dict[str, str] | None = None, text: str | None = None
    ) -> None:
        self.form, self.body, self.status, self.headers, self.text = form, body, status, headers or {}, text

    def __repr__(self) -> str:
        return f"Sent({self.form!r}, {self.body!r}, {self.status}, {self.headers!r}, {self.text!r})"


def _completion(form: str, content: str, changes: Changes) -> dict[str, Any]:
    """A reply with this text where its form has it, then changed."""
    body = changed(_BODY, [])
    choice = body["choices"][0]
    message = choice["message"]
    message["content"] = choice["text"] = content
    message["tool_calls"][0]["function"]["arguments"] = content
    if form != "tool":
        del message["tool_calls"]
    if form == "completion":
        del choice["message"]
    return changed(body, changes)


def _encoded(value: Any, raw: bool) -> bytes:
    """A value as JSON, with its characters as they are or escaped."""
    return json.dumps(value, ensure_ascii=not raw).encode("utf-8", "surrogatepass")


def _damaged(body: bytes, damages: Sequence[tuple[str, float, bytes]]) -> bytes:
    for how, share, piece in damages:
        place = int(share * len(body))
        rest = body[place + len(piece) :] if how == "drop" else body[place:]
        body = body[:place] if how == "cut" else body[:place] + (piece if how == "put" else b"") + rest
    return body


def _recoded(body: bytes, encoding: str) -> bytes:
    return body if encoding == "utf-8" else body.decode("utf-8", "replace").encode(encoding, "replace")


def replies() -> st.SearchStrategy[Sent]:
    """Whole replies whose text must come through; structured mutations; damaged bytes; other statuses and headers."""
    forms = st.sampled_from(FORMS)
    beside = changes_of(_BESIDE, _VALUES, least=0)
    whole = st.builds(
        lambda form, text, changes: Sent(form, _encoded(_completion(form, text, changes), False), text=text),
        forms,
        _CONTENTS.filter(lambda text: not text.lstrip().startswith("<think") and text != ""),
        beside,
    )
    mutated = st.builds(
        lambda form, text, changes, raw: Sent(form, _encoded(_completion(form, text, changes), raw)),
        forms,
        _CONTENTS,
        changes_of(_PLACES, _VALUES | _CONTENTS),
        st.booleans(),
    )
    odd = st.builds(
        lambda sent, damages, encoding, status, headers: Sent(
            sent.form, _recoded(_damaged(sent.body, damages), encoding), status, headers
        ),
        whole | mutated | st.builds(Sent, forms, st.binary(max_size=60) | _VALUES.map(lambda v: _encoded(v, False))),
        st.lists(_DAMAGE, max_size=2),
        _ENCODINGS,
        _STATUS,
        _HEADERS,
    )
    return whole | mutated | odd


def with_usage(usage: Any, reason: Any) -> Sent:
    """A right answer with this account, which ended for this reason."""
    changes = [("set", ("usage",), usage), ("set", (*_CHOICE, "finish_reason"), reason)]
    return Sent("native", _encoded(_completion("native", _RIGHT[0], changes), False), text=_RIGHT[0])


_numbers = itertools.count()


def judged_reply(sent: Sent, server: OpenAIServer, ledger: Ledger) -> str:
    """What became of an example that was answered so: the status of its outcome, or ``fatal``.

    A reply is paid for once: the next run gets the same outcome from the ledger, or asks again where none could be
    read. Outcomes and stored calls are text that a file can hold. Any other error than a ParetuneError is raised.
    """
    server.answer = Answer(sent.body, sent.status, sent.headers)
    question, before = f"text {next(_numbers)}", len(server.asked)
    kind = ChainOfThought if len(sent.body) % 2 else Generator
    first = _outcome(sent, kind, question, server, ledger)
    again = _outcome(sent, kind, question, server, ledger)
    asked = len(server.asked) - before
    if isinstance(first, str):
        assert type(again) is type(first) and asked == 2, f"{first!r}, then {again!r} after {asked} requests"
        assert 0 < len(first) < 5_000, f"no error to read: {first!r}"
        assert sent.text is None, f"a reply is lost: {first}"
        return "fatal"
    assert not isinstance(again, str)
    row = json.loads(json.dumps(first.row(), allow_nan=False, ensure_ascii=False).encode())
    assert Outcome.from_row(row) == first
    assert first.reward in (None, 0.0, 1.0) and min(first.prompt_tokens, first.completion_tokens) >= 0
    if first.status == "failed" or not first.calls:
        assert sent.text is None, f"a reply is lost: {first}"
        assert (asked, again.status) == (2, first.status)
        return first.status
    assert (asked, again) == (1, first), f"{asked} requests for {first}, then {again}"
    with opened(ledger.path) as connection:
        (key,) = ids(connection, CallFilter(), limit=1)
        stored = whole_call(connection, key)
    json.dumps(stored, ensure_ascii=False).encode()
    assert sent.text is None or stored["reply"] == sent.text.encode("utf-16", "surrogatepass").decode(
        "utf-16", "replace"
    ), f"{stored['reply']!r} was {sent.text!r}"
    return first.status if first.kind is None else f"invalid ({first.kind})"


def _outcome(sent: Sent, kind: type[Generator], question: str, server: OpenAIServer, ledger: Ledger) -> Outcome | str:
    clear_session()
    reasons = len(sent.body) % 3 == 0
    model = LanguageModel("openai/m", api_base=server.api_base, max_attempts=1, ledger=ledger, reasons=reasons)

    async def build() -> Program:
        inputs = Input(Text)
        module = kind(data_model=Feeling, language_model=model, structured_output=sent.form)  # type: ignore[arg-type]
        return Program(inputs, await module(inputs))

    program = run_maybe_nested(build())
    program.compile(metrics=[CategoricalF1Score(out_mask=["sure"])])
    try:
        evaluation = run_maybe_nested(program.evaluation([Text(text=question)], [Feeling(label="joy")]))
    except ParetuneError as error:
        return str(error)
    return evaluation.outcomes[0]
