"""A request in the words of other programs: curl, Python, a prompt to read. No key stands in any of them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from paretune.errors import UsageError
from paretune.lm.types import HTTPRequest, Request

__all__ = ["curl_command", "openai_script", "prompt_page"]

#: What belongs to the client that composed the request, and is set by whoever sends it.
_OF_THE_CLIENT = ("accept", "user-agent", "http-referer", "x-title")
#: The parameters that the `openai` package takes by name; others go into its extra_body.
_NAMED = frozenset(
    {
        *("model", "messages", "prompt", "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed"),
        *("response_format", "tools", "tool_choice", "reasoning_effort", "service_tier"),
    }
)
_METHODS = {"/chat/completions": "chat.completions", "/completions": "completions"}


def curl_command(http: HTTPRequest) -> str:
    """The request as a command of a POSIX shell, which puts the key into the place of its variable's name."""
    lines = [f"curl -sS {_quoted(http.url, http.key_env)}"]
    lines += [f"-H {_quoted(f'{name}: {value}', http.key_env)}" for name, value in _headers(http).items()]
    lines.append(f"--data-binary {shlex.quote(json.dumps(http.body, ensure_ascii=False))}")
    return " \\\n  ".join(lines)


def openai_script(http: HTTPRequest) -> str:
    """The request as a script over the ``openai`` package. Raises UsageError where it is not of OpenAI's protocol."""
    place = urlsplit(http.url)
    path = next((path for path in _METHODS if place.path.endswith(path)), None)
    if path is None:
        raise UsageError(f"{place.hostname} does not speak OpenAI's protocol: take --format curl")
    key = repr("none") if http.key_env is None else f"os.environ[{http.key_env!r}]"
    headers = {
        name: value for name, value in _headers(http).items() if name.lower() not in ("authorization", "content-type")
    }
    arguments = [
        f"base_url={urlunsplit(place._replace(path=place.path.removesuffix(path), query=''))!r}",
        f"api_key={key}",
    ]
    if place.query:
        arguments.append(f"default_query={dict(parse_qsl(place.query))!r}")
    if headers:
        shown = ", ".join(f"{name!r}: {_header_value(value, http.key_env)}" for name, value in headers.items())
        arguments.append(f"default_headers={{{shown}}}")
    named = {name: value for name, value in http.body.items() if name in _NAMED}
    extra = {name: value for name, value in http.body.items() if name not in _NAMED}
    fields = [
        f"    {name}={value!r},\n" for name, value in {**named, **({"extra_body": extra} if extra else {})}.items()
    ]
    reply = "reply.choices[0].message.content" if path == "/chat/completions" else "reply.choices[0].text"
    if "tools" in named:
        reply = "reply.choices[0].message.tool_calls[0].function.arguments"
    return (
        ("import os\n\n" if http.key_env else "")
        + "from openai import OpenAI\n\n"
        + f"client = OpenAI({', '.join(arguments)})\n"
        + f"reply = client.{_METHODS[path]}.create(\n{''.join(fields)})\n"
        + f"print({reply})\n"
    )


def prompt_page(request: Request, model: str) -> str:
    """The prompt as a Markdown page: who says what, the options, and the schema of the reply."""
    options = ", ".join(
        f"{name} {json.dumps(value, ensure_ascii=False)}" for name, value in request.options.stated().items()
    )
    parts = [f"# Prompt for {model}", f"Form of the reply: {request.structured_output}; options: {options or 'none'}"]
    for role, content in request.messages:
        fence = "`" * max(3, 1 + _longest_run(content))
        parts.append(f"## {role}\n\n{fence}\n{content}\n{fence}")
    if request.schema is not None:
        parts.append(
            f"## schema of the reply\n\n```json\n{json.dumps(request.schema, indent=2, ensure_ascii=False)}\n```"
        )
    return "\n\n".join(parts) + "\n"


def _headers(http: HTTPRequest) -> Mapping[str, str]:
    kept = {
        name: value
        for name, value in http.headers.items()
        if not name.lower().startswith(("x-stainless", *_OF_THE_CLIENT)) and value != "Bearer none"
    }
    return kept


def _quoted(text: str, key_env: str | None) -> str:
    """A word of a POSIX shell in which the variable's name, and nothing else, is replaced."""
    if key_env is None or f"${key_env}" not in text:
        return shlex.quote(text)
    return f'"${{{key_env}}}"'.join(shlex.quote(part) if part else "" for part in text.split(f"${key_env}"))


def _header_value(value: str, key_env: str | None) -> str:
    if key_env is None or f"${key_env}" not in value:
        return repr(value)
    before, _, after = value.partition(f"${key_env}")
    key = f"os.environ[{key_env!r}]"
    return " + ".join(part for part in (repr(before) if before else "", key, repr(after) if after else "") if part)


def _longest_run(text: Any) -> int:
    return max((len(run) for run in "".join(c if c == "`" else " " for c in text).split()), default=0)
