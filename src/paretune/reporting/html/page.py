"""The page itself: style, modules and data joined to one file that asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from paretune.reporting.html.blocks import packed

__all__ = ["joined", "page_parts", "waiting_page"]

_APP = Path(__file__).parent / "app"
#: In the order in which they need one another.
_MODULES = (
    "dom", "numbers", "data", "state", "download", "scales", "tags", "chart", "table", "parts", "frontier", "overview",
    "answers", "trial", "trials", "hyperparameters", "brushes", "lines", "parallel", "progress", "words", "example",
    "examples", "live", "main",
)  # fmt: skip


def page_parts(facts: dict[str, Any], blocks: Iterable[tuple[str, Any]], live: str | None = None) -> Iterator[str]:
    """The text of the page, piece by piece. ``blocks`` are named; the page is usable before they are read. ``live`` is
    what ``packed`` gives of how the search goes; None where it has ended."""
    script = joined()
    yield _head(facts["title"], f"script-src {_hash(script)}; ")
    yield (
        f'<main id="main" tabindex="-1"><h1>{html.escape(_sentence(facts))}</h1>'
        "<noscript><p>The rest of this page needs JavaScript, which is in this file.</p></noscript></main>\n"
        f"{'' if live is None else _data('live', live)}{_data('facts', packed(facts))}<script>{script}</script>\n"
    )
    for name, value in blocks:
        yield _data(name, packed(value))
    yield "</body>\n</html>\n"


def waiting_page(title: str, sentences: Sequence[str], seconds: int | None) -> str:
    """The page before there is a result. It opens itself again after so many seconds."""
    again = "" if seconds is None else f'<meta http-equiv="refresh" content="{seconds}">\n'
    head, *rest = map(html.escape, sentences)
    text = "".join(f"<p>{sentence}</p>" for sentence in rest)
    return f'{_head(title, more=again)}<main id="main"><h1>{head}</h1>{text}</main>\n</body>\n</html>\n'


def _head(title: str, scripts: str = "", more: str = "") -> str:
    style, title = (_APP / "style.css").read_text(encoding="utf-8"), html.escape(title)
    policy = (
        f"default-src 'none'; {scripts}style-src {_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n{more}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">\n'
        f'<link rel="icon" href="data:,">\n<title>{title} · paretune</title>\n<style>{style}</style>\n</head>\n<body>\n'
        '<header id="header"><a class="skip" href="#main">Skip to the content</a>'
        f'<p class="brand">{title}</p></header>\n'
    )


def joined() -> str:
    """The modules as one script: each imports only from those before it, and all names are different."""
    parts = []
    for name in _MODULES:
        text = (_APP / f"{name}.js").read_text(encoding="utf-8")
        text = re.sub(r"^import [^;]*;\n", "", text, flags=re.MULTILINE)
        parts.append(re.sub(r"^export ", "", text, flags=re.MULTILINE))
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"


def _sentence(facts: dict[str, Any]) -> str:
    why = str(facts["winner"]["why"])
    return why[:1].upper() + why[1:]


def _data(name: str, text: str) -> str:
    return f'<script type="text/plain" id="{name}">{text}</script>\n'


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
