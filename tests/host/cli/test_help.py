"""Every command says what it does, also those that will be added."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from imperal_host.cli.main import app
from tests.conftest import ROOT
from tests.host.cli.command import Ask, Command, Done, each


def commands_below(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Every command and every group: how it is called, and the first sentence of its help."""
    yield " ".join(path), (group.help or "").split(".")[0]
    for name, command in getattr(group, "commands", {}).items():
        yield from commands_below(command, (*path, name))


COMMANDS = dict(commands_below(get_command(app)))


@pytest.fixture(scope="module")
def helps(shared_command: Command) -> dict[str, Done]:
    return each(shared_command, {path: Ask((*path.split(), "--help")) for path in COMMANDS})


@pytest.mark.parametrize("path", COMMANDS)
def test_help_says_what_the_command_does(helps: dict[str, Done], path: str) -> None:
    assert len(COMMANDS[path].split()) >= 3, "a command has a docstring, a group has a help text"
    said = " ".join(helps[path].text.split())
    assert f"imperal-host {path}".strip() in said
    assert COMMANDS[path] in said


def test_the_table_of_commands_is_found() -> None:
    assert {"", "serve", "call", "extensions", "inspect", "demo", "llm set", "params explain", "token revoke"} <= set(
        COMMANDS
    )


def test_help_makes_nothing_on_disk(command: Command) -> None:
    assert command("llm", "set", "--help").status == 0
    assert list(command.place.iterdir()) == []


def test_the_version_is_that_of_the_project(command: Command) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert command("--version").text == project["version"] + "\n"


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("call",), ("llm", "set", "openai"), ("serve", "--port", "70000")]
)
def test_a_command_that_is_not_understood_has_status_2_and_no_traceback(
    command: Command, arguments: tuple[str, ...]
) -> None:
    done = command(*arguments)
    assert (done.status, done.out) == (2, "")
    assert "Traceback" not in done.err
    assert "Usage: imperal-host" in done.err
    assert list(command.place.iterdir()) == []
