"""What holds for every command: it can be read by a program."""

from __future__ import annotations

import json

import click
import pytest
from typer.main import get_command

from benchmark.cli import app

SERVES = {"tracking-server"}
"""Prints an address and ends by Ctrl-C."""


def leaves(command: click.Command, name: str = "") -> dict[str, click.Command]:
    """Every command that does something, by what is typed."""
    inner = getattr(command, "commands", None)
    found = {} if inner and not command.invoke_without_command else {name: command}
    for word, each in (inner or {}).items():
        found |= leaves(each, f"{name} {word}".strip())
    return found


COMMANDS = leaves(get_command(app))


def test_commands_within_commands_are_among_them():
    assert {"run", "runs", "runs remove", "new method", "datasets fetch", "splits check"} <= set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - SERVES - {""}))
def test_every_command_prints_json(name):
    options = [option for each in COMMANDS[name].params for option in each.opts]
    assert "--json" in options


def test_a_data_set_is_shown_by_its_name(type_):
    about = json.loads(type_("datasets", "norman_semi", "--json")[1])
    assert about["name"] == "norman_semi"
    assert "simulation-0" in about["splits"]
    assert type_("datasets", "norman_semi") == type_("datasets", "show", "norman_semi")
    code, _, err = type_("datasets", "norman_smi")
    assert code == 2
    assert "did you mean 'norman_semi'?" in err


def test_a_misspelt_subcommand_is_no_name(type_):
    code, _, err = type_("datasets", "fetsh", "simulated")
    assert code == 2
    assert "fetch" in err


def test_one_bad_card_does_not_hide_the_others(type_, home, caplog):
    (home / "datasets").mkdir()
    (home / "datasets" / "bad.toml").write_text("expression = 3")
    names = [row["name"] for row in json.loads(type_("datasets", "--json")[1])]
    assert {"simulated", "norman19"} <= set(names)
    assert "bad.toml is not valid" in caplog.text
