"""What the commands say of themselves is written down; WINNOW_WRITE_GOLDEN=1 writes it anew."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from winnow.cli import COMMANDS, cli

HERE = Path(__file__).parent / "help"


def said(*words: str) -> str:
    return CliRunner().invoke(cli, [*words, "--help"], prog_name="winnow", terminal_width=100).output


@pytest.mark.parametrize("name", ["winnow", *COMMANDS])
def test_help_is_as_written_down(name):
    text = said() if name == "winnow" else said(name)
    path = HERE / f"{name}.txt"
    if os.environ.get("WINNOW_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def test_every_option_says_what_it_does():
    with click.Context(cli) as context:
        for name in COMMANDS:
            command = cli.get_command(context, name)
            commands = [command, *(command.commands.values() if isinstance(command, click.Group) else [])]
            for one in commands:
                assert one.help, name
                for option in one.params:
                    assert not isinstance(option, click.Option) or option.help, f"{name} {option.name}"
