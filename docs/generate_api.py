"""Write docs/api/*.md from the docstrings of the public names: one page a public package or module, and an index.

python docs/generate_api.py     (make docs)
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paretune

FOLDER = Path(__file__).resolve().parent / "api"
_LINE = 100  # a longer signature has one parameter a line


def pages() -> dict[str, str]:
    """The text of each page by its file name."""
    packages = [paretune, *(value for _, value in _members(paretune) if isinstance(value, types.ModuleType))]
    texts = {f"{package.__name__}.md": "\n".join(_page(package)).rstrip() + "\n" for package in packages}
    texts["index.md"] = "\n".join(_index(packages)).rstrip() + "\n"
    return texts


def _members(module: types.ModuleType) -> list[tuple[str, Any]]:
    return [(name, getattr(module, name)) for name in module.__all__]


def _index(packages: list[types.ModuleType]) -> Iterator[str]:
    yield from ("# API reference", "")
    yield "Generated from the docstrings by `make docs`. Everything else is internal and may change."
    for package in packages:
        yield from ("", f"## [{package.__name__}]({package.__name__}.md)", "", _summary(package), "")
        for name, value in _members(package):
            if not (package is paretune and isinstance(value, types.ModuleType)):
                link = f"{package.__name__}.md#{name.lower()}"
                yield f"- [`{name}`]({link}): {_summary(value, name)}"


def _page(package: types.ModuleType) -> Iterator[str]:
    yield from (f"# {package.__name__}", "", *_text(package), "")
    public = _public_classes(package)
    unnamed: dict[type, list[str]] = {}
    for name, value in _members(package):
        if isinstance(value, types.ModuleType):
            if package is paretune:
                kind = "package" if hasattr(value, "__path__") else "module"
                yield from (f"## {name}", "", f"The {kind} [{value.__name__}]({value.__name__}.md).", "")
            else:
                yield from (f"## {name}", "", *_text(value), "")
                for part, function in _members(value):
                    yield from _entry(f"{name}.{part}", part, function, level=3)
            continue
        yield from _entry(name, name, value, level=2)
        for cls in (*_bases(value), *_fields(value)):
            if cls not in public and not cls.__name__.startswith("_"):
                unnamed.setdefault(cls, []).append(name)
    for cls, users in unnamed.items():
        shared = " and ".join(f"`{user}`" for user in users)
        role = "The base class of" if cls in _bases(getattr(package, users[0])) else "Found in"
        yield from _entry(cls.__name__, cls.__name__, cls, level=2, note=f"{role} {shared}.")


def _entry(title: str, name: str, value: Any, level: int, note: str = "") -> Iterator[str]:
    """A heading, the signature, the docstring, and a class's own methods and properties."""
    yield from (f"{'#' * level} {title}", "")
    if note:
        yield from (note, "")
    if home := _foreign(value):
        yield from (f"The `{name}` of the library {home}.", "")
        return
    if isinstance(value, type):
        bases = dict.fromkeys(f"`{base.__name__}`" for base in _shown_bases(value))
        if bases:
            yield from (f"Extends {' and '.join(bases)}.", "")
    if inspect.isroutine(value) or (isinstance(value, type) and _has_signature(value)):
        yield from _code(title, value)
    yield from (*_text(value, name), "")
    if isinstance(value, type):
        seen: set[str] = set()
        for cls in _own(value):
            for member in [member for member in vars(cls) if member not in seen]:
                seen.add(member)
                yield from _member(member, vars(cls)[member], value, level + 1)


def _member(name: str, attribute: Any, owner: type, level: int) -> Iterator[str]:
    function = getattr(attribute, "__func__", None) or getattr(attribute, "fget", None)
    function = inspect.unwrap(function or getattr(attribute, "func", attribute))
    if (name.startswith("_") and name != "__call__") or not isinstance(function, types.FunctionType):
        return
    if not function.__module__.startswith("paretune") or not function.__doc__:  # an override does as its base says
        return
    yield from (f"{'#' * level} {owner.__name__}.{name}", "")
    if isinstance(attribute, property) or hasattr(attribute, "func"):
        yield from ("*property*", "")
    else:
        yield from _code(name, getattr(owner, name), drop_self=not isinstance(attribute, classmethod | staticmethod))
    yield from (*_markdown(inspect.cleandoc(function.__doc__)), "")


def _shown_bases(value: type) -> Iterator[type]:
    """The bases of a class that have names to show: those of its private bases for these."""
    for base in value.__bases__:
        if base.__name__.startswith("_"):
            yield from _shown_bases(base)
        elif base.__module__.startswith("paretune"):
            yield base


def _own(value: type) -> list[type]:
    """A class and its private bases, whose parameters and methods are shown as its own."""
    bases = value.__mro__[1:]
    return [value, *(cls for cls in bases if cls.__name__.startswith("_") and cls.__module__.startswith("paretune"))]


def _public_classes(package: types.ModuleType) -> set[type]:
    """The classes that have a public name in the package or in any other."""
    modules = {package, paretune, *(value for _, value in _members(paretune) if isinstance(value, types.ModuleType))}
    return {value for module in modules for _, value in _members(module) if isinstance(value, type)}


def _bases(value: Any) -> list[type]:
    """The bases of a class that are defined here."""
    return [base for base in getattr(value, "__mro__", ())[1:] if base.__module__.startswith("paretune")]


def _fields(value: Any) -> list[type]:
    """The dataclasses and named tuples that the fields of a dataclass hold, and those that their fields hold."""
    found: list[type] = []
    for cls in [value, *_bases(value)] if dataclasses.is_dataclass(value) else []:
        words = re.findall(r"\w+", " ".join(map(str, vars(cls).get("__annotations__", {}).values())))
        for part in (vars(sys.modules[cls.__module__]).get(word) for word in words):
            if isinstance(part, type) and (dataclasses.is_dataclass(part) or hasattr(part, "_fields")):
                found += [part, *_fields(part)]
    return list(dict.fromkeys(found))


def _has_signature(value: type) -> bool:
    return hasattr(value, "_fields") or any("__init__" in vars(cls) for cls in value.__mro__ if not _foreign(cls))


def _is_alias(value: Any) -> bool:
    return not (isinstance(value, type | types.ModuleType) or inspect.isroutine(value))


def _foreign(value: Any) -> str:
    """The library that a public name comes from, when that is another one."""
    home = "paretune" if _is_alias(value) else getattr(value, "__module__", "paretune").partition(".")[0]
    return "" if home == "paretune" else home


def _code(title: str, value: Any, drop_self: bool = False) -> Iterator[str]:
    signature = inspect.signature(value)
    parameters = [
        p.replace(annotation=_Plain.of(p.annotation), default=_default(value, p)) for p in signature.parameters.values()
    ]
    parameters = parameters[1:] if drop_self else parameters
    result = inspect.Signature.empty if isinstance(value, type) else _Plain.of(signature.return_annotation)
    signature = signature.replace(parameters=parameters, return_annotation=result)
    start = "async " if inspect.iscoroutinefunction(value) else ""
    line = f"{start}{title}{signature}"
    if len(line) > _LINE:
        line = f"{start}{title}(\n" + "".join(f"    {part},\n" for part in _parts(signature)) + ")"
        line += "" if result is inspect.Signature.empty else f" -> {result}"
    yield from ("```python", line, "```", "")


def _default(value: Any, parameter: inspect.Parameter) -> Any:
    """A parameter's default; of a dataclass's field also one that is made anew for each object."""
    field = getattr(value, "__dataclass_fields__", {}).get(parameter.name)
    factory = dataclasses.MISSING if field is None else field.default_factory
    return parameter.default if factory is dataclasses.MISSING else _Plain(f"{factory.__name__}()")


def _parts(signature: inspect.Signature) -> Iterator[str]:
    starred = False
    for parameter in signature.parameters.values():
        starred = starred or parameter.kind is parameter.VAR_POSITIONAL
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        yield str(parameter)


class _Plain:
    """An annotation that is printed as it stands in the source."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    @classmethod
    def of(cls, annotation: Any) -> Any:
        annotation = getattr(annotation, "__forward_arg__", annotation)  # as named tuples have them
        return cls(annotation) if isinstance(annotation, str) else annotation


def _summary(value: Any, name: str = "") -> str:
    if home := _foreign(value):
        return f"{home}'s."
    paragraph = " ".join("\n".join(_text(value, name)).split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", paragraph)[0].rstrip(":.") + "."


def _text(value: Any, name: str = "") -> list[str]:
    """A docstring, or the comment that stands for it, as lines of Markdown."""
    return _markdown((_comment(name) if _is_alias(value) and name else inspect.getdoc(value)) or "")


def _comment(name: str) -> str:
    """The ``#:`` comment above the assignment of a name, where a docstring cannot stand."""
    for module_name, module in sorted(sys.modules.items()):
        if module_name.startswith("paretune.") and name in vars(module):
            found = re.search(rf"((?:^#:.*\n)+){name}\b.*=", inspect.getsource(module), re.MULTILINE)
            if found:
                return "\n".join(line.removeprefix("#:").strip() for line in found[1].splitlines())
    return ""


def _markdown(doc: str) -> list[str]:
    """A docstring as Markdown: its sections become lists, its double backticks single ones."""
    lines = re.sub(r"``([^`]*)``", r"`\1`", doc).splitlines()
    out: list[str] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        underlined = position + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[position + 1])
        if underlined or re.fullmatch(r"(Args|Returns|Raises):", line):
            title = "Parameters" if line == "Args:" else line.rstrip(":")
            position += 2 if underlined else 1
            block = []
            while position < len(lines) and not _ends_section(lines, position, bool(underlined)):
                block.append(lines[position])
                position += 1
            out += [f"**{title}**", "", *_items(block, bool(underlined)), ""]
        else:
            out.append(line)
            position += 1
    while out and not out[-1]:
        out.pop()
    return out


def _ends_section(lines: list[str], position: int, underlined: bool) -> bool:
    """An underlined section ends at a blank line before unindented text, the other kind at unindented text."""
    line = lines[position]
    if underlined:
        return not line and position + 1 < len(lines) and not lines[position + 1].startswith(" ")
    return bool(line) and not line.startswith(" ")


def _items(block: list[str], underlined: bool) -> list[str]:
    """One bullet for each parameter: ``name`` over indented text, or ``name: text`` with a hanging indent."""
    items: list[str] = []
    for line in block:
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        if underlined and indent == 0:
            items.append(f"- **{line.strip()}**:")
        elif not underlined and indent == 4:
            names, _, text = line.strip().partition(": ")
            items.append(f"- **{names}**: {text}")
        else:
            items[-1] += f" {line.strip()}"
    return items


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    texts = pages()
    for old in FOLDER.glob("*.md"):
        if old.name not in texts:
            old.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(texts)} pages in {FOLDER}")


if __name__ == "__main__":
    main()
