"""What the command tells about itself: version, help with examples, completion."""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys

import pytest

from paretune import __version__
from paretune.commands.help_text import EXAMPLES
from paretune.commands.main import main, parser

COMMANDS: dict[str, argparse.ArgumentParser] = next(
    action.choices for action in parser()._actions if isinstance(action.choices, dict)
)


def test_the_version_in_both_ways(capsys: pytest.CaptureFixture[str]) -> None:
    """`paretune --version` and `python -m paretune --version` tell the package's version."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"paretune {__version__}\n"
    command = [sys.executable, "-m", "paretune", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"paretune {__version__}\n"


def test_each_command_has_examples_that_parse(capsys: pytest.CaptureFixture[str]) -> None:
    """Every example in a command's help is accepted by the parser, and every command has one."""
    assert set(EXAMPLES) == set(COMMANDS)
    for name, lines in EXAMPLES.items():
        for line in lines:
            program, *words = shlex.split(line.split(" > ")[0].split(" && ")[0])
            assert program == "paretune" and parser().parse_args(words).command == name
        with pytest.raises(SystemExit):
            main([name, "--help"])
        shown = capsys.readouterr().out
        assert all(line in shown for line in lines)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The script of each shell names all commands and their options."""
    main(["completion", shell])
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)
    assert "prune" in script and "markdown" in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_a_command_and_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    """Sourced by a real shell, `paretune comp` offers compose and compare, `paretune init --ki` its option."""
    main(["completion", "bash"])
    script = capsys.readouterr().out
    ask = """
complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMPREPLY=()
  ${FUNCTION} paretune "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; echo "${COMPREPLY[*]}"; }
FUNCTION=$(complete -p paretune | sed 's/.*-F \\([^ ]*\\).*/\\1/')
complete_words paretune comp
complete_words paretune init --ki
"""
    done = subprocess.run(["bash", "-c", script + ask], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert set(first.split()) == {"compare", "completion", "compose"}
    assert second.split() == ["--kind"]
