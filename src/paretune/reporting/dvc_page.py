"""The page in which `dvc plots` draws, with the scripts inside: it needs no network. `.dvc/config` names the file.

`python -m paretune.reporting.dvc_page` writes it; a test compares it with what the installed vl-convert gives.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from paretune.files import open_atomic

__all__ = ["PAGE", "dvc_page"]

PAGE = Path(".dvc/page.html")
#: DVC puts the plots into {plot_divs} and a tag to reload into {refresh_tag}. It would put tags that load Vega from the
#: network into {scripts}, which is left out.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="@policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh_tag}
<title>Plots</title>
<!-- Written by python -m paretune.reporting.dvc_page. Vega, Vega-Lite and Vega-Embed are those of vl-convert @version:
@licence
-->
<style>
@style
</style>
<script>(() => {@bundle})();</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""
#: DVC's own scripts stand in the page, and Vega compiles functions. Nothing may be loaded but pictures beside the page.
_POLICY = "default-src 'none'; img-src 'self' file: data:; script-src 'unsafe-inline' 'unsafe-eval'; "
_POLICY += "style-src 'unsafe-inline'"
#: The pictures have two pixels a point, and those of several revisions stand below each other.
_STYLE = """body { font: 14px "Liberation Sans", Arial, sans-serif; color: #222; background: white; margin: 24px; }
body > div { border: 0 !important; text-align: left !important; white-space: normal !important; overflow-x: auto; }
body > div > div { border: 0 !important; max-width: 100%; }
img { max-width: min(100%, 900px); height: auto; }"""
#: DVC's templates are written for version 5 of Vega-Lite, and drawn alike by 6. Layers without a point are no reason
#: for a warning, and the link to Vega's editor would send the plot away.
_SCRIPT = """window.vegaEmbed = (place, {$schema, ...spec}) =>
  vegaEmbed(place, spec, {
    mode: "vega-lite", renderer: "svg", logLevel: 1,
    actions: {export: true, source: true, compiled: false, editor: false},
  });"""
_LICENCE = """\
Copyright (c) 2015-2024, University of Washington Interactive Data Lab and contributors. All rights
reserved.

Redistribution and use in source and binary forms, with or without modification, are permitted provided that the
following conditions are met:
1. Redistributions of source code must retain the above copyright notice, this list of conditions and the following
   disclaimer.
2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the following
   disclaimer in the documentation and/or other materials provided with the distribution.
3. Neither the name of the copyright holder nor the names of its contributors may be used to endorse or promote products
   derived from this software without specific prior written permission.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR IMPLIED
WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A
PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE FOR
ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT
LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS
INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR
TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF
ADVISED OF THE POSSIBILITY OF SUCH DAMAGE."""


def dvc_page() -> str:
    """The HTML template for DVC's option ``plots.html_template``, about 0.9 MB. Takes seconds, and no network."""
    import vl_convert

    parts = {
        "policy": _POLICY,
        "version": version("vl-convert-python"),
        "licence": _LICENCE,
        "style": _STYLE,
        "bundle": vl_convert.javascript_bundle(_SCRIPT, vl_version="6.4"),  # the last one: it may hold an @ word
    }
    page = _PAGE
    for name, text in parts.items():
        page = page.replace(f"@{name}", text)
    return page


if __name__ == "__main__":
    with open_atomic(PAGE) as handle:
        handle.write(dvc_page())
