"""A new project's files: made in a folder of their own, tried on every row, and only then put where they are to be."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from paretune import __version__
from paretune.errors import UsageError
from paretune.files import write_jsonl
from paretune.lm.backends.local_models import MODEL_PACKAGE
from paretune.pipeline.rows import open_dataset
from paretune.pipeline.sections.base import Params, check_sections, read_params, section
from paretune.pipeline.sections.data import DataParams
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.split import SplitParams
from paretune.pipeline.sections.task import TaskParams
from paretune.pipeline.sections.together import check_together
from paretune.project.conf_text import edited, yaml_text
from paretune.project.declaration import Declaration
from paretune.shared_files import NAMES, SHARED, shared_conf

__all__ = ["check_rows", "empty_folder", "project_name", "write_project", "write_shared"]

#: Rows of a split that are used, where there are more: enough to see something, and cheap.
_LIMIT = 200
_TEMPLATES = Path(__file__).resolve().parent / "templates"
_PLACES = {
    "README.md": "README.md",
    "project.toml": "pyproject.toml",
    "ci.yml": ".github/workflows/paretune.yml",
    "test_task.py": "tests/test_task.py",
}
#: In the project's config.yaml, before its first section.
_SEARCH_PATH = """\
hydra:
  searchpath: ['${paretune_conf:}']   # the groups that come with paretune; a file of the same name here hides one

"""

Row = dict[str, Any]


def project_name(folder: Path) -> str:
    """A name for task and data from a folder's: letters, digits and ``_``."""
    return re.sub(r"\W+", "_", folder.resolve().name).strip("_").lower() or "task"


@contextlib.contextmanager
def empty_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder whose content is put into ``folder`` when the block ends without an error.

    Raises UsageError where ``folder`` is a file or holds anything but a repository of Git.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{str(folder)!r} is a file; name a new folder, or an empty one")
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if others := [name for name in there if name != ".git"]:
        raise UsageError(f"{str(folder)!r} is not empty ({', '.join(others[:5])}); name a new folder, or an empty one")
    parent = folder.resolve().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.resolve().name}-", dir=parent) as scratch:
        yield Path(scratch)
        folder.mkdir(exist_ok=True)
        for path in Path(scratch).iterdir():
            os.replace(path, folder / path.name)


def write_project(
    root: Path, name: str, declaration: Declaration, splits: Mapping[str, Sequence[Row]], origin: str
) -> None:
    """Write the files of a project into ``root``, all but params.yaml."""
    write_shared(root)
    task = yaml_text(
        declaration.task, f"What is asked, and of which columns of {origin}. After an edit: paretune compose"
    )
    files = {
        f"conf/task/{name}.yaml": task,
        f"conf/data/{name}.yaml": yaml_text(_data(name, splits), f"The rows of {origin}, in random order."),
        "conf/config.yaml": _config(name, declaration),
        "conf/own.py": (shared_conf() / "own.py").read_text(encoding="utf-8"),
        "data/human.jsonl": '{"x": {}, "output": {}, "human": null}\n',  # DVC warns of an empty file
    }
    values = {
        "name": name,
        "project": name.replace("_", "-"),
        "instructions": declaration.task["instructions"],
        "rows": " and ".join(f"{len(rows):,}" for rows in splits.values()) + " rows",
        "requirement": f"paretune=={__version__}",
        "model_package": MODEL_PACKAGE,
    }
    for template, place in _PLACES.items():
        files[place] = Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)
    for place, text in files.items():
        _write(root / place, text)
    for split, rows in splits.items():
        write_jsonl(root / "data" / f"{split}.jsonl", rows)


def write_shared(root: Path) -> list[str]:
    """Write what a project shares with this package; the names of the files that were not so before."""
    changed = []
    for name in NAMES:
        content = (SHARED / name).read_bytes().replace(b"\r\n", b"\n")
        if not (root / name).is_file() or (root / name).read_bytes().replace(b"\r\n", b"\n") != content:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
            changed.append(name)
    return changed


def check_rows(root: Path) -> dict[str, int]:
    """Make every row of both splits into an example, as the pipeline will; how many there are.

    Raises ConfigError or DataError, which name the value, or the row and the column.
    """
    with contextlib.chdir(root):
        params = read_params()
        sections: dict[str, type[Params]] = {"task": TaskParams, "layout": LayoutParams}
        sections |= {"data": DataParams, "split": SplitParams}
        check_sections(params, sections)
        check_together(params)
        task, layout = section(params, "task", TaskParams), section(params, "layout", LayoutParams)
        data = section(params, "data", DataParams)
        whole = {name: source.model_copy(update={"limit": None}) for name, source in data.splits.items()}
        data = data.model_copy(update={"splits": whole})
        return {split: sum(1 for _ in open_dataset(task, layout, data, split)) for split in data.splits}


def _data(name: str, splits: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    sources = {
        split: {
            "source": f"data/{split}.jsonl",
            "split": "train",  # a single file is one split, `train`
            "limit": _LIMIT if len(rows) > 1.5 * _LIMIT else None,
        }
        for split, rows in splits.items()
    }
    return {
        "name": name, "path": None, "config": None, "revision": None, "splits": sources, "shuffle": False, "seed": 0,
    }  # fmt: skip


def _config(name: str, declaration: Declaration) -> str:
    """The shared config.yaml with this task, and with the way to the groups that stay in the package."""
    text = (shared_conf() / "config.yaml").read_text(encoding="utf-8")
    choices = {"defaults.task": name, "defaults.data": name, "defaults.layout": declaration.layout}
    text = edited(text, {**choices, "split.stratify": str(declaration.stratify).lower()})
    return text.replace("defaults:\n", f"{_SEARCH_PATH}defaults:\n", 1)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
