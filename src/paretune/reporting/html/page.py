"""The page itself: style, modules and data joined to one file that asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from paretune.reporting.html.blocks import packed

__all__ = ["joined", "page_parts"]

_APP = Path(__file__).parent / "app"
#: In the order in which they need one another.
_MODULES = (
    "dom", "numbers", "data", "state", "chart", "table", "parts", "frontier", "overview", "answers", "trial", "trials",
    "hyperparameters", "progress", "words", "example", "examples", "main",
)  # fmt: skip


def page_parts(facts: dict[str, Any], blocks: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """The text of the page, piece by piece. ``blocks`` are named; the page is usable before they are read."""
    style, script = (_APP / "style.css").read_text(encoding="utf-8"), joined()
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    title = html.escape(facts["title"])
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">\n'
        f'<link rel="icon" href="data:,">\n<title>{title} · paretune</title>\n<style>{style}</style>\n</head>\n<body>\n'
        '<header id="header"><a class="skip" href="#main">Skip to the content</a>'
        f'<p class="brand">{title}</p></header>\n'
        f'<main id="main" tabindex="-1"><h1>{html.escape(_sentence(facts))}</h1>'
        "<noscript><p>The rest of this page needs JavaScript, which is in this file.</p></noscript></main>\n"
        f"{_data('facts', facts)}<script>{script}</script>\n"
    )
    for name, value in blocks:
        yield _data(name, value)
    yield "</body>\n</html>\n"


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


def _data(name: str, value: Any) -> str:
    return f'<script type="text/plain" id="{name}">{packed(value)}</script>\n'


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
