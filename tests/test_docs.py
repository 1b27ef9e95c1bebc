"""The documentation: the committed reference is the generated one, and no link leads nowhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import paretune

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """The script that writes the reference, as a module."""
    spec = importlib.util.spec_from_file_location("generate_api", DOCS / "generate_api.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_reference_is_the_generated_one(generator: ModuleType) -> None:
    """After a change of a docstring: make docs."""
    committed = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md")}
    generated = generator.pages()
    assert set(committed) == set(generated)
    stale = [name for name, text in generated.items() if committed[name] != text]
    assert not stale, "run: make docs"


def test_the_reference_has_every_public_name_with_a_text(generator: ModuleType) -> None:
    """Each public name has its heading, followed by more than a signature; nothing depends on the machine."""
    pages = generator.pages()
    packages = ["paretune", *(f"paretune.{name}" for name in paretune.__all__ if f"paretune.{name}.md" in pages)]
    assert len(packages) >= 6 and set(pages) == {"index.md", *(f"{package}.md" for package in packages)}
    for package in packages:
        text = pages[f"{package}.md"]
        for name in importlib.import_module(package).__all__:
            section = re.search(rf"^## {name}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
            assert section is not None, f"{package}.{name} is missing"
            prose = re.sub(r"```.*?```|^Extends [^\n]*", "", section[1], flags=re.MULTILINE | re.DOTALL).strip()
            assert prose, f"{package}.{name} has no docstring"
            assert f"[`{name}`]({package}.md#{name.lower()})" in pages["index.md"] or name in (
                page.removeprefix("paretune.") for page in packages
            )
        assert not re.search(r" at 0x[0-9a-f]+|<class |<function ", text)


def test_sections_of_docstrings_become_lists(generator: ModuleType) -> None:
    """Both ways of writing parameters, with text that goes on over lines and paragraphs after them."""
    numpy_way = "Do it.\n\nParameters\n----------\na, b\n    First\n    and more.\nc\n    Third.\n\nRaises ``E``."
    google_way = "Do it.\n\nArgs:\n    a, b: First\n        and more.\n    c: Third.\n\nRaises ``E``."
    expected = ["Do it.", "", "**Parameters**", "", "- **a, b**: First and more.", "- **c**: Third.", "", "Raises `E`."]
    for text in (numpy_way, google_way):
        lines = generator._markdown(text)
        assert [line for line, after in zip(lines, [*lines[1:], "end"], strict=True) if line or after] == expected


def test_long_signatures_have_a_parameter_a_line(generator: ModuleType) -> None:
    """Keyword-only parameters stay marked, annotations stand as in the source."""

    def long(one: int, *, a_rather_long_name: str = "x", another_rather_long_name: dict[str, Any] | None = None) -> str:
        return ""

    assert "\n".join(generator._code("long", long)).splitlines()[1:-1] == [
        "long(",
        "    one: int,",
        "    *,",
        "    a_rather_long_name: str = 'x',",
        "    another_rather_long_name: dict[str, Any] | None = None,",
        ") -> str",
    ]


def test_what_comes_from_a_private_base_is_shown_with_the_class(generator: ModuleType) -> None:
    """Its parameters and methods, and the public classes behind it; overrides without a text of their own are not."""

    class Shape:
        """Base."""

        def area(self) -> float:
            """How large."""
            return 0.0

    class _Round(Shape):
        def __init__(self, radius: float) -> None:
            self.radius = radius

        def area(self) -> float:
            return 3 * self.radius**2

        def roll(self) -> None:
            """Move on."""

    class Disc(_Round):
        """Flat."""

    for cls in (Shape, _Round, Disc):
        cls.__module__ = "paretune.shapes"
        for function in (cls.__dict__.get("area"), cls.__dict__.get("roll")):
            if function is not None:
                function.__module__ = "paretune.shapes"
    lines = [line for line in generator._entry("Disc", "Disc", Disc, level=2) if line and "```" not in line]
    signatures = ["Disc(radius: float)", "roll() -> None"]
    assert lines == ["## Disc", "Extends `Shape`.", signatures[0], "Flat.", "### Disc.roll", signatures[1], "Move on."]


def test_fields_are_shown_with_their_types_and_what_they_hold(generator: ModuleType) -> None:
    """Those of dataclasses and named tuples; a class that only a field holds stands on the same page, without a name of
    its own in the index."""
    pages = generator.pages()
    shown = re.search(r"^## TrialRecord\n(.*?)^## ", pages["paretune.md"], re.MULTILINE | re.DOTALL)
    assert shown is not None
    for line in ("    trial: str,", "    metrics: dict[str, float] = dict(),", "    cost_usd: float | None = 0.0,"):
        assert line in shown[1].splitlines()
    assert "Spent(calls: int = 0, tokens: int = 0, usd: float = 0.0)" in pages["paretune.md"]
    for part, holder in [("ReplicateRecord", "TrialRecord"), ("Range", "Estimate"), ("Limit", "Estimate")]:
        assert f"## {part}\n\nFound in `{holder}`.\n" in pages["paretune.md"] and f"[`{part}`]" not in pages["index.md"]
    assert "## Outcome" in pages["paretune.metrics.md"] and "## Outcome" not in pages["paretune.md"]


def test_the_hierarchy_of_errors_is_in_the_reference(generator: ModuleType) -> None:
    """Its page draws the whole tree, and every error says which one it is of."""
    text = generator.pages()["paretune.errors.md"]
    for name in paretune.errors.__all__:
        kind = getattr(paretune.errors, name)
        assert re.search(rf"^    .*\b{name}\b", text, re.MULTILINE), f"{name} is missing in the tree"
        assert kind is paretune.errors.ParetuneError or f"## {name}\n\nExtends `{kind.__base__.__name__}`." in text


def written() -> list[Path]:
    """Every Markdown file that people read."""
    return sorted([*DOCS.rglob("*.md"), *DOCS.parent.glob("*.md"), *(DOCS.parent / "data").glob("*/README.md")])


def without_code(path: Path) -> str:
    """A page without its blocks of code, in which brackets mean something else."""
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The names that a Git host gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", without_code(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    """The relative links and pictures of a page that lead nowhere."""
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", without_code(path))
    found = [(path.parent / target if target else path, anchor) for target, anchor in links]
    return [f"{to}#{anchor}" for to, anchor in found if not to.exists() or (anchor and anchor not in anchors(to))]


@pytest.mark.parametrize("page", written(), ids=lambda path: str(path.relative_to(DOCS.parent)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link is a file or folder, and its anchor a heading there."""
    assert broken_links(page) == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    """A missing file, a heading that is not there or stands in a block of code, a missing picture."""
    page = tmp_path / "page.md"
    page.write_text(
        "# Its `name`, so\n```sh\n# comment\n[no](link.md)\n```\n[a](page.md#its-name-so) [b](#comment) [c](other.md) "
        "![d](p.png) [e](https://example.org/#x) [f](#its-name-so)\n"
    )
    assert [each.removeprefix(f"{tmp_path}/") for each in broken_links(page)] == [
        "page.md#comment",
        "other.md#",
        "p.png#",
    ]


def test_the_map_has_every_page_and_every_picture_is_shown() -> None:
    """docs/index.md names each page and each decision by its title's number; no picture is left over."""
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    pages = {str(path.relative_to(DOCS)) for folder in (".", "decisions") for path in (DOCS / folder).glob("*.md")}
    assert {page for page in pages if f"]({page})" not in index} == {"index.md"}
    shown = {
        name
        for path in written()
        for name in re.findall(r"!\[[^\]]+\]\((?:docs/)?(pictures/[^)]+)\)", without_code(path))
    }
    assert shown == {str(path.relative_to(DOCS)) for path in (DOCS / "pictures").glob("*")}


def test_what_contributors_are_sent_to_is_there() -> None:
    """Each file and folder that is named exists, from the project's root or from the package; each package is named."""
    package, rooms = DOCS.parent / "src/paretune", (DOCS / "decisions/010-rooms.md").read_text(encoding="utf-8")
    text = (DOCS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8") + rooms
    named = set(re.findall(r"`((?:[\w.]+/)+(?:\w+\.\w+)?|\w+\.(?:py|yaml|md|toml))`", text))
    places = (DOCS.parent, package, package / "reporting/html/app")
    lost = [name for name in named if not any((place / name).exists() for place in places)]
    assert len(named) > 40 and not lost
    packages = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert packages <= named
