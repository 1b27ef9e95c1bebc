"""`paretune doctor`: every line of a sound project is ok, and each fault is named with its cure."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from project_copy import ROOT, copy_project

from paretune.commands.doctor import examine
from paretune.commands.main import main
from paretune.shared_files import NAMES


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in a repository of its own, with the environment of the tests active."""
    root = tmp_path / "project"
    copy_project(root)
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "A")
        monkeypatch.setenv(f"{name}_EMAIL", "a@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (tmp_path / "gitconfig").write_text("[user]\nname = A\nemail = a@example.org\n")
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "A project"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    monkeypatch.chdir(root)
    return root


def found(folder: Path) -> dict[str, tuple[str, str]]:
    """What each thing is, and what is said of it."""
    return {what: (state, text) for state, what, text in examine(folder)}


def test_a_sound_project_is_ok(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a thing, all ok, exit code 0, and nothing is left in the project."""
    before = sorted(project.rglob("*"))
    main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert lines and all(line.startswith("ok ") for line in lines)
    assert sorted(project.rglob("*")) == before
    main(["doctor", "--json"])
    assert {each["state"] for each in json.loads(capsys.readouterr().out)} == {"ok"}


def test_outside_of_a_project_the_environment_is_looked_at(tmp_path: Path) -> None:
    """Python and packages, and how a project is made."""
    seen = found(tmp_path)
    assert seen["packages"][0] == "ok" and "paretune init" in seen["project"][1]


def test_an_edited_conf_is_a_fault(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not composed again, and then composed with a value that must be given: both with the command that helps."""
    with open(project / "conf/config.yaml", "a") as handle:
        handle.write("# edited\n")
    assert found(project)["conf"] == ("fault", "conf/ is not what params.yaml was composed from; paretune compose")
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    assert ended.value.code == 1
    main(["compose", "lm=openai_compatible"])
    assert "lm.model, lm.api_base" in found(project)["conf"][1]
    (project / "params.yaml").unlink()
    assert found(project)["conf"][0] == found(project)["model"][0] == "fault"


def test_a_model_that_is_not_there_is_a_fault(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file, and a missing key, whose variable is named; the key itself is never shown."""
    main(["compose", "lm.model=local/models/none.gguf"])
    assert found(project)["model"][0] == "fault" and "none.gguf" in found(project)["model"][1]
    main(["compose", "lm.model=openai/x", "lm.api_base=http://u:secret@localhost:1/v1", "lm.api_key_env=MY_KEY"])
    state, text = found(project)["model"]
    assert state == "fault" and "export MY_KEY=" in text and "secret" not in text


def test_a_damaged_ledger_is_a_fault(project: Path, own_state: Path) -> None:
    """The ledger's own words; a sound one is counted."""
    own_state.mkdir(parents=True, exist_ok=True)
    file = own_state / "ledger.sqlite"
    file.write_bytes(b"no database at all" * 100)
    assert found(project)["ledger"][0] == "fault" and "damaged" in found(project)["ledger"][1]
    file.unlink()
    sqlite3.connect(file).close()
    assert found(project)["ledger"] == ("ok", f"{file}: 0 replies, 0 kB")


def test_a_file_of_another_version_is_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipeline that differs is a warning, and `paretune init --upgrade` puts it right; a missing one is a fault."""
    with open(project / "dvc.yaml", "a") as handle:
        handle.write("# of mine\n")
    assert found(project)["pipeline"][0] == "warning" and "dvc.yaml" in found(project)["pipeline"][1]
    (project / ".dvc/config").unlink()
    assert found(project)["pipeline"][0] == "fault"
    main(["init", "--upgrade"])
    assert found(project)["pipeline"][0] == "ok"
    assert (project / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()


def test_git_and_the_path_are_looked_at(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown person, no commit, no repository; and a `python` that is not this environment's."""
    (tmp_path / "gitconfig").write_text("")
    assert found(project)["git"][0] == "warning" and "git config --global user.name" in found(project)["git"][1]
    shutil.rmtree(project / ".git")
    assert found(project)["git"][0] == "fault"
    (tmp_path / "gitconfig").write_text("[user]\nname = A\nemail = a@example.org\n")
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    assert "no commit yet" in found(project)["git"][1]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found(project)["PATH"][0] == found(project)["git"][0] == "fault"
