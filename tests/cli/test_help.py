"""The version, and what ``--help`` tells."""

from __future__ import annotations

import pytest
from typer.main import get_command

from tests.cli.command import assert_refused
from vison_etl import __version__
from vison_etl.cli.commands import app

COMMANDS = get_command(app).commands


def test_version(cli):
    done = cli("--version")
    assert (done.code, done.out, done.err) == (0, f"vison-etl {__version__}\n", "")


def test_without_command_help_is_shown_and_one_is_asked_for(cli):
    done = cli()
    assert done.code == 2
    assert "Commands:" in done.out
    assert done.err == "vison-etl: no command given; see `vison-etl --help`\n"


def test_every_command_says_what_it_does(cli):
    text = cli("--help").out
    for name, command in COMMANDS.items():
        assert f"\n  {name} " in text
        assert command.get_short_help_str()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_sentence(cli, name):
    done = cli(name, "--help")
    assert (done.code, done.err) == (0, "")
    for parameter in COMMANDS[name].params:
        if parameter.name == "help":
            continue
        assert parameter.help, parameter.name
        assert parameter.help.rstrip().endswith((".", "]", "/")), parameter.help
        words = parameter.opts if parameter.param_type_name == "option" else [parameter.metavar]
        assert any(word in done.out for word in words), words


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_on_a_terminal(cli, name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert all(len(line) <= 80 for line in cli(name, "-h").out.splitlines())


def test_no_command_takes_what_another_has(cli):
    assert_refused(cli("status", "--jobs", "2"), "--jobs", "vison-etl status --help")
