"""DVC's page: the file in the project is what the script makes, and nothing in it asks a network."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
from dvc_render import VegaRenderer
from dvc_render.html import render_html

from paretune.reporting.dvc_page import PAGE, dvc_page

ROOT = Path(__file__).parents[2]


def test_the_file_is_what_the_installed_renderer_gives() -> None:
    """After another vl-convert: `python -m paretune.reporting.dvc_page`. DVC's own setting names the file."""
    assert (ROOT / PAGE).read_bytes() == dvc_page().encode()
    config = configparser.ConfigParser()
    config.read(ROOT / ".dvc" / "config")
    assert (ROOT / ".dvc" / config["plots"]["html_template"]) == ROOT / PAGE


def test_a_page_that_dvc_writes_has_its_scripts_inside(tmp_path: Path) -> None:
    """DVC's renderer puts the plot in; no tag loads anything, and the policy would not let it."""
    plot = VegaRenderer([{"x": 1, "y": 2, "rev": "{scripts}"}], "points", template="linear", x="x", y="y")
    path = render_html([plot], tmp_path / "index.html", html_template=str(ROOT / PAGE))
    text = Path(path).read_text(encoding="utf-8")
    assert text.count("vegaEmbed('#points'") == 1 and "{scripts}" in text
    assert "cdn." not in text
    outside = re.sub(r"(<script[^>]*>).*?</script>", r"\1", text, flags=re.DOTALL)
    assert outside.count("<script") == 2 and not re.search(r"\b(src|href)=", outside)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; ") and "http" not in policy
    # Each script that begins also ends, and none within another
    tags = re.findall(r"<(/?)script\b", text)
    assert tags == ["", "/"] * (len(tags) // 2) and len(tags) == 4


@pytest.mark.parametrize("place", ["{plot_divs}", "{refresh_tag}"])
def test_the_page_has_the_places_that_dvc_fills(place: str) -> None:
    """Each once; a second one would show the plots twice."""
    assert (ROOT / PAGE).read_text(encoding="utf-8").count(place) == 1
